from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
from support_mail import ISSUER, surroundings
from support_store import token_info
from support_trust import DAY, NOW, OCSP_URL, Web, issue, key, name, places
from test_trust_ocsp import responder

from safetok.domain.agencies import RegistrationState
from safetok.domain.authorities import Authority
from safetok.domain.certificates import Certificate
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.tokens import KeyPresence, StoredCertificate, TokenReading
from safetok.errors import CaUnreachable, CaWait, ExitStatus, NotChecked
from safetok.knowledge import load
from safetok.store.answers import Answers
from safetok.store.inventory import Inventory
from safetok.store.registrations import Registrations
from safetok.workflows import refresh as refreshing
from safetok.workflows.refresh import current_certificates, refresh


def leaf(number: int, ocsp: str = OCSP_URL, **bent: Any) -> Certificate:
    subject = name(f"CONG TY {number}", f"MST:{number:010}")
    return issue(subject, "SAFE-CA 2024", key("company"), key("SAFE-CA 2024"), places(ocsp, None), **bent)


def seen(context: Any, **tokens: list[Certificate]) -> None:
    """What a look at these tokens left in the inventory."""
    for serial, certificates in tokens.items():
        stored = [
            StoredCertificate(certificate=c, cka_id=b"\x01", label="c", key=KeyPresence.PRESENT) for c in certificates
        ]
        reading = TokenReading(info=token_info(serial), certificates=tuple(stored))
        Inventory(context.database).record(reading, NOW)


def test_each_company_s_current_certificate_is_asked_about(tmp_path: Path) -> None:
    """Of a token with two companies both are asked about, older ones and those gone from it are not."""
    old, new, other, gone = leaf(1, begins=NOW - 300 * DAY), leaf(1), leaf(2), leaf(3)
    context = surroundings(tmp_path, Web({OCSP_URL: responder(of=new, issuer=ISSUER, signer=ISSUER)}))
    seen(context, T1=[gone])
    seen(context, T1=[old, new, other])
    asked = {certificate.sha256 for _serial, certificate in current_certificates(context)}
    assert asked == {new.sha256, other.sha256}
    failures = refresh(context)
    assert [(failure.token, failure.data["serial"]) for failure in failures] == [("T1", other.serial)]
    kept = Answers(context.database).revocation(new.sha256)
    assert kept is not None
    assert kept.answer is RevocationAnswer.GOOD
    context.close()


def test_an_old_one_that_an_agency_still_knows_is_asked_about_without_an_offer(tmp_path: Path) -> None:
    """What is still signed with is checked anew each night, until the last agency has learned the new one."""
    old, new = leaf(1, begins=NOW - 300 * DAY), leaf(1)
    files = {"issuers": (tmp_path / "ca.pem",), "anchors": (tmp_path / "root.pem",)}
    authority = Authority(name="safe-ca", title="SAFE-CA", offers_url="https://offers.example.vn", **files)
    web = Web({OCSP_URL: responder(of=old, issuer=ISSUER, signer=ISSUER)})
    context = surroundings(tmp_path, web, authorities={"safe-ca": authority})
    seen(context, T1=[old])
    seen(context, T1=[old, new])
    registrations = Registrations(context.database)
    agency, *_rest = load.agencies()
    (row,) = registrations.open_for(new, [agency], NOW, replaces=old.sha256)
    with patch.object(refreshing, "_ask_for_offer") as offers:
        refresh(context)
    assert [call.args[1].sha256 for call in offers.call_args_list] == [new.sha256]
    kept = Answers(context.database).revocation(old.sha256)
    assert kept is not None
    assert kept.answer is RevocationAnswer.GOOD
    registrations.change(row, now=NOW, state=RegistrationState.UNUSED)
    with patch.object(refreshing, "_ask_for_offer"):
        assert [(one.token, one.data["serial"]) for one in refresh(context)] == [("T1", new.serial)]
    context.close()


def test_what_fails_is_told_and_stops_nothing(tmp_path: Path) -> None:
    """A dead responder of one CA leaves the others asked; its failure is 18, with the token's serial."""
    dead, alive = leaf(1, "http://dead.example.vn"), leaf(2)
    web = Web({OCSP_URL: responder(of=alive, issuer=ISSUER, signer=ISSUER)})
    context = surroundings(tmp_path, web)
    seen(context, T1=[dead], T2=[alive])
    (failure,) = refresh(context)
    assert (failure.exit_status, failure.token) == (ExitStatus.NOT_CHECKED, "T1")
    kept = Answers(context.database).revocation(alive.sha256)
    assert kept is not None
    assert kept.answer is RevocationAnswer.GOOD
    context.close()


def test_a_ca_that_cannot_be_reached_names_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that found no connection, or a CA too busy for it, says what to do."""
    context = surroundings(tmp_path, Web())
    seen(context, T1=[leaf(1)])
    for error in (CaUnreachable("No connection to 127.0.0.1."), CaWait("Come back in 30 seconds.")):
        monkeypatch.setattr("safetok.workflows.refresh.ask_now", Mock(side_effect=error))
        (failure,) = refresh(context)
        assert "safetok status --refresh" in failure.hint
    context.close()


def test_a_dead_server_is_tried_once_in_a_run(tmp_path: Path) -> None:
    """Hundreds of tokens of one CA cost one time-out, not hundreds."""

    class Dead(Web):
        def public(self, method: str, url: str, **_how: Any) -> Any:
            self.asked.append((method, url))
            raise NotChecked("took too long", code="timed_out")

    web = Dead()
    context = surroundings(tmp_path, web)
    seen(context, **{f"T{number}": [leaf(number)] for number in range(5)})
    assert len(refresh(context)) == 5
    assert len(web.asked) == 1
    context.close()


def test_an_expired_certificate_without_an_answer_is_no_failure(tmp_path: Path) -> None:
    """CAs do not answer for expired ones: unknown is kept, and it is nothing to report."""
    old = leaf(1, begins=NOW - 400 * DAY, ends=NOW - DAY)
    context = surroundings(tmp_path, Web())
    seen(context, T1=[old])
    assert refresh(context) == ()
    kept = Answers(context.database).revocation(old.sha256)
    assert kept is not None
    assert kept.answer is RevocationAnswer.UNKNOWN
    context.close()


def test_one_token_can_be_asked_about_alone(tmp_path: Path) -> None:
    """With a serial the others are left in peace."""
    context = surroundings(tmp_path, Web())
    seen(context, T1=[leaf(1)], T2=[leaf(2)])
    (failure,) = refresh(context, token_serial="T2")
    assert failure.token == "T2"
    context.close()
