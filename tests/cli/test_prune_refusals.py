"""When a superseded certificate stays on its token: every reason by itself, and a removal that does not go as it should."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support_inside import Inside
from support_issued import NOW, issued
from support_simulator import Simulator
from support_store import renewal
from support_tokens import PIN, MadeToken

from safetok.store.database import Database
from safetok.store.journal import Journal
from safetok.store.paths import home
from safetok.tokens.keys import TokenEcKey

Make = Callable[..., MadeToken]
OLD, NEW = "54010108096D8A02E2F22CE98BD7168E", "54010108AAAA"
AGENCIES = ("tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5")
NEWER: dict[str, Any] = {"serial": int(NEW, 16), "start": datetime(2026, 1, 1, tzinfo=UTC), "days_left": 700}


@pytest.fixture
def cli(simulator: Simulator, tmp_path: Path) -> Inside:
    """The command line in this process, with the simulator as its driver and a home of its own."""
    return Inside({"SAFETOK_HOME": str(tmp_path / "home"), **simulator.surroundings})


@pytest.fixture
def renewed(make_token: Make, ec_key: Any) -> MadeToken:
    """A token with an old and a new certificate of one key."""
    return make_token("Kho A", certificates=[issued(ec_key), issued(ec_key, **NEWER)], keys=[ec_key])


def settled(cli: Inside) -> None:
    """No agency waits for the new certificate."""
    assert cli("certs", "adopt", "--cert", NEW, "--yes").status == 0
    assert cli("agencies", "skip", *AGENCIES, "--cert", NEW).status == 0


def prune(cli: Inside, *words: str) -> Any:
    return cli.json("certs", "prune", OLD, *words, "--pin-stdin", stdin=f"{PIN}\n")


def missing(cli: Inside) -> list[str]:
    (row,) = cli.json("certs", "prune").data["certificates"]
    return [one["code"] for one in row["missing"]]


def on_token(cli: Inside) -> set[str]:
    return {one["serial"] for one in cli.json("certs", "list").data["certificates"]}


def test_without_a_token_there_is_nothing_to_look_at(cli: Inside) -> None:
    """3 for the list and for a removal."""
    assert cli.json("certs", "prune").status == 3
    assert prune(cli).status == 3


def test_an_unfinished_renewal_and_write_protection_come_first(
    cli: Inside, simulator: Simulator, renewed: MadeToken
) -> None:
    """Both are named, the renewal with its command; nobody logs in."""
    settled(cli)
    with Database(home(cli.env).database) as db:
        Journal(db).create(renewal(token_serial=renewed.serial))
    simulator.steer(write_protected="yes")
    assert missing(cli) == ["renewal_running", "write_protected"]
    said = prune(cli)
    assert (said.status, said.codes) == (11, ["prune_refused"])
    assert said.envelope["errors"][0]["hint"] == "safetok renew --resume"
    assert simulator.count("C_Login") == 0


@pytest.mark.parametrize(
    ("newer", "reasons"),
    [
        ({**NEWER, "days_left": 10}, ["not_longer"]),
        ({**NEWER, "start": NOW + timedelta(days=3)}, ["successor_unusable"]),
    ],
)
def test_a_newer_one_that_is_no_better_replaces_nothing(
    cli: Inside, make_token: Make, ec_key: Any, newer: dict[str, Any], reasons: list[str]
) -> None:
    """One that ends earlier, or is not valid yet: the older one stays, and the reason is told."""
    make_token("Kho A", certificates=[issued(ec_key), issued(ec_key, **newer)], keys=[ec_key])
    found = cli.json("certs", "prune").data["certificates"]
    assert [[one["code"] for one in row["missing"] if one["code"] != "not_adopted"] for row in found] == [reasons]
    assert on_token(cli) == {OLD, NEW}


def test_the_same_certificate_on_two_tokens_is_asked_about(
    cli: Inside, simulator: Simulator, make_token: Make, ec_key: Any
) -> None:
    """4 with the choices where none was made; --serial makes it."""
    both = [issued(ec_key), issued(ec_key, **NEWER)]
    tokens = [make_token(label, certificates=both, keys=[ec_key]) for label in ("Kho A", "Kho B")]
    settled(cli)
    said = prune(cli)
    assert said.status == 4
    assert {one["token"] for one in said.data["choices"]} == {token.serial for token in tokens}
    assert prune(cli, "--serial", tokens[1].serial).status == 0
    assert simulator.count("C_DestroyObject") == 1


def test_a_token_without_a_number_of_its_own_is_left_alone(cli: Inside, renewed: MadeToken) -> None:
    """A blank Token ID: nothing of it may be removed."""
    file = renewed.folder / "token.object"
    file.write_bytes(file.read_bytes().replace(renewed.serial.encode(), b" " * 16))
    assert cli.json("certs", "prune").data["certificates"] == []
    assert prune(cli).codes == ["not_superseded"]


# --- a removal that goes wrong -------------------------------------------------------------------------------------------


def test_a_driver_that_dies_while_removing_leaves_a_question_and_the_file(
    cli: Inside, simulator: Simulator, renewed: MadeToken
) -> None:
    """17, with where to look; the certificate was exported before."""
    settled(cli)
    simulator.steer(faults=["C_DestroyObject 1 crash"])
    said = prune(cli)
    assert said.status == 17
    assert said.envelope["errors"][0]["hint"]
    assert list((Path(cli.env["SAFETOK_HOME"])).rglob("*.cer"))


def test_a_token_that_keeps_what_it_says_it_removed_is_no_success(
    cli: Inside, simulator: Simulator, renewed: MadeToken
) -> None:
    """The object is still there after the removal: 10, and where to look."""
    settled(cli)
    simulator.steer(faults=["C_DestroyObject 1 return 0x82"])
    said = prune(cli)
    assert (said.status, said.codes) == (10, ["write_failed"])
    assert on_token(cli) == {OLD, NEW}


def test_a_newer_one_whose_key_signs_otherwise_removes_nothing(
    cli: Inside, renewed: MadeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial signature that the newer certificate does not verify: 10, the old one stays."""
    settled(cli)
    real = TokenEcKey.sign
    monkeypatch.setattr(TokenEcKey, "sign", lambda self, _data, how: real(self, b"something else", how))
    said = prune(cli)
    assert (said.status, said.codes) == (10, ["key_missing"])
    monkeypatch.undo()
    assert on_token(cli) == {OLD, NEW}
