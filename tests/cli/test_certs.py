from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support_cli import Cli
from support_issued import issued

SERIAL = "54010108096D8A02E2F22CE98BD7168E"
NEW = 0x54010108096D8A02E2F22CE98BD7168F


def test_the_serial_is_as_agencies_print_it(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Upper-case hex without separators, decimal on request."""
    make_token(certificates=[issued(rsa_key)])
    assert cli.json("certs", "list").data["certificates"][0]["serial"] == SERIAL
    assert SERIAL in cli("certs").out
    assert str(int(SERIAL, 16)) in cli("certs", "list", "--decimal").out


def test_current_and_old_are_marked(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Of one company's certificates the later is current, and the programme counts both as settled."""
    later = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    make_token(certificates=[issued(rsa_key), issued(rsa_key, serial=NEW, start=later, days_left=400)], keys=[rsa_key])
    rows = {c["serial"]: c for c in cli.json("certs", "list").data["certificates"]}
    assert rows[SERIAL]["current"] is False
    assert rows[f"{NEW:X}"]["current"] is True
    assert {row["campaign"]["answer"] for row in rows.values()} == {"done"}


def test_each_company_on_a_token_has_its_own_current_certificate(
    cli: Cli, make_token: Callable[..., Any], rsa_key: Any
) -> None:
    """Two companies on one token do not make each other's certificates old."""
    make_token(certificates=[issued(rsa_key), issued(rsa_key, mst="0106323762", name="B", serial=NEW)])
    assert [c["current"] for c in cli.json("certs", "list").data["certificates"]] == [True, True]


@pytest.mark.parametrize(
    ("mst", "verdict"),
    [("0106324653", "valid"), ("0106324654", "bad_check_digit"), ("0106324653-001", "valid"), ("12345", "bad_length")],
)
def test_the_check_digit_is_told(
    cli: Cli, make_token: Callable[..., Any], rsa_key: Any, mst: str, verdict: str
) -> None:
    """Each MST comes with the verdict of its check digit."""
    make_token(certificates=[issued(rsa_key, mst=mst)])
    assert cli.json("certs", "list").data["certificates"][0]["mst_check"] == verdict


def test_the_key_is_looked_for_without_a_pin(
    cli: Cli, make_token: Callable[..., Any], rsa_key: Any, other_rsa_key: Any
) -> None:
    """A certificate whose key is there says so; one whose key is not is never called present."""
    make_token("with", certificates=[issued(rsa_key)], keys=[rsa_key])
    make_token("without", certificates=[issued(other_rsa_key, serial=NEW, mst="0106323762", name="B")])
    keys = {c["serial"]: c["key"] for c in cli.json("certs", "list").data["certificates"]}
    assert keys[SERIAL] == "present"
    assert keys[f"{NEW:X}"] in {"absent", "unknown_without_pin"}


def test_every_condition_of_the_programme_is_named(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """A SAFE-CA certificate of the programme with no known contract end is undecided, and each condition says why."""
    make_token(certificates=[issued(rsa_key)])
    campaign = cli.json("certs", "list").data["certificates"][0]["campaign"]
    assert campaign["answer"] == "unknown"
    assert [(c["name"], c["holds"]) for c in campaign["conditions"]] == [
        ("authority", True),
        ("issued_before", True),
        ("contract_end_after", None),
    ]


def test_another_issuer_is_not_in_the_programme(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """A certificate of another CA is told so and nothing more."""
    make_token(certificates=[issued(rsa_key, issuer="LCS-CA G1")])
    row = cli.json("certs", "list").data["certificates"][0]
    assert row["authority"] == "lcs-ca"
    assert row["campaign"]["answer"] == "no"
    assert row["campaign"]["reasons"] == ["không phải SAFE-CA"]


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_a_file_is_shown_without_a_token(cli: Cli, tmp_path: Path, rsa_key: Any, form: str) -> None:
    """`certs show FILE` reads DER and PEM, with no token in, and says nothing of a key."""
    file = tmp_path / "a b.cer"
    file.write_bytes(issued(rsa_key).public_bytes(getattr(Encoding, form)))
    said = cli.json("certs", "show", str(file))
    assert said.status == 0
    (row,) = said.data["certificates"]
    assert (row["serial"], row["key"], row["token"]) == (SERIAL, None, None)


def test_a_file_that_is_no_certificate(cli: Cli, tmp_path: Path) -> None:
    """Rubbish is a usage error that names the file."""
    file = tmp_path / "x.cer"
    file.write_text("hello")
    said = cli.json("certs", "show", str(file))
    assert (said.status, said.codes) == (2, ["bad_certificate_file"])


@pytest.mark.parametrize("typed", [SERIAL, SERIAL.lower(), ":".join(SERIAL[i : i + 2] for i in range(0, 32, 2))])
def test_a_serial_however_it_is_typed(cli: Cli, make_token: Callable[..., Any], rsa_key: Any, typed: str) -> None:
    """Small letters and separators do not matter."""
    make_token(certificates=[issued(rsa_key)])
    assert cli.json("certs", "show", typed).data["certificates"][0]["serial"] == SERIAL


def test_the_certificate_seen_before_is_still_shown(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Once seen, a certificate is shown with the token out; its key is then not spoken of."""
    import shutil

    token = make_token(certificates=[issued(rsa_key)])
    assert cli("certs", "list").status == 0
    shutil.rmtree(token.folder)
    said = cli.json("certs", "show", SERIAL)
    assert said.status == 0
    assert said.data["certificates"][0]["key"] is None


def test_one_certificate_needs_no_name_and_two_do(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """`certs show` alone shows the only current certificate; with two it asks which, and guesses neither."""
    make_token("one", certificates=[issued(rsa_key)])
    assert cli.json("certs", "show").data["certificates"][0]["serial"] == SERIAL
    make_token("two", certificates=[issued(rsa_key, serial=NEW, mst="0106323762", name="B")])
    assert cli.json("certs", "show").status == 4


def test_an_unknown_serial(cli: Cli, make_token: Callable[..., Any]) -> None:
    """A serial nobody has seen ends with 3."""
    make_token()
    said = cli.json("certs", "show", "54019999")
    assert (said.status, said.codes) == (3, ["no_such_certificate"])


def test_a_certificate_that_appeared_is_adopted(
    cli: Cli, make_token: Callable[..., Any], softhsm: Any, rsa_key: Any
) -> None:
    """A newer certificate on a known token is named by status and taken over by adopt, which opens the seven agencies once."""
    from support_tokens import add_certificate

    token = make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    cli("status")
    later = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    add_certificate(softhsm, token, issued(rsa_key, serial=NEW, start=later, days_left=400), b"\x02", "new")
    seen = cli.json("status").data["new_certificates"]
    assert [(one["cert"], one["replaces"]) for one in seen] == [(f"{NEW:X}", SERIAL)]
    said = cli.json("certs", "adopt", "--yes")
    assert [one["agencies_open"] for one in said.data["adopted"]] == [7]
    assert cli.json("certs", "adopt", "--yes").data["adopted"] == []
    after = cli.json("status").data
    assert after["new_certificates"] == []
    assert len(after["registrations"]) == 7


def test_adoption_is_never_assumed(cli: Cli, make_token: Callable[..., Any], softhsm: Any, rsa_key: Any) -> None:
    """Without a yes and with nobody to ask, nothing is taken over."""
    from support_tokens import add_certificate

    token = make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    cli("status")
    later = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    add_certificate(softhsm, token, issued(rsa_key, serial=NEW, start=later, days_left=400), b"\x02", "new")
    assert cli.json("certs", "adopt").status == 11
    assert cli.json("status").data["registrations"] == []


def test_a_no_says_how_to_take_it_over_later(
    cli: Cli, make_token: Callable[..., Any], softhsm: Any, rsa_key: Any
) -> None:
    """[C/k] as the notice's words have it; after a no the answer, `status` and `agencies list` name the command, and it works."""
    from support_terminal import on_a_terminal

    later = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    make_token(certificates=[issued(rsa_key), issued(rsa_key, serial=NEW, start=later, days_left=400)], keys=[rsa_key])
    command = f"safetok certs adopt --cert {NEW:X}"
    cli("status")
    assert command in " ".join(on_a_terminal(cli, "certs", "adopt", answers=[("[C/k]", "k")], columns=300).out.split())
    for words in (("status",), ("agencies", "list"), ("agencies", "remind")):
        assert command in cli(*words).out
        assert [one["cert"] for one in cli.json(*words).data["not_opened"]] == [f"{NEW:X}"]
    assert cli(*command.split()[1:]).status == 0
    assert cli.json("status").data["not_opened"] == []
    assert len(cli.json("agencies", "list").data["registrations"]) == 7


def test_a_token_that_is_not_activated_needs_a_person(cli: Cli, make_token: Callable[..., Any]) -> None:
    """`certs show` on an empty token ends with 11 and says that this is normal, as `renew` does."""
    make_token()
    said = cli.json("certs", "show")
    assert (said.status, said.codes) == (11, ["not_activated"])


def test_a_persons_certificate_is_not_the_companys(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """A person's certificate in a company has the company's MST too, and makes the company's own one neither old nor done."""
    later = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    person = ("MST:0106324653", "CCCD:001099000057")
    make_token(
        certificates=[issued(rsa_key), issued(rsa_key, name="B", uids=person, serial=NEW, start=later, days_left=400)]
    )
    rows = {c["serial"]: c for c in cli.json("certs", "list").data["certificates"]}
    assert [rows[SERIAL]["current"], rows[f"{NEW:X}"]["current"]] == [True, True]
    assert rows[SERIAL]["campaign"]["answer"] == "unknown"


def test_a_top_up_on_one_token_settles_nothing_on_another(
    cli: Cli, make_token: Callable[..., Any], rsa_key: Any, other_rsa_key: Any
) -> None:
    """A company with two tokens is still owed time on the second when the first was topped up."""
    later = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    make_token("A", certificates=[issued(rsa_key, serial=NEW, start=later, days_left=400)])
    make_token("B", certificates=[issued(other_rsa_key)])
    rows = {c["serial"]: c for c in cli.json("certs", "list").data["certificates"]}
    assert rows[SERIAL]["campaign"]["answer"] == "unknown"
