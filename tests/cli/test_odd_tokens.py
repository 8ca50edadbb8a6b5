"""Tokens and stores that are a little odd: empty tokens, blank numbers, lists that are damaged, answers that say nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from support_clock import Clocked
from support_inside import Inside
from support_issued import NOW as REAL_NOW
from support_issued import issued
from support_simulator import Simulator
from support_store import NOW, certificate, reading
from support_tokens import MadeToken, SoftHsm

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.knowledge import load
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.store.registrations import Registrations

Make = Callable[..., MadeToken]


@pytest.fixture
def cli(softhsm: SoftHsm, tmp_path: Path) -> Inside:
    """The command line in this process, with SoftHSM as its only driver, a home of its own and no keyring."""
    return Inside(
        {
            "SAFETOK_HOME": str(tmp_path / "home"),
            **softhsm.surroundings,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "SHELL": "/bin/bash",
            "HOME": str(tmp_path),
            "SAFETOK_LANG": "en",
        }
    )


def blank(token: MadeToken) -> None:
    """Take the token's number away."""
    file = token.folder / "token.object"
    file.write_bytes(file.read_bytes().replace(token.serial.encode(), b" " * 16))


# --- what is on a token --------------------------------------------------------------------------------------------------


def test_one_empty_token_has_a_next_step_and_two_have_none(cli: Inside, make_token: Make) -> None:
    """Alone it may have come from LCS: no PIN, and where to record it. Beside another nothing is due."""
    make_token("Mới")
    said = cli.json()
    assert (said.status, said.data["state"]) == (0, "no_certificate")
    assert "do not type a PIN" in cli().out
    make_token("Mới 2")
    assert cli.json().data["state"] == "nothing_due"


def test_nothing_is_due_for_a_token_that_no_command_can_name(cli: Inside, make_token: Make, ec_key: Any) -> None:
    """Its number is blank: shown, its certificate too, but nothing to do is told of it."""
    made = make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    assert cli.json("status", "--check").status == 14
    blank(made)
    said = cli.json("status", "--check")
    assert (said.status, len(said.data["tokens"])) == (0, 1)


def test_a_token_s_number_means_its_certificates(cli: Inside, make_token: Make, ec_key: Any) -> None:
    """`certs show` and `certs check` take a Token ID; without a token, or with an empty one, they say so."""
    assert cli.json("certs", "check").status == 3
    empty = make_token("Mới")
    assert cli.json("certs", "check").status in {3, 11}
    made = make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    shown = cli.json("certs", "show", made.serial)
    assert shown.status == 0, shown.out
    checked = cli.json("certs", "check", made.serial)
    assert [one["token"] for one in checked.data["certificates"]] == [made.serial]
    assert cli.json("certs", "check", empty.serial).status != 0


