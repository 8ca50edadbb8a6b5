"""What a renewal writes down and tells on its way: counts, instants, names on the token, questions, and the words of its ends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support_faults import Box, Nobody, Template, put, stopped_in, tool

from safetok.ca.cmp.requests import build_request
from safetok.domain import certificates
from safetok.domain.renewal import State
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import UsageError
from safetok.locale import _
from safetok.sandbox.softhsm import module as softhsm_module
from safetok.sandbox.structures import PKIMessage
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.tokens.keys import TokenRsaKey
from safetok.tokens.sessions import Session
from safetok.workflows.pins import PinSource
from safetok.workflows.renew import engine, unfinished

# --- how it ends ---------------------------------------------------------------------------------------------------------


def test_each_end_says_why_and_that_nothing_is_lost(made: Template) -> None:
    """REJECTED, UNTRUSTED and LAPSED: the reason in the row is in the sentence, whose CA it is beside it, the old one intact."""
    with made.box(confirm_wait=3600) as box:
        refusal = {"name": "refuse", "on": "kur", "fail": "badPOP", "processed": False}
        for plans, code, text in (
            ([refusal], "ca_refused", _("The CA refused: {why}")),
            (["shorter"], "not_trusted", _("The CA's answer is not to be trusted: {why}")),
            (["cut"], "lapsed", _("The CA has taken the new certificate back: {why}")),
        ):
            box.plan(*plans)
            came = box.renew()
            if plans == ["cut"]:
                box.clock.turn(hours=2)
                came = box.resume()
            row = box.journal()
            assert came.error is not None
            assert row.reason
            assert came.code == code
            assert came.error.message == text.format(why=row.reason)
            kept = (
                _(
                    "The old certificate is intact, nothing of the new one is left on the token. Ask again: safetok renew"
                )
                if code == "lapsed"
                else _("The old certificate is intact, nothing was written to the token.")
            )
            assert came.error.hint == kept
            assert came.error.data["authority"] == row.authority
            assert (row.cleaned, row.hold) == (True, None)


def test_an_end_with_the_old_key_is_whole_at_once(box: Box) -> None:
    """Nothing is to be removed from the token, so nothing is left to do after the commit that ends it."""
    stopped_in(box, "ca.cmp.requests.build_request")
    with patch.dict(engine.STEPS, dict.fromkeys((State.REJECTED, State.ABANDONED), Mock(side_effect=AssertionError))):
        assert box.abandon().state == "ABANDONED"
        box.plan({"name": "refuse", "on": "kur", "fail": "badPOP", "processed": False})
        assert box.renew().state == "REJECTED"
    assert box.resume().result is None


def test_a_rejection_is_not_sent_once_its_time_is_over(made: Template) -> None:
    """At the last instant of the CA's time it has undone its update: the rejecting certConf goes out before, not then."""
    with made.box(confirm_wait=3600) as box:
        box.plan("longer", {"name": "cut", "on": "certConf", "processed": False, "times": 9})
        assert box.renew().status == 10
        with box.context() as context:
            told = [event.reason for event in Journal(context.database).events(box.journal().id)]
        assert set(told[-2:]) == {box.journal().reason}, "what was wrong is not forgotten over what could not be sent"
        confirm_by = box.journal().confirm_by
        assert confirm_by is not None
        box.clock.now = confirm_by - timedelta(seconds=1)
        assert box.resume(pin=False).status == 10
        assert [plan["times"] for plan in box.unused_plans()] == [7]
        box.clock.now = confirm_by
        assert box.resume(pin=False).status == 10
        assert [plan["times"] for plan in box.unused_plans()] == [7]
        assert box.journal().finished


def test_from_its_last_instant_a_certificate_may_be_taken_back(made: Template) -> None:
    """At the very end of the CA's time the status is asked for before anything is written: revoked is LAPSED."""
    with made.box(confirm_wait=3600) as box:
        stopped_in(box, "tokens.sessions.Session.place_certificate")
        confirm_by = box.journal().confirm_by
        assert confirm_by is not None
        box.clock.now = confirm_by
        with patch("safetok.workflows.renew.confirming.new_status", return_value=RevocationAnswer.REVOKED):
            came = box.resume(pin=False)
        assert (came.status, came.code, came.state) == (11, "lapsed", "LAPSED")


