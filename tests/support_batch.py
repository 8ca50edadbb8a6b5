"""What tests of a batch say again and again: a list planned, what came of its rows, and a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support_cli import Said
from support_fleet import Fleet
from support_inside import Inside


def planned(cli: Inside, fleet: Fleet, rows: list[int], **more: Any) -> Path:
    """The plan of a list of these tokens, by their number in the fleet."""
    said = cli.json("batch", "plan", str(fleet.write_list(fleet.folder / "list.csv", rows, **more)))
    assert said.status == 0, said.out
    return Path(said.data["plan"])


def codes(said: Said) -> list[str]:
    """What came of each row."""
    return [row["code"] for row in said.data["rows"]]


def refused(said: Said, code: str, status: int = 2) -> None:
    """Assert that it ended with this one error."""
    assert (said.status, said.codes) == (status, [code]), said.out


def token_folder(fleet: Fleet, number: int) -> Path:
    """Where SoftHSM keeps this token."""
    serial = fleet.serials[number]
    (found,) = [one for one in fleet.places.tokens.iterdir() if one.name.replace("-", "").endswith(serial)]
    return found