def test_a_certificate_without_an_end_stops_no_look(
    cli: Inside, make_token: Make, ec_key: Any, rsa_key: Any, tmp_path: Path
) -> None:
    """notAfter 99991231235959Z (RFC 5280 section 4.1.2.5) is shown as 31/12/9999, and the other token's certificate beside it."""
    endless = issued(rsa_key, name="VÔ HẠN", serial=77, end=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    before = issued(rsa_key, name="VÔ HẠN", serial=76, start=datetime(2023, 1, 1, tzinfo=UTC))
    make_token("Kho A", certificates=[before, endless], keys=[rsa_key])
    other = make_token("Kho B", certificates=[issued(ec_key)], keys=[ec_key])
    said = cli.json("status")
    assert (said.status, len(said.data["tokens"])) == (0, 2)
    assert "31/12/9999" in cli("status").out
    for words in (["tokens"], ["certs", "list"], ["certs", "show", "4D"], ["certs", "prune"], ["doctor"], ["history"]):
        assert cli.json(*words).status in {0, 14}, words
        assert cli(*words).status in {0, 14}, words
    assert "Something" not in cli.json("certs", "check").out
    assert cli("export", "--cert", "4D", "--out", str(tmp_path / "out")).status == 0
    assert cli("certs", "adopt", "--cert", "4D", "--yes").status == 0
    assert cli("export", "--cert", "4D", "--kit", str(tmp_path / "kit")).status == 0
    assert "9999-12-31T23:59:59" in "".join(file.read_text() for file in (tmp_path / "kit").rglob("*.xml"))
    assert cli.json("renew", "--serial", other.serial, "--dry-run").status != 1
    assert cli("agencies", "list", "--xlsx", str(tmp_path / "list.xlsx")).status == 0


NOT_UTF8 = os.fsdecode(b"ab\xff")


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["certs", "show", "²"], 3, "no_such_certificate"),
        (["certs", "show", "1" * 5000], 3, "no_such_certificate"),
        (["certs", "check", "1" * 5000], 3, "no_such_certificate"),
        (["certs", "show", NOT_UTF8], 3, "no_such_certificate"),
        (["agencies", "list", "--cert", "²"], 2, "unknown_certificate"),
        (["tokens", "note", "{token}", NOT_UTF8], 2, "not_text"),
        (["tokens", "set-kind", NOT_UTF8, "V1"], 2, "not_text"),
        (["dossier", "show", "--mst", NOT_UTF8], 2, "not_text"),
        (["contacts", NOT_UTF8], 2, "no_such_authority"),
        (["renew", "--abandon", NOT_UTF8], 2, "unknown_renewal"),
    ],
    ids=range(10),
)
def test_a_word_that_can_be_nothing_is_told_and_no_surprise(
    cli: Inside, make_token: Make, ec_key: Any, words: list[str], status: int, code: str
) -> None:
    """Digits that are none, thousands of them, bytes that are not UTF-8: one sentence, as JSON that any parser reads, too."""
    made = make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    words = [word.format(token=made.serial) for word in words]
    said = cli.json(*words)
    assert (said.status, said.codes) == (status, [code]), said.out
    assert said.out.encode("utf-8")
    assert cli(*words).status == status


def test_columns_that_are_no_number_are_none(cli: Inside) -> None:
    """COLUMNS=² is a width like none at all."""
    assert cli("contacts", env={"COLUMNS": "²"}).status == 0


def test_a_word_that_is_no_text_is_shown_as_what_it_is(cli: Inside, make_token: Make) -> None:
    """The sentence shows the bytes, escaped, and the next step."""
    said = cli("tokens", "note", make_token("Kho A").serial, NOT_UTF8)
    assert "ab\\udcff is not text" in said.err
    assert "UTF-8" in said.err


def test_a_file_whose_name_is_no_text_is_read_and_written(
    cli: Inside, make_token: Make, ec_key: Any, tmp_path: Path
) -> None:
    """Only what is kept or looked for must be UTF-8: a path need not be."""
    made = make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    folder = tmp_path / NOT_UTF8
    assert cli.json("export", "--serial", made.serial, "--out", str(folder)).status == 0
    assert cli.json("certs", "show", str(next(folder.glob("*.pem")))).status == 0
    assert cli("status", "--log-file", str(folder / f"{NOT_UTF8}.log"), "-vv").status == 0


def test_a_pin_that_is_no_text_is_sent_nowhere(cli: Inside, make_token: Make, ec_key: Any) -> None:
    """From a variable, say: 2, and no try is counted."""
    made = make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    pin = f"{made.pin}{NOT_UTF8[-1]}"
    words = ("pin", "change", "--pin-env", "P", "--new-pin-env", "N", "--pin-as-is")
    said = cli.json(*words, env={"P": pin, "N": "135790"})
    assert (said.status, said.codes) == (2, ["pin_refused_locally"])
    assert pin not in said.out
    assert cli.json("status").data["tokens"][0]["pin_tries_spent"] == 0


def test_an_answer_that_says_nothing_is_no_good_news(cli: Inside, make_token: Make, ec_key: Any) -> None:
    """The last question about revocation had no answer: `status --check` ends 18 and says do not take it as good."""
    new = issued(ec_key, start=datetime(2026, 1, 1, tzinfo=UTC), days_left=700)
    make_token("Kho A", certificates=[new], keys=[ec_key])
    cli("status")
    with Database(home(cli.env).database) as db:
        sha256 = new.fingerprint(hashes.SHA256()).hex()
        unknown = Revocation(answer=RevocationAnswer.UNKNOWN, reason="no answer", checked_at=REAL_NOW)
        Answers(db).put_revocation(sha256, unknown)
    said = cli.json("status", "--check")
    assert said.status == 18
    assert "do not take it as good" in said.envelope["errors"][0]["message"]


