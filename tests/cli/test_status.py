from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli
from support_issued import issued
from support_store import NOW, certificate, reading

from safetok.knowledge import load
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.store.registrations import Registrations

V1_LINK = "https://www.safecert.com.vn/en_US/knowsystem/cks-huong-dan-thu-tuc-cap-lai-thiet-bi-luu-tru-khoa-bi-mat-18"
SERIAL = "54010108096D8A02E2F22CE98BD7168E"


def test_no_token_is_3_also_alone(cli: Cli) -> None:
    """`status` and `safetok` alone both say that no token is in, with status 3; alone it is one sentence and one command."""
    said = cli("status")
    assert said.status == 3
    assert "Chưa thấy USB Token" in said.err
    alone = cli()
    assert alone.status == 3
    assert alone.out.splitlines() == ["Chưa thấy USB Token.", "Làm tiếp: safetok tokens --wait 60"]


def test_the_data_scripts_are_promised(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Every key of the contract is there, with its type, for one token and one certificate."""
    token = make_token("SAFE-CA", certificates=[issued(rsa_key)], keys=[rsa_key])
    said = cli.json("status")
    assert said.status == 0
    assert said.envelope["command"] == ["status"]
    (shown,) = said.data["tokens"]
    assert shown["serial"] == token.serial
    assert {"label", "kind", "kind_reason", "drivers", "pin_state"} <= set(shown)
    (cert,) = shown["certificates"]
    assert cert["serial"] == SERIAL
    assert (cert["mst"], cert["current"], cert["state"], cert["key"]) == ("0106324653", True, "expiring", "present")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", cert["not_after"])
    assert cert["days_left"] in {19, 20}
    assert cert["revocation"] == {"answer": "unknown", "reason": "chưa hỏi", "checked_at": None, "since": None}
    assert cert["campaign"]["answer"] == "unknown"
    assert cert["campaign"]["reasons"]
    assert said.data["registrations"] == said.data["timers"] == said.data["drivers_failed"] == []


def test_no_network_and_no_login(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """A look connects nowhere and changes nothing in the token folder."""
    token = make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    before = {f.name: f.read_bytes() for f in token.folder.iterdir() if f.suffix == ".object"}
    trace = Path(os.environ["SOFTHSM2_CONF"]).parent / "trace"
    code = (
        "import sys; connected = []; sys.addaudithook(lambda e, a: connected.append(a) if e == 'socket.connect' else None)\n"
        "from safetok.cli.app import main\n"
        f"status = main(['status']); open({str(trace)!r}, 'w').write(repr(connected)); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=cli.environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert trace.read_text() == "[]"
    assert {f.name: f.read_bytes() for f in token.folder.iterdir() if f.suffix == ".object"} == before


def test_what_is_not_needed_is_not_loaded(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Once a certificate is known, `status` in a pipe loads neither cryptography nor rich nor a network library."""
    make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    assert cli("status").status == 0
    code = (
        "import sys\nfrom safetok.cli.app import main\nmain(['status'])\n"
        "heavy = ('cryptography', 'rich', 'urllib3', 'msgspec', 'stdnum', 'asn1crypto', 'keyring', 'pkcs11')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=cli.environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "[]"


def test_people_read_the_company_first(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """The first line is the company with its MST; Token ID, serial, days left and the programme follow in Vietnamese."""
    token = make_token(certificates=[issued(rsa_key, days_left=400)], keys=[rsa_key])
    cli("tokens", "set-kind", token.serial, "v1")
    out = cli("status").out
    assert out.splitlines()[0] == "CÔNG TY TNHH THỬ NGHIỆM · MST 0106324653"
    for expected in (token.serial, SERIAL, "hiện hành", "chưa kết luận được", "có trên token", "V1 (màu xám)"):
        assert expected in out
    assert f"{V1_LINK} " in out
    assert "Không có việc gì đến hạn" in out


def test_expiring_is_due_only_with_check(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Something due is 0 for a person and 14 for a scheduler, with its reason in errors."""
    make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    assert cli("status").status == 0
    said = cli.json("status", "--check")
    assert said.status == 14
    assert said.codes == ["contract_end_unknown"]
    assert said.envelope["status"] == "partial"


def test_a_contract_end_stated_without_an_endpoint_is_remembered(
    cli: Cli, make_token: Callable[..., Any], rsa_key: Any
) -> None:
    """`renew --contract-end` that ends without an endpoint answers the programme all the same, for good."""
    make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    assert cli.json("renew", "--contract-end", "30/06/2029", "--dry-run").codes == ["no_endpoint"]
    assert cli.json().data["state"] == "contract_end_unknown"
    assert cli.json("renew", "--contract-end", "30/06/2029").codes == ["no_endpoint"]
    assert cli.json().data["state"] == "owed"
    assert cli.json("renew", "--contract-end", "01/10/2025").status == 0
    assert cli.json().data["state"] == "expiring"


def test_nothing_due_is_0_with_check(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """A certificate with a year left asks for nothing."""
    make_token(certificates=[issued(rsa_key, days_left=400)], keys=[rsa_key])
    said = cli.json("status", "--check")
    assert (said.status, said.codes) == (0, [])


def test_alone_is_one_state_and_one_command(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """`safetok` names the most pressing thing and one command that exists."""
    make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    said = cli.json()
    assert said.status == 0
    assert said.data["state"] == "contract_end_unknown"
    assert said.data["command"] == "safetok status"
    assert "SAFE-CA Token Manager" in said.data["message"]
    assert len(cli().out.splitlines()) == 2


def test_a_token_without_a_certificate_is_no_alarm(cli: Cli, make_token: Callable[..., Any]) -> None:
    """A token fresh from LCS is told as normal, and nobody is led to type a PIN."""
    make_token()
    said = cli("status")
    assert said.status == 0
    assert "Không nhập mã PIN" in said.out


def test_a_failed_driver_does_not_hide_the_tokens(cli: Cli, make_token: Callable[..., Any], tmp_path: Path) -> None:
    """One driver that cannot be loaded is named with 17; the token of the other one is shown."""
    token = make_token()
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF")
    home = Path(cli.env["SAFETOK_HOME"])
    home.mkdir(mode=0o700)
    (home / "settings.toml").write_text(
        f'[drivers]\nmodules = ["{cli.env["SAFETOK_MODULE"]}", "{broken}"]\n', encoding="utf-8"
    )
    said = cli.json("status", env={"SAFETOK_MODULE": ""})
    assert said.status == 17
    assert token.serial in [t["serial"] for t in said.data["tokens"]]
    assert str(broken) in [f["driver"] for f in said.data["drivers_failed"]]


def test_a_driver_nobody_named_is_a_note(cli: Cli, make_token: Callable[..., Any], tmp_path: Path) -> None:
    """A driver that safetok found by itself and cannot use is a note beside the tokens that others show, and ends with 0."""
    token = make_token()
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF")
    modules = tmp_path / "user" / ".config" / "pkcs11" / "modules"
    modules.mkdir(parents=True)
    (modules / "broken.module").write_text(f"module: {broken}\n")
    home = Path(cli.env["SAFETOK_HOME"])
    home.mkdir(mode=0o700)
    (home / "settings.toml").write_text(f'[drivers]\nmodules = ["{cli.env["SAFETOK_MODULE"]}"]\n', encoding="utf-8")
    env = {"SAFETOK_MODULE": "", "HOME": str(tmp_path / "user"), "XDG_CONFIG_HOME": ""}
    said = cli.json("status", "--check", env=env)
    assert (said.status, said.codes) == (0, [])
    assert str(broken) in [f["driver"] for f in said.data["drivers_failed"]]
    told = cli("status", env=env)
    assert (told.status, told.err) == (0, "")
    assert f"Driver không dùng được: {broken}" in told.out
    assert "safetok doctor" in told.out
    assert token.serial in told.out
    listed = cli("tokens", env=env)
    assert listed.status == 0
    assert str(broken) in listed.err


def test_many_tokens_are_a_table(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """More than three tokens are one line each, with serials uncut in a pipe, whatever COLUMNS says."""
    for number in range(5):
        make_token(f"T{number}", certificates=[issued(rsa_key, name=f"CÔNG TY {number}", mst=f"010632465{number}")])
    said = cli("status", env={"COLUMNS": "40"}).out
    assert len([line for line in said.splitlines() if SERIAL in line]) == 5
    assert "20 ngày" in said
    # what is said of each is said once of all, with their names and the command for all
    told = [line for line in said.splitlines() if "chưa biết ngày kết thúc theo hợp đồng" in line]
    assert len(told) == 1
    assert told[0].startswith("! 5 CTS ")
    assert "CÔNG TY 0; CÔNG TY 1; CÔNG TY 2; CÔNG TY 3; CÔNG TY 4\n" in said
    assert "→ safetok status\n" in said  # no endpoint: the vendor's own program does it


def test_agencies_of_many_companies_are_counted(cli: Cli, make_token: Callable[..., Any]) -> None:
    """More than three companies with agencies to update: one line each, how many stand where; `agencies remind` says which."""
    make_token()
    with Database(home(cli.env).database) as db:
        for number in range(4):
            since = NOW - timedelta(days=365)
            one = certificate(
                number, mst=f"01999000{number}8", subject_name=f"CÔNG TY {number}", not_before=since, days=400
            )
            Inventory(db).record(reading(f"T{number}", one), NOW)
            Registrations(db).open_for(one, load.agencies(), NOW)
    assert cli("agencies", "done", "vnaccs", "v5", "--at", "2026-01-05T10:00", "--mst", "0199900008").status == 0
    said = cli("status").out
    assert "CƠ QUAN (còn 28, được chấp nhận 0)" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("CÔNG TY ")]
    assert rows == [["CÔNG", "TY", "0", "2", "5"], *(["CÔNG", "TY", str(n), "7"] for n in range(1, 4))]
    assert "Hải quan (VNACCS)" not in said.partition("CƠ QUAN")[2]
    assert "safetok agencies remind" in said


def test_both_languages(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """`--lang en` is English throughout, also in what JSON carries for people."""
    make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    said = cli("status", "--lang", "en")
    assert "Revocation" in said.out
    assert "Thu hồi" not in said.out
    reasons = cli.json("status", "--lang", "en").data["tokens"][0]["certificates"][0]["campaign"]["reasons"]
    assert reasons[0] == "a certificate of SAFE-CA"


def test_a_console_without_vietnamese_still_reads(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Where the console knows only ASCII, the marks fall away and nothing breaks."""
    make_token(certificates=[issued(rsa_key)], keys=[rsa_key])
    said = cli("status", env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert said.status == 0
    assert said.out.isascii()
    assert "CONG TY TNHH THU NGHIEM" in said.out


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One sandbox that `--refresh` has asked about everything."""
    import tempfile

    from support_stories import start_sandbox

    folder = Path(tempfile.mkdtemp(prefix="safetok-status-", dir="/dev/shm"))
    found = start_sandbox(folder)
    assert found.cli("status", "--refresh").status in {0, 18}
    yield found
    found.cli("sandbox", "down")
    shutil.rmtree(folder, ignore_errors=True)


def certificate_of(box: Any, story: str) -> dict[str, Any]:
    """The current certificate of a story, as `status --json` shows it."""
    serial = box.token(story)["serial"]
    tokens = box.cli.json("status").data["tokens"]
    token = next(t for t in tokens if t["serial"] == serial)
    return next(c for c in token["certificates"] if c["current"])


@pytest.mark.parametrize(
    ("story", "state", "answer", "offer"),
    [
        ("v1-owed", "expiring", "good", True),
        ("not-owed", "valid", "good", False),
        ("expired-owed", "expired", "unknown", True),
        ("revoked", "revoked", "revoked", False),
        ("suspended", "suspended", "suspended", False),
        ("already-topped-up", "valid", "good", False),
    ],
)
def test_what_was_heard_is_remembered(box: Any, story: str, state: str, answer: str, offer: bool) -> None:
    """After one `--refresh`, a look without network knows offers and revocation, with when they were asked for."""
    cert = certificate_of(box, story)
    assert (cert["state"], cert["revocation"]["answer"]) == (state, answer)
    assert cert["revocation"]["checked_at"]
    assert cert["offer"]["exists"] is offer


@pytest.mark.parametrize(
    ("story", "answer"),
    [("not-owed", "no"), ("already-topped-up", "done"), ("end-unknown", "unknown"), ("suspended", "no")],
)
def test_the_programme_on_the_stories(box: Any, story: str, answer: str) -> None:
    """Each story's verdict is the one its dates give."""
    assert certificate_of(box, story)["campaign"]["answer"] == answer


def test_revoked_comes_first_of_several_reasons(box: Any) -> None:
    """With everything at once `--check` ends with 13, and every reason is in errors."""
    said = box.cli.json("status", "--check")
    assert said.status == 13
    assert {"certificate_revoked", "certificate_suspended", "offer"} <= set(said.codes)


def test_the_kinds_of_the_sandbox(box: Any) -> None:
    """Rules of the settings tell V1 from V2, and what they do not match stays UNKNOWN."""
    kinds = {t["serial"]: t["kind"] for t in box.cli.json("tokens").data["tokens"]}
    assert {story: kinds[box.token(story)["serial"]] for story in ("v1-owed", "v2-owed", "suspended")} == {
        "v1-owed": "V1",
        "v2-owed": "V2",
        "suspended": "UNKNOWN",
    }
