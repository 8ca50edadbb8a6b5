from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from safetok.cli import conformance
from safetok.cli.commands import Group, root

FOLDER = Path(conformance.__file__).parent / "schemas"


def test_the_schemas_are_current() -> None:
    """The schemas that are shipped are what the types say now."""
    stale = [name for name, content in conformance.schemas().items() if (FOLDER / name).read_bytes() != content]
    assert stale == [], f"run: {sys.executable} -m safetok.cli.conformance {FOLDER}"
    assert {path.name for path in FOLDER.iterdir()} == {*conformance.schemas()}


def test_every_command_has_a_schema() -> None:
    """No command answers in JSON without a schema, and no schema is for a command that does not exist."""
    top = root()
    context = top.make_context("safetok", [], resilient_parsing=True)

    def leaves(group: Group, path: tuple[str, ...] = ()) -> set[str]:
        found = set()
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            found |= leaves(command, (*path, name)) if isinstance(command, Group) else {" ".join((*path, name))}
        return found

    assert {*conformance.DATA} == leaves(top) | {"", "version"}


def test_commands_answer_as_their_schemas_say(sandbox: Any, tmp_path: Path) -> None:
    """In a sandbox, every command's envelope is what its schema says, in success and in failure."""
    owed = sandbox.token("v1-owed")
    serial = owed["serial"]
    steps = [
        [],
        ["status"],
        ["status", "--refresh", "--check"],
        ["tokens"],
        ["tokens", "set-kind", serial, "v1"],
        ["tokens", "note", serial, "Tủ A3"],
        ["certs", "list"],
        ["certs", "check"],
        ["certs", "adopt", "--yes"],
        ["renew", "--list"],
        ["renew", "--resume"],
        ["renew", "--serial", serial, "--dry-run"],
        ["renew", "--serial", serial],
        ["agencies", "list"],
        ["contacts"],
        ["sandbox", "up"],
        ["--version"],
        ["nothing"],
    ]
    seen = {}
    for words in steps:
        document = sandbox.cli.json(*words).envelope
        conformance.check(document)
        seen[" ".join(document["command"])] = document["status"]
    said = sandbox.renew("v1-owed")
    conformance.check(said.envelope)
    assert said.status == 0, said.err
    renewed = said.data["new_serial"]
    for words in (
        ["certs", "show", renewed],
        ["export", "--cert", renewed, "--out", str(tmp_path / "out")],
        ["agencies", "done", "vnaccs", "--cert", renewed],
        ["agencies", "done", "etax", "bhxh", "--cert", renewed],
        ["agencies", "accepted", "etax", "--cert", renewed],
        ["agencies", "reject", "bhxh", "--reason", "sai", "--cert", renewed],
        ["agencies", "skip", "v5", "--cert", renewed],
        ["agencies", "undo", "v5", "--cert", renewed],
        ["agencies", "add", "einvoice", "--title", "Hóa đơn", "--cert", renewed],
        ["agencies", "list"],
        ["agencies", "remind"],
        ["status"],
        [],
    ):
        document = sandbox.cli.json(*words).envelope
        conformance.check(document)
        seen[" ".join(document["command"])] = document["status"]
    assert {command for command, status in seen.items() if status == "error"} <= {
        "renew",
        "nothing",
        "certs adopt",
        "agencies list",
    }


def test_a_document_that_strays_is_found() -> None:
    """A field too many, one too few, or a value of another kind is a complaint."""
    good = {
        "safetok": 1,
        "command": ["version"],
        "status": "success",
        "exit_code": 0,
        "data": {"version": "1"},
        "errors": [],
    }
    conformance.check(good)
    for wrong in (
        {"data": {}},
        {"data": {"version": 1}},
        {"data": {"version": "1", "more": 1}},
        {"exit_code": 99},
        {"more": 1},
    ):
        with pytest.raises(ValueError, match=r"."):
            conformance.check({**good, **wrong})
