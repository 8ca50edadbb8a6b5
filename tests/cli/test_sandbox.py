from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from cryptography import x509
from support_cli import Cli
from support_stories import Sandbox, start_sandbox

from safetok.sandbox.process import running_since

EXPORTS = {"SAFETOK_HOME", "SAFETOK_MODULE", "SOFTHSM2_CONF"}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """One sandbox for the tests that leave it as it was, or use up one story each."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-box-", dir="/dev/shm"))
    yield start_sandbox(folder)
    Cli({"SAFETOK_HOME": str(folder)})("sandbox", "down")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A home of its own, for a sandbox that a test takes down or breaks."""
    made = Path(tempfile.mkdtemp(prefix="safetok-own-", dir="/dev/shm"))
    yield made
    Cli({"SAFETOK_HOME": str(made)})("sandbox", "down")
    shutil.rmtree(made, ignore_errors=True)


def folder_of(box: Sandbox) -> Path:
    return Path(box.data["home"]).parent


def pid_of(box: Sandbox) -> int:
    return int(json.loads((folder_of(box) / "ca" / "pid.json").read_text())["pid"])


def run(*command: str, env: dict[str, str], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False, **more)


def old_certificate(box: Sandbox, story: str, to: Path) -> Path:
    """A story's certificate as pkcs11-tool reads it, as PEM."""
    label, env = box.token(story)["label"], box.cli.environment()
    der = to / f"{story}.der"
    tool = ["pkcs11-tool", "--module", box.data["module"], "--token-label", label]
    listed = run(*tool, "-O", "--type", "cert", env=env).stdout
    cka_id = next(line.split()[-1] for line in listed.splitlines() if line.strip().startswith("ID:"))
    run(*tool, "--read-object", "--type", "cert", "--id", cka_id, "-o", str(der), env=env)
    run("openssl", "x509", "-inform", "der", "-in", str(der), "-out", str(der.with_suffix(".pem")), env=env)
    return der.with_suffix(".pem")


def test_up_again_finds_the_same_sandbox(box: Sandbox) -> None:
    """`up` is idempotent, outside and under its own exports: the same tokens, the same CA process."""
    pid = pid_of(box)
    outside = Cli({"SAFETOK_HOME": str(folder_of(box).parent)})
    assert outside.json("sandbox", "up").data == box.data
    assert box.cli.json("sandbox", "up").data == box.data
    assert pid_of(box) == pid
    assert not (Path(box.data["home"]) / "sandbox").exists()


def test_json_is_what_scripts_were_promised(box: Sandbox) -> None:
    """The keys of the contract, a day or null for the contract end, and files that are there."""
    assert set(box.data) == {"home", "module", "ca_url", "anchor", "tokens"}
    assert all(Path(box.data[name]).exists() for name in ("home", "module", "anchor"))
    for token in box.data["tokens"]:
        assert set(token) == {"serial", "label", "kind", "pin", "contract_end", "story"}
    assert box.token("end-unknown")["contract_end"] is None
    assert [box.token(story)["kind"] for story in ("v1-owed", "v2-owed", "suspended")] == ["V1", "V2", "UNKNOWN"]


def test_env_prints_nothing_but_exports_a_shell_takes(box: Sandbox) -> None:
    """`eval "$(safetok sandbox up --env)"` works in sh, also with a quote in the path."""
    printed = box.cli("sandbox", "up", "--env").out
    assert {line.removeprefix("export ").partition("=")[0] for line in printed.splitlines()} == EXPORTS
    shell = run("sh", "-c", f'{printed}\nprintf %s "$SAFETOK_HOME"', env=dict(os.environ))
    assert shell.stdout == box.data["home"]
    from safetok.cli.sandbox import export_lines

    odd = "it's a 'folder'; rm -rf $HOME"
    shell = run("sh", "-c", f'{export_lines({"X": odd})[0]}\nprintf %s "$X"', env=dict(os.environ))
    assert shell.stdout == odd


def test_the_safetok_commands_see_the_tokens_with_their_kinds(box: Sandbox) -> None:
    """`tokens --json` lists every story's token, its kind by the rule on the label."""
    seen = {token["serial"]: token["kind"] for token in box.cli.json("tokens").data["tokens"]}
    assert seen == {token["serial"]: token["kind"] for token in box.data["tokens"]}


