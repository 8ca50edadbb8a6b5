from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

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


def test_the_sandbox_tells_every_story_of_the_contract(box: Sandbox) -> None:
    """`sandbox up` names exactly the stories that scripts are promised, each with a PIN."""
    assert {t["story"] for t in box.data["tokens"]} == set(ENDS)
    assert all(t["pin"] for t in box.data["tokens"])


@pytest.mark.parametrize(("story", "status"), ENDS.items())
def test_each_story_ends_as_the_contract_says(box: Sandbox, story: str, status: int) -> None:
    """`renew` on a story ends with its exit status, in the envelope and in the process."""
    said = box.renew(story)
    assert said.status == status, said.out + said.err
    assert said.data["token"] == box.token(story)["serial"] or status != 0
    if story in RENEWED:
        assert said.data["state"] == "DONE"
        assert said.data["new_serial"] != said.data["old_serial"]
    else:
        assert said.data.get("state") != "DONE"


def test_the_ledger_knows_one_confirmed_certificate_for_each_renewed_story(box: Sandbox) -> None:
    """What the CA issued is what the stories promise: one for each owed one, confirmed; nothing for the others."""
    renewals = [row for row in box.ledger() if row["old_serial"]]
    mine = [row for row in renewals if row["transaction"]]
    assert len(mine) == len(RENEWED)
    assert {row["state"] for row in mine} == {"confirmed"}


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


def test_a_token_that_is_not_activated_is_never_logged_in_to(box: Sandbox) -> None:
    """A token without a certificate ends with 11 and what LCS says of it, before any PIN is used."""
    said = box.renew("not-activated")
    assert said.codes == ["not_activated"]


def test_a_capped_renewal_says_by_how_many_days(box: Sandbox) -> None:
    """A contract beyond the CA's own end is renewed to that end, and the shortfall is in the data."""
    said = box.cli.json("renew", "--list")
    assert said.data["renewals"] == []
    # the renewal itself ran above; status knows the certificate, and a second renew has nothing to do
    again = box.renew("beyond-ca-end")
    assert again.status == 0
    assert again.data["state"] == "NOTHING_DUE"