def test_what_stands_is_not_given_up(box: Box) -> None:
    """Confirmed already, its answer lost: giving up says that it stands, and what to do; nothing of it is removed."""
    box.plan({"name": "cut", "on": "certConf"})
    assert box.renew(new_key=True).status == 8
    kept = box.objects()
    came = box.abandon()
    assert (came.status, came.code) == (11, "too_late_to_abandon")
    assert came.error is not None
    assert came.error.message == _(
        "The CA does not take the new certificate back: it stands, and this renewal cannot be given up."
    )
    assert came.error.hint == _("Finish it: safetok renew --resume")
    assert came.error.token == box.token.serial
    assert box.objects() == kept
    assert box.resume(pin=False).state == "DONE"


@pytest.mark.parametrize("new_key", [False, True])
def test_an_offer_ends_at_its_instant(box: Box, *, new_key: bool) -> None:
    """A second before its end the offer is used; at its end it is not, and the row says so."""
    stopped_in(box, "ca.cmp.requests.build_request", new_key=new_key)
    expires = box.journal().offer_expires
    assert expires is not None
    box.clock.now = expires
    came = box.resume(pin=False)
    row = box.journal()
    assert (came.status, came.code) == (11, "offer_expired")
    assert came.error is not None
    assert came.error.message == _("The CA's offer expired before the request was sent. Nothing was requested.")
    assert came.error.hint == _("Run `safetok renew` again: the CA will make a new offer.")
    assert (row.state, row.reason) == (State.ABANDONED, _("The offer expired before it was used."))
    assert row.cleaned == (not new_key), "a key that may be there is still to be removed"


def test_a_second_before_its_end_an_offer_stands(box: Box) -> None:
    """The request goes out, and the certificate comes."""
    stopped_in(box, "ca.cmp.requests.build_request")
    expires = box.journal().offer_expires
    assert expires is not None
    box.clock.now = expires - timedelta(seconds=1)
    assert box.resume().state == "DONE"


# --- what the row has -------------------------------------------------------------------------------------------------------


def test_counts_and_instants_are_written_down(box: Box) -> None:
    """How often and when first it was sent, when the answer came and the confirmation was made, and what is due to whom."""
    began = box.clock.now
    box.plan("cut", "cut")
    assert box.renew().status == 8
    assert (box.journal().sent_count, box.journal().first_sent_at) == (1, began)
    box.clock.turn(seconds=60)
    assert box.resume().status == 8
    assert (box.journal().sent_count, box.journal().first_sent_at) == (2, began)
    box.clock.turn(seconds=60)
    assert box.resume().state == "DONE"
    row = box.journal()
    assert (row.sent_count, row.first_sent_at) == (3, began)
    assert row.received_at == box.clock.now
    assert (row.receipt, row.cleaned, row.hold) == ("seen", True, None)
    assert State.KEY_MADE not in box.states(), "the key that is there is asked for, none is made"
    (asks,) = PKIMessage.load(row.request)["body"].chosen
    assert asks["certReq"]["certTemplate"]["validity"]["notAfter"].chosen.native == row.requested_not_after
    issuer, root = (certificates.parse(der) for der in row.chain)
    assert issuer.subject_der == certificates.parse(row.certificate).issuer_der
    assert root.subject_der == root.issuer_der == issuer.issuer_der
    assert row.confirm_by is not None
    new = certificates.parse(row.certificate)
    with box.context() as context:
        inventory = Inventory(context.database)
        kept = {one.certificate.sha256: one for one in inventory.certificates(box.token.serial)}
        assert inventory.contract_end(new.sha256) == row.contract_end is not None
        stated = context.database.row("SELECT stated_at FROM contract_ends WHERE sha256 = ?", (new.sha256,))
        assert stated is not None
        assert stated["stated_at"] == box.clock.now.isoformat()
    assert kept[new.sha256].present
    assert kept[new.sha256].first_seen == box.clock.now
    assert kept[new.sha256].cka_id == row.key_id


def test_files_that_can_be_made_again_wait_for_no_disk(box: Box) -> None:
    """The renewal is safe before its files are written; where they lie is committed without waiting for the disk."""
    commit, waits = Database._commit, []

    def counted(self: Database) -> None:
        waits.append((self.row("PRAGMA synchronous") or [0])[0] == 2)
        commit(self)

    with (
        patch("safetok.store.database.Database._commit", counted),
        patch("safetok.ca.cmp.requests.build_request", wraps=build_request) as signed,
    ):
        assert box.renew().state == "DONE"
    assert signed.call_count == 1, "the token signs one request"
    assert waits[-3:] == [True, False, False], "the last is the answer about the old certificate"
    assert sum(waits) <= 7
    kit = Path(box.journal().kit)
    assert kit.is_dir()
    assert list(kit.iterdir())


