"""One token of two companies in a batch: each row is its own company's, whatever the other one waits for."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator

import pytest
from support_fleet import PIN, Fleet, as_made, kept_fleet
from support_inside import Inside
from support_tokens import run

from safetok.sandbox.places import read_json, write_json


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """One token that carries the certificates of two companies, each with its key's ID, and their CA."""
    with kept_fleet(2) as made, as_made(made) as fleet:
        der = base64.b64decode(read_json(fleet.places.ca / "register.json")[1]["der"])
        (fleet.folder / "second.der").write_bytes(der)
        first, second = sorted(
            fleet.places.tokens.iterdir(), key=lambda folder: fleet.serials[0] not in _serial(folder)
        )
        assert fleet.serials[0] in _serial(first)
        second.rename(fleet.folder / "away")
        given = ("--slot-index", "0", "--login", "--pin", PIN, "--type", "cert", "--id", "5e", "--label", "second")
        words = (
            "pkcs11-tool",
            "--module",
            str(fleet.module),
            *given,
            "--write-object",
            str(fleet.folder / "second.der"),
        )
        run("env", f"SOFTHSM2_CONF={fleet.places.softhsm}", *words)
        yield fleet


def _serial(folder: object) -> str:
    return str(folder).replace("-", "")


@pytest.fixture
def cli(fleet: Fleet) -> Inside:
    """The program in this process."""
    given = {name: value for name, value in fleet.environ.items() if name.startswith(("SAFETOK_", "SOFTHSM2_"))}
    return Inside(given)


def issued(fleet: Fleet) -> set[tuple[str, str]]:
    """Old and new serial of what the CA issued and had confirmed."""
    with urllib.request.urlopen(f"{fleet.ca_url}/ledger", timeout=10) as answer:
        rows = json.loads(answer.read())["issued"]
    return {(one["old_serial"], one["serial"]) for one in rows if one["state"] == "confirmed"}


def test_a_row_is_never_done_with_the_other_company_s_certificate(cli: Inside, fleet: Fleet) -> None:
    """The first company's answer is lost and its row waits: the second company's row is done with its own certificate."""
    path = fleet.write_list(fleet.folder / "list.csv", [])
    heads = path.read_text("utf-8-sig").strip()
    lines = [f"{fleet.serials[0]};{mst};30/06/2028;có;file:pin.txt" for mst in fleet.msts[:2]]
    path.write_text("\r\n".join([heads, *lines]), encoding="utf-8-sig")
    assert cli.json("batch", "plan", str(path)).status == 0
    write_json(fleet.places.ca / "faults.json", [{"name": "cut", "on": "kur"}])
    plan = str(fleet.folder / "list.plan.json")
    first = cli.json("batch", "run", plan, "--patience", "0", "--jobs", "1")
    assert sorted(row["state"] for row in first.data["rows"]) == ["done", "waiting"]
    assert cli.json("batch", "run", plan, "--patience", "0", "--jobs", "1").status == 0
    rows = cli.json("batch", "report", plan).data["rows"]
    assert {row["state"] for row in rows} == {"done"}
    assert len({row["renewal_id"] for row in rows}) == 2
    assert not any(row["message"] for row in rows)
    assert {(row["old_serial"], row["new_serial"]) for row in rows} == issued(fleet)


def test_a_token_is_to_be_pulled_out_after_its_last_row(cli: Inside, fleet: Fleet) -> None:
    """--insert: nobody is told to pull the token out while the second company's renewal is still to come on it."""
    path = fleet.write_list(fleet.folder / "list.csv", [])
    heads = path.read_text("utf-8-sig").strip()
    lines = [f"{fleet.serials[0]};{mst};30/06/2028;có;file:pin.txt" for mst in fleet.msts[:2]]
    path.write_text("\r\n".join([heads, *lines]), encoding="utf-8-sig")
    assert cli.json("batch", "plan", str(path)).status == 0
    said = cli("batch", "run", str(fleet.folder / "list.plan.json"), "--insert")
    assert said.status == 0, said.err
    told = [json.loads(line)["event"] for line in said.err.splitlines()]
    assert [name for name in told if name in {"row_end", "pull_out"}] == ["row_end", "row_end", "pull_out"]


def test_an_unfinished_renewal_of_another_company_is_left_alone(cli: Inside, fleet: Fleet) -> None:
    """`renew --mst` of one company does not carry on what the other one's waits for."""
    write_json(fleet.places.ca / "faults.json", [{"name": "cut", "on": "kur"}])
    pin = fleet.folder / "one-pin.txt"
    pin.write_text(PIN, encoding="ascii")
    pin.chmod(0o600)
    confirmed = ("--contract-end", "30/06/2028", "--confirm-contract-end", "30/06/2028")
    words = ("--pin-file", str(pin), "--yes", *confirmed)
    waits = cli.json("renew", "--mst", fleet.msts[0], *words)
    other = cli.json("renew", "--mst", fleet.msts[1], *words)
    assert (waits.status, other.status) == (8, 0)
    assert other.data["renewal_id"] != waits.data["renewal_id"]
    assert issued(fleet) == {(other.data["old_serial"], other.data["new_serial"])}
    resumed = cli.json("renew", "--resume", "--pin-file", str(pin))
    assert resumed.data["renewal_id"] == waits.data["renewal_id"]
    assert len(issued(fleet)) == 2