def test_the_new_certificate_of_the_topped_up_token_is_noticed(box: Sandbox) -> None:
    """The sandbox lived an honest life: the token was seen with the old certificate before the new one came."""
    certificates = {token["serial"]: token["certificates"] for token in box.cli.json("status").data["tokens"]}
    both = certificates[box.token("already-topped-up")["serial"]]
    assert len(both) == 2
    assert sum(certificate["current"] for certificate in both) == 1


def test_openssl_renews_with_the_key_on_the_token(box: Sandbox, tmp_path: Path) -> None:
    """`openssl cmp` with a SoftHSM key gets a certificate that `openssl verify` accepts; the ledger has it confirmed."""
    token, ca = box.token("v1-owed"), folder_of(box) / "ca"
    env = {**box.cli.environment(), "PKCS11_MODULE_PATH": box.data["module"]}
    old, new = old_certificate(box, "v1-owed", tmp_path), tmp_path / "new.pem"
    key = f"pkcs11:serial={token['serial']};type=private;pin-value={token['pin']}"
    server = box.data["ca_url"].removeprefix("http://")
    done = run(
        "openssl", "cmp", "-cmd", "kur", "-server", server, "-path", ".well-known/cmp", "-oldcert", str(old), "-cert",
        str(old), "-engine", "pkcs11", "-keyform", "engine", "-key", key, "-trusted", box.data["anchor"], "-untrusted",
        str(ca / "safe-ca-2024.pem"), "-certout", str(new), env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    verified = run(
        "openssl",
        "verify",
        "-CAfile",
        box.data["anchor"],
        "-untrusted",
        str(ca / "safe-ca-2024.pem"),
        str(new),
        env=env,
    )
    assert verified.stdout.strip().endswith("OK"), verified.stderr
    serial = run("openssl", "x509", "-in", str(new), "-noout", "-serial", env=env).stdout.strip().partition("=")[2]
    assert [row["state"] for row in box.ledger() if row["serial"] == serial] == ["confirmed"]
    assert json.loads((Path(box.data["home"]) / "ledger.json").read_text())["issued"] == box.ledger()


@pytest.mark.parametrize(
    ("story", "way"), [("v2-owed", "implicit"), ("beyond-ca-end", "new key"), ("ec-owed", "p10cr")]
)
def test_openssl_asks_in_every_way_with_keys_on_the_token(box: Sandbox, tmp_path: Path, story: str, way: str) -> None:
    """Implicit confirmation, a new key on the token, and a PKCS#10: each by `openssl cmp` with SoftHSM keys, and confirmed."""
    token, ca = box.token(story), folder_of(box) / "ca"
    env = {**box.cli.environment(), "PKCS11_MODULE_PATH": box.data["module"]}
    old, new = old_certificate(box, story, tmp_path), tmp_path / "new.pem"
    pin = f"pin-value={token['pin']}"
    key, more = f"pkcs11:serial={token['serial']};type=private;{pin}", ["-cmd", "kur", "-oldcert", str(old)]
    engine = ["-engine", "pkcs11", "-keyform", "engine"]
    if way == "implicit":
        more.append("-implicit_confirm")
    elif way == "new key":
        own = run(
            "pkcs11-tool", "--module", box.data["module"], "--token-label", token["label"], "--login", "--pin", token["pin"],
            "-O", "--type", "privkey", env=env,
        ).stdout  # fmt: skip
        old_id = next(line.split()[-1] for line in own.splitlines() if line.strip().startswith("ID:"))
        run(
            "pkcs11-tool", "--module", box.data["module"], "--token-label", token["label"], "--login", "--pin", token["pin"],
            "--keypairgen", "--key-type", "rsa:2048", "--id", "ABCDEF", "--label", "new", env=env,
        )  # fmt: skip
        key = f"pkcs11:serial={token['serial']};id={_percent(old_id)};type=private;{pin}"
        more += ["-newkey", f"pkcs11:serial={token['serial']};id=%AB%CD%EF;type=private;{pin}"]
    else:
        request = tmp_path / "request.csr"
        made = run(
            "openssl", "x509", "-x509toreq", "-in", str(old), *engine, "-signkey", key, "-out", str(request), env=env
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        more = ["-cmd", "p10cr", "-csr", str(request)]
    done = run(
        "openssl", "cmp", *more, "-server", box.data["ca_url"].removeprefix("http://"), "-path", ".well-known/cmp", "-cert",
        str(old), *engine, "-key", key, "-trusted", box.data["anchor"], "-untrusted", str(ca / "safe-ca-2024.pem"),
        "-certout", str(new), env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = (x509.load_pem_x509_certificate(path.read_bytes()) for path in (old, new))
    assert (before.public_key() == after.public_key()) is (way != "new key")
    states = {row["serial"]: row["state"] for row in box.ledger()}
    assert states[format(after.serial_number, "X")] == "confirmed"


def _percent(hexadecimal: str) -> str:
    return "".join(f"%{hexadecimal[at : at + 2]}" for at in range(0, len(hexadecimal), 2))


@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
@pytest.mark.parametrize(
    ("story", "issuer", "said"),
    [
        ("v2-owed", "safe-ca-2020", "good"),
        ("revoked", "safe-ca-2020", "revoked"),
        ("suspended", "lcs-ca-g1", "certificateHold"),
    ],
)
def test_openssl_reads_the_ocsp_answers(
    box: Sandbox, tmp_path: Path, story: str, issuer: str, said: str, digest: str
) -> None:
    """`openssl ocsp` verifies the answer, with its nonce, and reads the standing out of it."""
    done = run(
        "openssl", "ocsp", digest, "-issuer", str(folder_of(box) / "ca" / f"{issuer}.pem"), "-cert",
        str(old_certificate(box, story, tmp_path)), "-url", f"{box.data['ca_url']}/ocsp", "-CAfile", box.data["anchor"],
        env=box.cli.environment(),
    )  # fmt: skip
    assert "Response verify OK" in done.stderr
    assert "no nonce" not in done.stderr
    assert said in done.stdout


def test_the_ca_comes_back_as_it_was_after_it_was_killed(folder: Path) -> None:
    """Killed without warning: `up` starts it on the same port, and the ledger is what it was."""
    box = start_sandbox(folder)
    assert box.renew("ec-owed").status == 0
    before = box.ledger()
    pid = pid_of(box)
    os.kill(pid, signal.SIGKILL)
    assert box.cli.json("sandbox", "up").data == box.data
    assert pid_of(box) != pid
    assert box.ledger() == before
    assert box.cli("sandbox", "down").status == 0
    assert not folder_of(box).exists()


def test_down_takes_away_what_up_made_and_nothing_else(folder: Path) -> None:
    """The CA ends, the folder goes, a stranger's file beside it stays; a second `down` has nothing to do."""
    box = start_sandbox(folder)
    (folder / "mine.txt").write_text("mine")
    (folder_of(box) / "notes.txt").write_text("mine too")
    pid = pid_of(box)
    assert box.cli("sandbox", "down").status == 0
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "mine.txt",
        "sandbox/notes.txt",
    ]
    with pytest.raises(URLError):
        box.ledger()
    assert running_since(pid) is None
    assert Cli({"SAFETOK_HOME": str(folder)})("sandbox", "down").status == 0
    refused = Cli({"SAFETOK_HOME": str(folder)}).json("sandbox", "up")
    assert (refused.status, refused.codes) == (2, ["folder_in_use"])
    assert (folder / "sandbox" / "notes.txt").exists()


def test_down_never_signals_a_process_it_did_not_start(folder: Path) -> None:
    """Another program that has the CA's number by now is left alone."""
    box = start_sandbox(folder)
    kept = folder_of(box) / "ca" / "pid.json"
    ours = json.loads(kept.read_text())
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as stranger:
        os.kill(ours["pid"], signal.SIGKILL)
        kept.write_text(json.dumps({**ours, "pid": stranger.pid}))
        assert box.cli("sandbox", "down").status == 0
        assert stranger.poll() is None
        stranger.communicate()


def test_an_up_that_was_cut_short_is_made_again_whole(folder: Path) -> None:
    """What a killed `up` left behind is recognised as half and replaced."""
    half = folder / "sandbox" / "ca"
    half.mkdir(parents=True)
    (folder / "sandbox" / "sandbox.json").write_text('{"complete": false}')
    (half / "root.key").write_text("half a key")
    box = start_sandbox(folder)
    assert len(box.data["tokens"]) == 13
    assert box.ledger() == []
    assert box.cli("sandbox", "down").status == 0


def test_the_shutdown_path_needs_the_secret(box: Sandbox) -> None:
    """Without the secret from the folder nobody stops the CA."""
    import urllib.error
    import urllib.request

    for body in (b"", b"0" * 64):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{box.data['ca_url']}/shutdown", data=body, timeout=10)
        assert refused.value.code == 403
        refused.value.close()
    assert isinstance(box.ledger(), list)


def test_an_old_sandbox_says_so(box: Sandbox) -> None:
    """Once its owed certificates have ended, `up` still finds it and says how to get a fresh one."""
    marker = folder_of(box) / "sandbox.json"
    kept = marker.read_text()
    marker.write_text(json.dumps({**json.loads(kept), "until": "2026-01-31T16:59:59Z"}))
    said = box.cli.json("sandbox", "up", "--lang", "en")
    marker.write_text(kept)
    assert (said.status, said.data) == (0, box.data)
    assert "ended on 31/01/2026" in said.err


@pytest.mark.parametrize("whole", [False, True])
def test_a_sandbox_of_another_version_is_not_used(tmp_path: Path, whole: bool) -> None:
    """Its marker names no day until which it is good, or its CA is gone: refused with the way to a new one, and `down` takes it."""
    folder = tmp_path / "sandbox"
    (folder / "ca").mkdir(parents=True)
    marker = {
        "complete": True,
        "module": "/usr/lib/x.so",
        "tokens": [],
        **({"until": "2030-01-01T00:00:00Z"} if whole else {}),
    }
    (folder / "sandbox.json").write_text(json.dumps(marker))
    cli = Cli({"SAFETOK_HOME": str(tmp_path)})
    refused = cli.json("sandbox", "up")
    assert (refused.status, refused.codes) == (2, ["sandbox_unknown"])
    assert cli("sandbox", "down").status == 0
    assert not folder.exists()


def test_what_cannot_work_is_said_before_anything_is_made(tmp_path: Path) -> None:
    """No SoftHSM, or a folder that SoftHSM cannot read: usage errors with a hint, and an empty folder after it."""
    odd = tmp_path / "a#b"
    odd.mkdir()
    refused = Cli({"SAFETOK_HOME": str(odd)}).json("sandbox", "up")
    assert (refused.status, refused.codes) == (2, ["folder_unusable"])
    refused = Cli({"SAFETOK_HOME": str(tmp_path), "PATH": str(odd)}).json("sandbox", "up")
    assert (refused.status, refused.codes) == (2, ["softhsm_missing"])
    assert [path.name for path in tmp_path.rglob("*")] == ["a#b"]


def test_two_at_once_do_not_meet(box: Sandbox) -> None:
    """While one `up` or `down` is at work, another is told so and changes nothing."""
    import fcntl

    with (folder_of(box) / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = box.cli.json("sandbox", "down")
    assert (refused.status, refused.codes) == (16, ["sandbox_busy"])
    assert isinstance(box.ledger(), list)


def test_a_port_taken_meanwhile_is_said_and_nothing_hangs(folder: Path) -> None:
    """The CA cannot come back on its port: 8, with the way out, and no second process is left."""
    import socket

    box = start_sandbox(folder)
    pid = pid_of(box)
    os.kill(pid, signal.SIGKILL)
    while running_since(pid):
        pass  # the port is its own until it is gone
    port = int(box.data["ca_url"].rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        refused = box.cli.json("sandbox", "up")
    assert (refused.status, refused.codes) == (8, ["sandbox_ca_not_started"])
    assert not (folder_of(box) / "ca" / "pid.json").exists()
    assert box.cli.json("sandbox", "up").data == box.data