def test_a_clock_that_was_set_right_counts_anew(box: Box) -> None:
    """The request made anew after `clock_off` was sent once, first now."""
    box.plan({"name": "refuse", "on": "kur", "fail": "badTime", "processed": False})
    assert box.renew().code == "clock_off"
    box.clock.turn(seconds=60)
    assert box.resume().state == "DONE"
    assert (box.journal().sent_count, box.journal().first_sent_at) == (1, box.clock.now)


# --- names on the token -------------------------------------------------------------------------------------------------------


def labels(box: Box) -> list[tuple[str, str, str]]:
    """Kind, label and ID of every object, as pkcs11-tool sees them."""
    words = ["pkcs11-tool", "--module", str(softhsm_module()), "--token-label", box.token.label]
    words += ["--login", "--pin", box.token.pin, "-O"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    found, kind, label = [], "", ""
    for line in shown.splitlines():
        name, _colon, value = line.strip().partition(":")
        if " Object" in line:
            kind, label = line.partition(" Object")[0], ""
        elif name == "label":
            label = value.strip()
        elif name == "ID":
            found.append((kind, label, value.strip()))
    return found


def test_a_new_pair_and_its_certificate_have_one_name(box: Box) -> None:
    """Label and ID as the row planned them, on all three objects; what it was doing was said."""
    before = labels(box)
    with patch.object(Nobody, "say", autospec=True) as said:
        assert box.renew(new_key=True).state == "DONE"
    row = box.journal()
    made = [one for one in labels(box) if one not in before]
    assert sorted(made) == [
        (kind, row.key_label, row.key_id.hex()) for kind in ("Certificate", "Private Key", "Public Key")
    ]
    assert _("The token is making a new key; this may take a minute.") in [call.args[1] for call in said.call_args_list]


def test_a_name_of_the_token_s_own_is_kept(box: Box) -> None:
    """A token that gives a new key another ID: the row and the certificate have that one, and giving up removes that one."""
    generate = Session.generate

    def own(self: Session, like: bytes, *, cka_id: bytes, label: str) -> bytes:
        assert cka_id
        return generate(self, like, cka_id=b"\x0d\x0e", label=label)

    before = box.objects()
    with patch("safetok.tokens.sessions.Session.generate", own):
        stopped_in(box, "ca.cmp.requests.build_request", new_key=True)
        assert box.journal().key_id == b"\x0d\x0e"
        assert box.abandon().state == "ABANDONED"
        assert box.objects() == before
        assert box.renew(new_key=True).state == "DONE"
    assert [ids.count("0d0e") for ids in box.objects().values()] == [1, 1, 1]


def test_a_key_that_is_not_shown_keeps_its_planned_name(box: Box) -> None:
    """A token that does not list what it has just made: the ID that was planned is the key's."""
    with patch("safetok.tokens.sessions.Session.keys", return_value=()):
        assert box.renew(new_key=True).state == "DONE"
    assert [ids.count(box.journal().key_id.hex()) for ids in box.objects().values()] == [1, 1, 1]


def url(box: Box, kind: str) -> str:
    """The old key of the box's token."""
    (found,) = [identity for name, _label, identity in labels(box) if name == "Private Key"]
    quoted = "".join(f"%{found[i : i + 2]}" for i in range(0, len(found), 2))
    return f"pkcs11:serial={box.token.serial};id={quoted};type={kind}"


def test_a_key_of_a_certificate_is_nobody_s_stranger(box: Box) -> None:
    """Under another ID than its certificate's it is still that certificate's: the cut-short renewal makes its key."""
    stopped_in(box, "tokens.sessions.Session.generate", new_key=True)
    old = url(box, "private"), url(box, "public")
    for one in old:
        tool(box, "--set-id", "0A0B", one)
    assert box.resume().state == "DONE"
    assert len(box.objects()["Private Key"]) == 2


def test_half_a_stranger_is_in_nobody_s_way(box: Box) -> None:
    """A public key alone can be nobody's new key: a key is made, and it stays."""
    stopped_in(box, "tokens.sessions.Session.generate", new_key=True)
    words = ["pkcs11-tool", "--module", str(softhsm_module()), "--token-label", box.token.label, "--login"]
    words += ["--pin", box.token.pin, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "7a", "--label", "other"]
    subprocess.run(words, capture_output=True, check=True, timeout=30)
    tool(box, "--delete", f"pkcs11:serial={box.token.serial};id=%7a;type=private")
    assert box.resume().state == "DONE"
    assert "7a" in box.objects()["Public Key"]


def test_a_certificate_that_is_there_is_not_written_twice(box: Box) -> None:
    """Written before a crash and renamed by somebody since: it stays as it is, and there is one of it."""
    stopped_in(box, "workflows.renew.writing.prove")
    row = box.journal()
    tool(box, "--set-label", "renamed", f"pkcs11:serial={box.token.serial};object={quote(row.key_label)};type=cert")
    assert box.resume().state == "DONE"
    named = [label for kind, label, _identity in labels(box) if kind == "Certificate"]
    assert len(named) == 2
    assert "renamed" in named


def test_the_key_s_name_counts_and_not_the_old_certificate_s(box: Box) -> None:
    """An old certificate under another ID than its key's: the new one gets the key's, so that programs find the pair."""
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    (identity,) = box.objects()["Private Key"]
    tool(box, "--set-id", "0A0B", url(box, "cert"))
    assert box.resume().state == "DONE"
    assert sorted(box.objects()["Certificate"]) == sorted(["0a0b", identity])


def test_a_new_key_s_certificate_has_its_planned_name(box: Box) -> None:
    """A new key that no ID is known of by now: its certificate gets the one that was planned, not the old one's."""
    with patch("safetok.tokens.sessions.Session.key_id", return_value=b""):
        assert box.renew(new_key=True).state == "DONE"
    assert [ids.count(box.journal().key_id.hex()) for ids in box.objects().values()] == [1, 1, 1]


@pytest.mark.parametrize("old", [True, False], ids=["of the old certificate", "none"])
def test_a_key_without_a_name_lends_none(box: Box, *, old: bool) -> None:
    """A key that no ID is known of: the new certificate gets the old one's, so that both are paired alike; else none."""
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    (identity,) = box.objects()["Certificate"]
    if not old:
        tool(box, "--delete", url(box, "cert"))
    with patch("safetok.tokens.sessions.Session.key_id", return_value=b""):
        came = box.resume()
    assert came.state == "DONE"
    named = [found for kind, _label, found in labels(box) if kind == "Certificate"]
    assert "".join(named) == (identity * 2 if old else "")


# --- the test signature ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("story", ["ec-owed", "v2-owed"])
@pytest.mark.parametrize("key", ["ec", "rsa", "no key"])
def test_a_key_of_another_kind_proves_nothing(box: Box, story: str, key: str) -> None:
    """Whatever signs, a signature that the new certificate does not verify confirms nothing: 10 `test_signature`."""
    made: dict[str, Callable[[], Any]] = {
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "no key": object,
    }
    box.story = story
    stopped_in(box, "workflows.renew.writing.prove")
    put(box, State.WRITTEN)
    with patch("safetok.tokens.sessions.Session.private_key", return_value=made[key]()):
        came = box.resume()
    assert (came.status, came.code, came.state) == (10, "test_signature", "WRITTEN")
    assert [row["state"] for row in box.issued()] == ["issued"]


def test_what_is_signed_is_no_document(box: Box) -> None:
    """The token signs a fixed text that says so, and 32 random bytes."""
    box.story = "v2-owed"
    signed: list[bytes] = []
    of_the_token = TokenRsaKey.sign

    def sign(key: TokenRsaKey, data: bytes, padding: Any, algorithm: Any) -> bytes:
        signed.append(bytes(data))
        return of_the_token(key, data, padding, algorithm)

    with patch.object(TokenRsaKey, "sign", sign):
        assert box.renew().state == "DONE"
    tried = [data for data in signed if data[0] not in b"\x30\x31"]  # the others are parts of CMP and CMS messages
    prefix = b"safetok test signature, no legal effect\x00"
    assert [data[:-32] for data in tried] == [prefix] * len(tried)
    assert len({data[-32:] for data in tried}) == len(tried) > 0


# --- what a person is asked ----------------------------------------------------------------------------------------------


def test_the_pin_is_asked_for_by_name(box: Box) -> None:
    """On resume, whose PIN it is: the company and the Token ID."""
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    asked: list[str] = []

    def pin(_nobody: Nobody, question: str) -> str:
        asked.append(question)
        return box.token.pin

    with patch.multiple(Nobody, create=True, interactive=True, pin=pin):
        assert box.resume(pin=False).state == "DONE"
    (question,) = asked
    assert certificates.parse(box.journal().old_certificate).subject_name in question
    assert box.token.serial in question


def test_a_pin_that_is_not_this_ca_s_is_not_sent(box: Box) -> None:
    """Too long for SAFE-CA: 2 `pin_profile` on resume, and no try is spent."""
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    with box.context() as context:
        wrong = replace(box.request(), pin=PinSource(_given="123456789", keyring=False))
        _done, (error,) = unfinished.resume(context, wrong)
    assert isinstance(error, UsageError)
    assert error.code == "pin_profile"
    assert error.data["renewal_id"] == box.journal().id
    assert box.resume().state == "DONE"
