from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from support_clock import Clocked
from support_stories import Sandbox

WAITING = ("ixhd", "vnaccs", "v5")
OTHERS = ("tvan", "etax", "ivan", "bhxh")


def test_from_renewal_to_all_accepted(sandbox: Sandbox) -> None:
    """With a clock of its own: renewed, seven agencies open, updated, a day waited, accepted, the old one may go."""
    token = sandbox.token("v1-owed")
    cli = Clocked(sandbox.cli.env, datetime.now(UTC))
    renewed = cli.json(
        "renew", "--serial", token["serial"], "--yes", "--confirm-contract-end", token["contract_end"], "--pin-stdin",
        stdin=token["pin"] + "\n",
    )  # fmt: skip
    assert renewed.status == 0, renewed.err
    mine = ("--cert", renewed.data["new_serial"])
    assert next(Path(renewed.data["kit"]).glob("*_co-quan.html")).is_file()

    def states() -> dict[str, str]:
        return {row["agency"]: row["state"] for row in cli.json("agencies", "list", *mine).data["registrations"]}

    assert states() == dict.fromkeys(("tvan", "etax", "ivan", "bhxh", *WAITING), "open")
    assert cli.json("agencies", "remind", "--check").status == 15

    cli.later(minutes=10)
    assert cli.json("agencies", "done", *WAITING, *OTHERS, *mine).status == 0
    assert states() == {**dict.fromkeys(OTHERS, "updated"), **dict.fromkeys(WAITING, "waiting")}
    cli.later(hours=23, minutes=59)
    assert {states()[name] for name in WAITING} == {"waiting"}
    cli.later(minutes=1)
    assert {states()[name] for name in WAITING} == {"due_check"}
    assert cli.json("agencies", "remind", "--check").status == 14

    assert cli.json("agencies", "accepted", *WAITING, *OTHERS, *mine).status == 0
    assert set(states().values()) == {"accepted"}
    assert cli.json("agencies", "remind", "--check").status == 0
    superseded = cli.json("certs", "prune").data["certificates"]
    states_of_old = [row["state"] for row in superseded if row["cert"] == renewed.data["old_serial"]]
    assert states_of_old == ["removable"]