def test_settings_that_name_a_broken_file_are_told_by_a_refresh(
    cli: Inside, make_token: Make, ec_key: Any, tmp_path: Path
) -> None:
    """`status --refresh` shows the token, and says which file of the settings is no certificate."""
    make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    (folder / "ca.pem").write_text("no certificate")
    (folder / "settings.toml").write_text('[authorities.safe-ca]\nissuers = ["ca.pem"]\nanchors = ["ca.pem"]\n')
    said = cli.json("status", "--refresh")
    assert said.status != 0
    assert "ca.pem" in said.out


# --- doctor --------------------------------------------------------------------------------------------------------------


def revocation_list(key: Any, ends: datetime) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(ends - timedelta(days=7))
    return builder.next_update(ends).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_damaged_and_fresh_lists_are_told_apart(cli: Inside, tmp_path: Path, ec_key: Any) -> None:
    """One kept list is fresh, one is no list: the second alone counts as out of date."""
    cache = home(cli.env).cache / "crl"
    cache.mkdir(parents=True, mode=0o700)
    (cache / "a.crl").write_bytes(revocation_list(ec_key, REAL_NOW + timedelta(days=3)))
    findings = {one["code"] for one in cli.json("doctor", "--offline").data["findings"]}
    assert "crl_stale" not in findings
    (cache / "b.crl").write_bytes(b"nothing")
    (stale,) = [one for one in cli.json("doctor", "--offline").data["findings"] if one["code"] == "crl_stale"]
    assert stale["message"].startswith("1 ")


def test_a_shell_that_completes_already_is_no_finding(cli: Inside, tmp_path: Path) -> None:
    """The file is where bash looks for it."""
    place = tmp_path / ".local" / "share" / "bash-completion" / "completions" / "safetok"
    place.parent.mkdir(parents=True)
    place.write_text("")
    assert "completions_missing" not in {one["code"] for one in cli.json("doctor", "--offline").data["findings"]}


# --- agencies ------------------------------------------------------------------------------------------------------------


def test_an_agency_that_is_not_used_has_no_last_moment(tmp_path: Path) -> None:
    """`agencies when` leaves out what the company does not use, and answers for the rest."""
    env = {"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "none.so")}
    cli = Clocked(env, NOW)
    new = certificate(2, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=400))
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", new), NOW)
        Registrations(db).open_for(new, load.agencies(), NOW)
    assert cli("agencies", "skip", "vnaccs").status == 0
    said = cli.json("agencies", "when", "--need", "26/11 10:00")
    assert said.status == 0, said.out
    assert "vnaccs" not in said.out
    assert '"v5"' in said.out


def test_a_token_that_could_not_be_read_is_not_called_empty(
    cli: Inside, simulator: Simulator, make_token: Make, ec_key: Any
) -> None:
    """Another program holds its only session: 17 and the next step, nothing of LCS and activation; what is known stays known."""
    certificate = issued(ec_key)
    made = make_token("Kho A", certificates=[certificate], keys=[ec_key])
    cli.env.update(simulator.environment)
    assert cli.json("tokens").data["tokens"][0]["unread"] is False
    held = [f"C_OpenSession {number} return SESSION_COUNT" for number in range(2, 30)]
    simulator.steer(faults=held)
    for words in ((), ("status",), ("tokens",), ("doctor",)):
        assert "LCS" not in cli(*words).out, words
    (shown,) = cli.json("tokens").data["tokens"]
    assert (shown["unread"], shown["certificates"]) == (True, [])
    for words in (
        ("renew", "--serial", made.serial),
        ("renew", "--mst", "0100109106"),
        ("renew", "--csr", "request.pem"),
        ("pin", "change", "--serial", made.serial),
        ("certs", "show"),
    ):
        said = cli.json(*words)
        assert (said.status, said.codes) == (17, ["token_unread"]), words
    with Database(home(cli.env).database) as database:
        assert [kept.gone_at for kept in Inventory(database).certificates(made.serial)] == [None]
    assert simulator.count("C_Login") == 0
