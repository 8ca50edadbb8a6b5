from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from support_stories import Sandbox


def _objects(box: Sandbox, story: str, kind: str) -> int:
    token = box.token(story)
    words = [
        "pkcs11-tool",
        "--module",
        box.data["module"],
        "--token-label",
        token["label"],
        "--login",
        "--pin",
        token["pin"],
    ]
    listed = subprocess.run(
        [*words, "-O", "--type", kind], env=box.cli.environment(), capture_output=True, text=True, check=True
    ).stdout
    return listed.count(" Object")


def _everything(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def test_yes_alone_never_covers_the_second_confirmation(sandbox: Sandbox) -> None:
    """`--yes` without the contract end ends with 11, says the day, and nothing was issued."""
    token = sandbox.token("v1-owed")
    said = sandbox.cli.json("renew", "--serial", token["serial"], "--yes", "--pin-stdin", stdin=token["pin"] + "\n")
    assert said.status == 11
    assert said.codes == ["confirmation_required"]
    assert said.data["contract_end"] == token["contract_end"]
    assert sandbox.ledger() == []


def test_a_wrong_contract_end_does_nothing(sandbox: Sandbox) -> None:
    """A second confirmation by another day than the CA's ends with 11 and shows both."""
    token = sandbox.token("v1-owed")
    said = sandbox.cli.json(
        "renew", "--serial", token["serial"], "--yes", "--confirm-contract-end", "31/12/2035", "--pin-stdin",
        stdin=token["pin"] + "\n",
    )  # fmt: skip
    assert said.status == 11
    assert said.codes == ["contract_end_differs"]
    assert sandbox.ledger() == []


def test_the_confirmation_takes_a_vietnamese_day(sandbox: Sandbox) -> None:
    """dd/mm/yyyy is as good as ISO, and the PIN may come from the environment, which no child inherits."""
    token = sandbox.token("v1-owed")
    year, month, day = token["contract_end"].split("-")
    said = sandbox.cli.json(
        "renew", "--serial", token["serial"], "--yes", "--confirm-contract-end", f"{day}/{month}/{year}",
        "--pin-env", "MY_PIN", env={"MY_PIN": token["pin"]},
    )  # fmt: skip
    assert said.status == 0, said.err
    assert said.data["contract_end"] == token["contract_end"]


def test_a_pin_file_that_others_can_read_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    """A PIN file must be its owner's alone; refused before the token is touched."""
    token = sandbox.token("v1-owed")
    pin = tmp_path / "pin"
    pin.write_text(token["pin"])
    pin.chmod(0o644)
    said = sandbox.cli.json("renew", "--serial", token["serial"], "--yes", "--pin-file", str(pin))
    assert (said.status, said.codes) == (2, ["pin_file_open"])
    pin.chmod(0o600)
    said = sandbox.cli.json(
        "renew", "--serial", token["serial"], "--yes", "--confirm-contract-end", token["contract_end"],
        "--pin-file", str(pin),
    )  # fmt: skip
    assert said.status == 0, said.err


def test_a_wrong_pin_costs_one_try_and_nothing_else(sandbox: Sandbox) -> None:
    """A script's wrong PIN ends with 5; the second wrong one is refused before the token sees it, because one try is kept."""
    wrong = sandbox.renew("v1-owed", pin="87654321\n")
    assert (wrong.status, wrong.data["authority"]) == (5, "safe-ca"), "it ends with this CA's support line"
    assert sandbox.renew("v1-owed", pin="87654321\n").status == 5
    third = sandbox.renew("v1-owed")
    assert third.status == 6
    assert sandbox.ledger() == []
    forced = sandbox.renew("v1-owed", "--force-last-try")
    assert forced.status == 0, forced.err


def test_a_pin_outside_the_ca_s_profile_is_asked_about_not_sent(sandbox: Sandbox) -> None:
    """SAFE-CA's PINs have 6 to 8 characters: another is not sent unless --pin-as-is says so, and no try is spent."""
    said = sandbox.renew("v1-owed", pin="1234567890\n")
    assert (said.status, said.codes) == (2, ["pin_profile"])
    assert sandbox.renew("v1-owed").status == 0


def test_a_new_key_is_made_only_when_asked_for(sandbox: Sandbox) -> None:
    """--new-key leaves two key pairs on the token, the new certificate paired with the new one; without it there is one."""
    assert sandbox.renew("v1-owed").status == 0
    assert _objects(sandbox, "v1-owed", "privkey") == 1
    made = sandbox.renew("ec-owed", "--new-key")
    assert made.status == 0, made.err
    assert _objects(sandbox, "ec-owed", "privkey") == 2
    shown = sandbox.cli.json("certs", "show", made.data["new_serial"]).out
    assert made.data["new_serial"] in shown


def test_a_dry_run_leaves_no_trace(sandbox: Sandbox) -> None:
    """--dry-run says what would be done; tokens, home and ledger hash the same before and after."""
    folder = Path(sandbox.data["home"]).parent
    kept = [folder / "tokens", folder / "home"]
    before = [_everything(path) for path in kept]
    said = sandbox.renew("v1-owed", "--dry-run")
    assert said.status == 0
    assert said.data["state"] == "WOULD_RENEW"
    assert [_everything(path) for path in kept] == before
    assert sandbox.ledger() == []


def test_a_dry_run_carries_nothing_on_and_gives_nothing_up(sandbox: Sandbox) -> None:
    """--dry-run beside --resume or --abandon is refused (2): it had sent what waits, and given up what was named. Alone, where a
    renewal is unfinished, it names that one, and leaves home and ledger as they are.
    """
    faults = Path(sandbox.data["home"]).parent / "ca" / "faults.json"
    faults.write_text('[{"name": "cut", "on": "certConf", "times": 9}]')
    held = sandbox.renew("v1-owed")
    assert (held.status, held.data["state"]) == (8, "PROVEN")
    faults.unlink()
    identity, home = held.data["renewal_id"], Path(sandbox.data["home"])
    before, booked = _everything(home), sandbox.ledger()
    for way in (["--resume"], ["--abandon", identity]):
        said = sandbox.cli.json("renew", *way, "--dry-run")
        assert (said.status, said.codes) == (2, ["options_together"])
    seen = sandbox.renew("v1-owed", "--dry-run")
    assert (seen.status, seen.data["state"], seen.data["renewal_id"]) == (0, "WOULD_RENEW", identity)
    assert (_everything(home), sandbox.ledger()) == (before, booked)


def test_what_is_carried_on_is_what_was_named(sandbox: Sandbox) -> None:
    """--resume and --list with --mst, --cert or --serial leave the renewals of others alone. All were carried on, whatever company
    was named, with the PINs of all.
    """
    faults = Path(sandbox.data["home"]).parent / "ca" / "faults.json"
    faults.write_text('[{"name": "cut", "on": "certConf", "times": 9}]')
    held = {story: sandbox.renew(story).data for story in ("v1-owed", "v2-owed")}
    faults.unlink()
    rows = {row["token"]: row for row in sandbox.cli.json("renew", "--list").data["renewals"]}
    assert {row["state"] for row in rows.values()} == {"PROVEN"}
    assert len(rows) == 2
    mine, other = (sandbox.token(story) for story in ("v1-owed", "v2-owed"))
    for named in (
        ["--serial", mine["serial"]],
        ["--mst", rows[mine["serial"]]["mst"]],
        ["--cert", held["v1-owed"]["old_serial"]],
        ["--cert", held["v1-owed"]["new_serial"]],
    ):
        listed = sandbox.cli.json("renew", "--list", *named).data["renewals"]
        assert [row["token"] for row in listed] == [mine["serial"]], named
    nobody = sandbox.cli("renew", "--resume", "--mst", "0199999999", "--lang", "en")
    assert nobody.status == 0
    assert "No unfinished renewal is of what was named." in nobody.out
    said = sandbox.cli.json(
        "renew", "--resume", "--mst", rows[mine["serial"]]["mst"], "--pin-stdin", stdin=mine["pin"] + "\n"
    )
    assert (said.status, said.data["token"], said.data["state"]) == (0, mine["serial"], "DONE")
    left = sandbox.cli.json("renew", "--list").data["renewals"]
    assert [row["token"] for row in left] == [other["serial"]]


def test_several_tokens_and_no_choice_is_4(sandbox: Sandbox) -> None:
    """With many tokens in and none chosen, nothing is opened and the choices are in the data."""
    said = sandbox.cli.json("renew", "--yes")
    assert said.status == 4
    assert len(said.data["choices"]) >= 12


def test_a_company_is_chosen_by_its_tax_code(sandbox: Sandbox) -> None:
    """--mst is enough to name the token."""
    token = sandbox.token("v2-owed")
    listed = sandbox.cli.json("certs", "list").out
    assert token["serial"] in listed
    mst = next(
        c["mst"]
        for t in sandbox.cli.json("status").data["tokens"]
        if t["serial"] == token["serial"]
        for c in t["certificates"]
    )
    said = sandbox.cli.json(
        "renew", "--mst", mst, "--yes", "--confirm-contract-end", token["contract_end"], "--pin-stdin",
        stdin=token["pin"] + "\n",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert said.data["token"] == token["serial"]


def test_an_old_certificate_whose_newer_one_is_there_lacks_nothing(sandbox: Sandbox) -> None:
    """`renew --cert OLD` after a top-up, the serial also in decimal, is nothing to do: it said that the certificate ended 385 days
    before its contract, and whom to ask about the rest.
    """
    done = sandbox.renew("v1-owed").data
    for serial in (done["old_serial"], str(int(done["old_serial"], 16))):
        said = sandbox.cli.json("renew", "--cert", serial, "--dry-run")
        assert (said.status, said.data["state"], said.data["old_serial"]) == (0, "NOTHING_DUE", done["old_serial"])
        assert done["new_serial"] in said.data["reasons"][0]
    assert sandbox.cli("renew", "--cert", done["old_serial"], "--dry-run").out.startswith("✓")


def test_a_ca_that_is_down_is_8_before_any_pin(sandbox: Sandbox) -> None:
    """With the CA away nothing is asked and nothing is spent."""
    settings = Path(sandbox.data["home"]) / "settings.toml"
    port = sandbox.data["ca_url"].rsplit(":", 1)[1]
    settings.write_text(settings.read_text().replace(f":{port}", ":9"))
    said = sandbox.renew("v1-owed")
    assert said.status == 8
    assert "PIN" in said.envelope["errors"][0]["message"]


def test_without_an_endpoint_the_vendor_s_window_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    """With a home that knows no endpoint, renew ends with 11 and says where to do it and what comes after."""
    token = sandbox.token("v1-owed")
    said = sandbox.cli.json("renew", "--serial", token["serial"], env={"SAFETOK_HOME": str(tmp_path / "home")})
    assert (said.status, said.codes) == (11, ["no_endpoint"])
    assert "Token Manager" in said.envelope["errors"][0]["hint"]


def test_nothing_unfinished_is_done(sandbox: Sandbox) -> None:
    """`renew --resume` with nothing unfinished is 0."""
    said = sandbox.cli.json("renew", "--resume")
    assert (said.status, said.data["renewals"]) == (0, [])


def test_the_agencies_are_open_after_a_renewal_and_named_by_token(sandbox: Sandbox) -> None:
    """DONE opens the notice's seven registrations; they are found by the token's serial with no driver opened."""
    assert sandbox.renew("v1-owed").status == 0
    said = sandbox.cli.json(
        "agencies", "list", "--serial", sandbox.token("v1-owed")["serial"], env={"SAFETOK_MODULE": "/nonexistent"}
    )
    assert said.status == 0, said.err
    names = [row["agency"] for row in said.data["registrations"]]
    assert names == ["tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5"]
    assert {row["state"] for row in said.data["registrations"]} == {"open"}


def test_the_export_verifies_for_openssl(sandbox: Sandbox, tmp_path: Path) -> None:
    """What `export` writes is a chain that openssl accepts up to the sandbox's anchor; the renewal left the whole kit already."""
    renewed = sandbox.renew("v1-owed")
    assert renewed.status == 0
    kit = {path.name.rpartition("_")[2] for path in Path(renewed.data["kit"]).iterdir()}
    assert {"co-quan.html", "bien-ban.html", "zalo.txt", "lich.ics", "HThuc1.xml", "HThuc3.xml"} <= kit
    page = next(Path(renewed.data["kit"]).glob("*_co-quan.html")).read_text("utf-8")
    assert renewed.data["new_serial"] in page
    assert renewed.data["old_serial"] in page
    said = sandbox.cli.json("export", "--serial", sandbox.token("v1-owed")["serial"], "--out", str(tmp_path / "kit"))
    assert said.status == 0, said.err
    chain = next((tmp_path / "kit").rglob("*chain*.pem"))
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", sandbox.data["anchor"], "-untrusted", str(chain), str(chain)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_pin_is_in_any_child_s_environment_or_arguments() -> None:
    """The variable named by --pin-env is gone from the process's own environment once it is read."""
    script = (
        "import os\nfrom safetok.workflows.pins import pin_source\nos.environ['P']='12345678'\n"
        "pin_source(env='P')\nassert 'P' not in os.environ\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_renewal_waits_for_the_disk_at_most_seven_times(sandbox: Sandbox) -> None:
    """What must not be lost costs at most seven durable commits; what can be asked again costs none."""
    script = (
        "import sys\n"
        "from safetok.store.database import Database\n"
        "kept, waits = Database._commit, []\n"
        "def commit(self):\n"
        "    waits.append(self._do('PRAGMA synchronous').fetchone()[0] == 2)\n"
        "    kept(self)\n"
        "Database._commit = commit\n"
        "plain = Database.run\n"
        "def run(self, sql, values=()):\n"
        "    if self._depth == 0:\n"
        "        waits.append(True)\n"
        "    return plain(self, sql, values)\n"
        "Database.run = run\n"
        "from safetok.cli.app import main\n"
        "status = main(sys.argv[1:])\n"
        "print(sum(waits), file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    token = sandbox.token("v1-owed")
    words = [
        "renew",
        "--serial",
        token["serial"],
        "--yes",
        "--confirm-contract-end",
        token["contract_end"],
        "--pin-stdin",
    ]
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=sandbox.cli.environment(),
        input=token["pin"] + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stderr.splitlines()[-1]) <= 7
