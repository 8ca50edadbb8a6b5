from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from support_stories import Sandbox, start_sandbox

ENDS = {
    "v1-owed": 0,
    "v2-owed": 0,
    "ec-owed": 0,
    "not-owed": 0,
    "expired-owed": 0,
    "beyond-ca-end": 0,
    "contract-over": 11,
    "end-unknown": 11,
    "already-topped-up": 0,
    "suspended": 13,
    "revoked": 13,
    "dossier-missing": 11,
    "not-activated": 11,
}
RENEWED = ("v1-owed", "v2-owed", "ec-owed", "expired-owed", "beyond-ca-end")


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """One sandbox for every story: none of them may touch another's token."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="safetok-stories-", dir="/dev/shm"))
    found = start_sandbox(folder)
    yield found
    found.cli("sandbox", "down")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ends(box: Sandbox) -> dict[str, Any]:
    """What the first `renew` of each story said."""
    return {story: box.renew(story) for story in ENDS}


def test_the_sandbox_tells_every_story_of_the_contract(box: Sandbox) -> None:
    """`sandbox up` names exactly the stories that scripts are promised, each with a PIN."""
    assert {t["story"] for t in box.data["tokens"]} == set(ENDS)
    assert all(t["pin"] for t in box.data["tokens"])


@pytest.mark.parametrize(("story", "status"), ENDS.items())
def test_each_story_ends_as_the_contract_says(box: Sandbox, ends: dict[str, Any], story: str, status: int) -> None:
    """`renew` on a story ends with its exit status, in the envelope and in the process."""
    said = ends[story]
    assert said.status == status, said.out + said.err
    assert said.data["token"] == box.token(story)["serial"] or status != 0
    if story in RENEWED:
        assert said.data["state"] == "DONE"
        assert said.data["new_serial"] != said.data["old_serial"]
    else:
        assert said.data.get("state") != "DONE"


def test_nobody_is_told_to_sign_with_what_has_expired(ends: dict[str, Any]) -> None:
    """All pending work is to be signed first, but for a certificate that has expired, whose reader is told not to sign with it."""
    first, not_with_it = "Ký hết hóa đơn, tờ khai trước.", "không ký bằng CTS này"
    assert first in ends["v2-owed"].err
    assert not_with_it not in ends["v2-owed"].err
    assert not_with_it in ends["expired-owed"].err
    assert first not in ends["expired-owed"].err


@pytest.mark.usefixtures("ends")
def test_a_refusal_is_remembered(box: Sandbox) -> None:
    """After the CA's refusal, `status --refresh` promises no offer; papers it has received by the records make it one again."""

    def due(story: str, *words: str) -> list[tuple[str, str]]:
        found = box.cli.json("status", *words).data["due"]
        return [(one["code"], one["command"]) for one in found if one["token"] == box.token(story)["serial"]]

    assert due("contract-over", "--refresh") == [("contract_over", "safetok contacts safe-ca")]
    ((code, command),) = due("dossier-missing")
    assert (code, command.split(" --cert ")[0]) == ("dossier_missing", "safetok dossier start --case papers-missing")
    cert = command.split()[-1]
    assert box.cli.json(*command.split()[1:], "--one").status == 0
    assert due("dossier-missing") == [("dossier_missing", f"safetok dossier show --cert {cert}")]
    assert box.cli.json("dossier", "lcs-received", "--cert", cert).status == 0
    assert [code for code, _command in due("dossier-missing")] == ["offer"]


@pytest.mark.usefixtures("ends")
def test_the_ledger_knows_one_confirmed_certificate_for_each_renewed_story(box: Sandbox) -> None:
    """What the CA issued is what the stories promise: one for each owed one, confirmed; nothing for the others."""
    renewals = [row for row in box.ledger() if row["old_serial"]]
    mine = [row for row in renewals if row["transaction"]]
    assert len(mine) == len(RENEWED)
    assert {row["state"] for row in mine} == {"confirmed"}


@pytest.mark.usefixtures("ends")
def test_other_programs_see_both_certificates_on_a_renewed_token(box: Sandbox) -> None:
    """pkcs11-tool lists the old and the new certificate with the same key ID, and no PIN was needed for it."""
    token = box.token("v1-owed")
    listed = subprocess.run(
        ["pkcs11-tool", "--module", box.data["module"], "--token-label", token["label"], "-O", "--type", "cert"],
        env=box.cli.environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert listed.count("Certificate Object") == 2
    ids = [line.split()[-1] for line in listed.splitlines() if line.strip().startswith("ID:")]
    assert len(set(ids)) == 1


@pytest.mark.usefixtures("ends")
def test_p11tool_sees_the_new_certificate_too(box: Sandbox) -> None:
    """GnuTLS's tool lists both certificates of a renewed token."""
    token = box.token("v2-owed")
    listed = subprocess.run(
        [
            "p11tool",
            f"--provider={box.data['module']}",
            "--batch",
            "--list-all-certs",
            f"pkcs11:serial={token['serial']}",
        ],
        env=box.cli.environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert listed.count("X.509 Certificate") == 2, listed


def test_a_token_that_is_not_activated_is_never_logged_in_to(ends: dict[str, Any]) -> None:
    """A token without a certificate ends with 11 and what LCS says of it, before any PIN is used."""
    assert ends["not-activated"].codes == ["not_activated"]


def test_a_capped_renewal_says_by_how_many_days(box: Sandbox, ends: dict[str, Any]) -> None:
    """A contract beyond the CA's own end is renewed to that end, the data says by how many days it falls short, and a second
    `renew` has nothing to do.
    """
    said = ends["beyond-ca-end"].data
    last = date.fromisoformat(said["not_after"][:10])  # 16:59:59 UTC is the end of that day in Vietnam
    assert said["shortfall_days"] == (date.fromisoformat(said["contract_end"]) - last) // timedelta(days=1) > 0
    again = box.renew("beyond-ca-end")
    assert (again.status, again.data["state"]) == (0, "NOTHING_DUE")
    assert again.data["reasons"][0] == (
        f"Hợp đồng đến {date.fromisoformat(said['contract_end']):%d/%m/%Y}; CTS chỉ đến {last:%d/%m/%Y}, "
        f"ngắn hơn {said['shortfall_days']} ngày. Phần còn lại: hỏi 1900 6154."
    )
    serial = box.token("beyond-ca-end")["serial"]
    shown = box.cli("renew", "--serial", serial, "--pin-stdin", stdin=box.token("beyond-ca-end")["pin"]).out
    assert shown.startswith("! Không có thời hạn nào để cấp bù cho ")


@pytest.mark.usefixtures("ends")
def test_no_story_leaves_a_renewal_half_done(box: Sandbox) -> None:
    """After all stories `renew --list` has none to carry on."""
    assert box.cli.json("renew", "--list").data["renewals"] == []


def test_a_script_is_told_whole_sentences(ends: dict[str, Any]) -> None:
    """What the programme does not settle is one sentence with the next step, not its reasons run together."""
    (unknown,) = json.loads(ends["end-unknown"].out)["errors"]
    assert "; " in unknown["message"]
    assert unknown["message"].endswith(".")
    assert "--contract-end" in unknown["hint"]
