from __future__ import annotations

import http.server
import json
import socket
import stat
import struct
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from support_cli import Cli
from support_issued import issued
from support_tokens import PIN, MadeToken, SoftHsm

from safetok.cli import conformance
from safetok.domain.tokens import Reading
from safetok.tokens.images import image, misfit
from safetok.workflows.doctor_usb import devices, findings

NAME, MST = "CÔNG TY TNHH THỬ NGHIỆM", "0106324653"


@pytest.fixture
def cli(softhsm: SoftHsm, tmp_path: Path) -> Cli:
    """The command line with SoftHSM as its only driver, a home of its own and no keyring."""
    return Cli(
        {
            "SAFETOK_HOME": str(tmp_path / "home"),
            **softhsm.surroundings,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "SHELL": "/bin/sh",
        }
    )


def told(cli: Cli, *words: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Each finding by its code; the envelope fits its schema."""
    said = cli.json("doctor", "--offline", *words, **more)
    conformance.check(said.envelope)
    bad = any(one["grade"] == "bad" for one in said.data["findings"])
    assert said.status == (11 if bad else 0), said.err
    return {one["code"]: one for one in said.data["findings"]}


# --- drivers -------------------------------------------------------------------------------------------------------------


def elf(bits: int, machine: int) -> bytes:
    return (b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HH", 3, machine)).ljust(64, b"\0")


def pe(machine: int) -> bytes:
    return b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80) + bytes(0x40) + b"PE\0\0" + struct.pack("<H", machine)


IMAGES = [
    (elf(32, 3), ("elf", ("x86",), 32)),
    (elf(64, 62), ("elf", ("x86_64",), 64)),
    (elf(64, 183), ("elf", ("arm64",), 64)),
    (pe(0x14C), ("pe", ("x86",), 32)),
    (pe(0x8664), ("pe", ("x86_64",), 64)),
    (b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C), ("mach-o", ("arm64",), 64)),
    (
        b"\xca\xfe\xba\xbe" + struct.pack(">I", 2) + struct.pack(">5I", 0x01000007, 3, 0, 0, 0) * 2,
        ("mach-o", ("x86_64", "x86_64"), 64),
    ),
]


@pytest.mark.parametrize(("content", "expected"), IMAGES)
def test_headers_are_read(tmp_path: Path, content: bytes, expected: tuple[Any, ...]) -> None:
    """ELF, PE and Mach-O headers tell their processor and bitness without being loaded."""
    file = tmp_path / "driver"
    file.write_bytes(content)
    found = image(str(file))
    assert found is not None
    assert (found.format, found.machines, found.bits) == expected


@pytest.mark.parametrize("size", range(0, 140, 7))
def test_a_header_cut_short_is_no_crash(tmp_path: Path, size: int) -> None:
    """Whatever is cut off, the answer is a kind of file or none."""
    file = tmp_path / "driver"
    for content, _expected in IMAGES:
        file.write_bytes(content[:size])
        image(str(file))
        assert misfit(str(file)) is None or misfit(str(file))[0]  # type: ignore[index]
    assert misfit(sys.executable) is None


def test_tokens_says_that_a_driver_has_the_wrong_bitness(cli: Cli, tmp_path: Path) -> None:
    """A 32-bit driver, a Windows one and a text file are named for what they are, by `tokens` and by `doctor`."""
    for name, content, code, word in (
        ("old.so", elf(32, 3), "wrong_bitness", "32-bit"),
        ("safe-ca.dll", pe(0x8664), "wrong_system", "Windows"),
        ("readme.so", b"hello", "no_library", "không phải thư viện"),
    ):
        (tmp_path / name).write_bytes(content)
        said = cli.json("tokens", "--module", str(tmp_path / name))
        assert said.codes == [code, "no_token"]
        assert word in said.envelope["errors"][0]["message"]
        finding = told(cli, "--module", str(tmp_path / name))[f"driver_{code}"]
        assert (finding["grade"], finding["about"]) == ("bad", str(tmp_path / name))
        assert finding["step"]


@pytest.mark.parametrize(("fault", "code"), [("hang", "driver_timed_out"), ("crash", "driver_crashed")])
def test_a_driver_that_hangs_or_crashes_is_named(cli: Cli, simulator: Any, fault: str, code: str) -> None:
    """Neither stops the examination; each has a next step."""
    simulator.steer(faults=[f"C_Initialize 1 {fault}"])
    found = told(cli, env=simulator.environment)
    assert found[code]["grade"] == "bad"
    assert found[code]["step"]
    assert "state" in found


def test_a_module_that_does_not_exist(cli: Cli) -> None:
    """A driver file that is not there is a finding like any other."""
    assert told(cli, "--module", "/nowhere/x.so")["no_such_module"]["grade"] == "bad"


# --- USB -----------------------------------------------------------------------------------------------------------------


@contextmanager
def pcscd(folder: Path) -> Iterator[Path]:
    """A /run in which something listens where pcscd does."""
    (folder / "pcscd").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "pcscd" / "pcscd.comm"))
        listening.listen()
        yield folder


def plug(sysfs: Path, place: str, vendor: str, product: str, classes: tuple[str, ...], cd: str = "") -> None:
    """One device in a made-up /sys, its interfaces, and its CD drive."""
    device = sysfs / "bus" / "usb" / "devices" / place
    device.mkdir(parents=True)
    (device / "idVendor").write_text(f"{vendor}\n")
    (device / "idProduct").write_text(f"{product}\n")
    (device / "bDeviceClass").write_text("00\n")
    for number, kind in enumerate(classes):
        interface = device / f"{place}:1.{number}"
        interface.mkdir()
        (interface / "bInterfaceClass").write_text(f"{kind}\n")
    if cd:
        drive = device / f"{place}:1.0" / "host3" / "target3"
        drive.mkdir(parents=True)
        (drive / "vendor").write_text("CMC-CA  \n")
        (drive / "model").write_text("CD Drive\n")
        (sysfs / "block" / cd).mkdir(parents=True)
        (sysfs / "block" / cd / "device").symlink_to(drive)


NOTHING = Reading(tokens=())


def test_a_token_in_cd_mode_is_ejected(tmp_path: Path) -> None:
    """A token that shows only its CD is found by the drive's name, and the step names the drive."""
    plug(tmp_path / "sys", "1-2", "1234", "5678", ("08",), cd="sr1")
    plug(tmp_path / "sys", "1-3", "0781", "5581", ("08",))  # a memory stick
    (one,) = findings(devices(tmp_path / "sys"), NOTHING, tmp_path / "run")
    assert (one.code, one.grade) == ("usb_cd_mode", "bad")
    assert "eject /dev/sr1" in one.step
    assert "CMC-CA CD Drive (1234:5678)" in one.text


def test_a_token_that_no_driver_shows(tmp_path: Path) -> None:
    """A known token is named with its maker's driver; without pcscd, which it needs, that comes first."""
    plug(tmp_path / "sys", "1-1", "096e", "0807", ("0b",))
    plug(tmp_path / "sys", "usb1", "1d6b", "0002", ("09",))
    with pcscd(tmp_path / "run"):
        (one,) = findings(devices(tmp_path / "sys"), NOTHING, tmp_path / "run")
    assert one.code == "usb_without_driver"
    assert "Feitian ePass2003 (096e:0807)" in one.text
    assert "libcastle.so" in one.step
    (one,) = findings(devices(tmp_path / "sys"), NOTHING, tmp_path / "no-run")
    assert (one.code, one.step) == ("pcscd_not_running", "sudo systemctl enable --now pcscd.socket")


def test_one_that_needs_its_makers_driver_does_not_need_pcscd(tmp_path: Path) -> None:
    """An ePass2000 speaks no CCID: pcscd is not asked for."""
    plug(tmp_path / "sys", "1-1", "096e", "0802", ("ff",))
    (one,) = findings(devices(tmp_path / "sys"), NOTHING, tmp_path / "no-run")
    assert one.code == "usb_without_driver"


def test_a_computer_without_usb_says_nothing(tmp_path: Path) -> None:
    """No /sys, no finding."""
    assert list(findings(devices(tmp_path / "sys"), None, tmp_path)) == []


# --- safetok's own things ------------------------------------------------------------------------------------------------


def test_everything_right_ends_0(cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any) -> None:
    """With a token and its key in order there is nothing bad; what could not be seen without a PIN is said."""
    token = make_token("Kho A", certificates=[issued(rsa_key)], keys=[rsa_key])
    found = told(cli)
    assert {one["grade"] for one in found.values()} <= {"good", "info"}
    assert found["keys_need_pin"]["step"] == f"safetok doctor --serial {token.serial}"
    assert "Token Manager" in found["endpoint_not_configured"]["step"]
    assert found["keyring_unusable"]["grade"] == "info"
    said = cli("doctor", "--offline")
    assert said.status == 0
    assert "Không có gì cản trở" in said.out


def test_orphan_keys_are_seen_with_the_pin(
    cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, ec_key: Any, tmp_path: Path
) -> None:
    """A key that no certificate uses is named after a login; the PIN is in no log, a wrong one ends 5."""
    made = [(rsa_key, None, "kept"), (ec_key, b"\x07", "safetok 00ff")]
    token = make_token("Kho A", certificates=[issued(rsa_key)], keys=made)
    log = tmp_path / "log"
    found = told(cli, "--serial", token.serial, "--pin-stdin", "-vv", "--log-file", str(log), stdin=f"{PIN}\n")
    assert "safetok 00ff (EC)" in found["orphan_key"]["message"]
    assert "keys" not in found
    assert PIN not in log.read_text("utf-8")
    assert cli.json("doctor", "--serial", token.serial, "--pin-stdin", stdin="975310\n").status == 5
    assert told(cli)["pin_tries_spent"]["about"] == token.serial
    assert cli("doctor", "--pin-stdin", stdin=f"{PIN}\n").status == 2


def test_a_certificate_without_its_private_key_is_found_with_the_pin(
    cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, ec_key: Any
) -> None:
    """After a login a certificate whose key is not on the token keeps safetok from working, whatever other keys are there."""
    token = make_token("Kho A", certificates=[issued(rsa_key)], keys=[(ec_key, b"\x07", "another")])
    said = cli.json("doctor", "--offline", "--serial", token.serial, "--pin-stdin", stdin=f"{PIN}\n")
    assert said.status == 11
    found = {one["code"]: one for one in said.data["findings"]}
    assert (found["certificate_without_key"]["grade"], found["certificate_without_key"]["about"]) == (
        "bad",
        token.serial,
    )
    assert "keys" not in found


def test_a_stale_revocation_list_is_named(cli: Cli, rsa_key: Any, tmp_path: Path) -> None:
    """A kept list beyond its nextUpdate is a remark, with the command that fetches a new one."""
    cache = tmp_path / "home" / "cache" / "crl"
    cache.mkdir(parents=True)
    then = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")]))
        .last_update(then)
        .next_update(then + timedelta(days=1))
        .sign(rsa_key, hashes.SHA256())
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    (cache / "one.crl").write_bytes(made.public_bytes(Encoding.DER))
    assert told(cli)["crl_stale"]["step"] == "safetok certs check"


def test_broken_settings_stop_no_other_check(cli: Cli, tmp_path: Path) -> None:
    """A settings.toml that is no TOML is a finding with its line, and the rest is examined with what is shipped."""
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "settings.toml").write_bytes(b'language = "vi"\ntimeout = "\xff"\n')
    found = told(cli)
    assert found["bad_settings"]["grade"] == "bad"
    assert "dòng 2" in found["bad_settings"]["message"]
    assert "driver" in found


def test_a_state_that_cannot_be_used_stops_no_other_check(cli: Cli, tmp_path: Path) -> None:
    """A broken state is a finding, and the drivers are examined all the same."""
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "state.db").write_bytes(b"this is no database, but long enough to look like something" * 20)
    found = told(cli)
    assert any(one["grade"] == "bad" and one["about"] == str(tmp_path / "home") for one in found.values())
    assert "driver" in found


def test_an_old_clock_is_seen_by_what_was_recorded(
    cli: Cli, make_token: Callable[..., MadeToken], tmp_path: Path
) -> None:
    """A clock before the last thing recorded is wrong, also without a network."""
    import sqlite3

    make_token()
    assert cli("status").status == 0
    with sqlite3.connect(tmp_path / "home" / "state.db") as db:
        db.execute("UPDATE tokens SET last_seen = '2031-01-01T00:00:00+00:00'")
    assert "2031" in told(cli)["clock_wrong"]["message"]


# --- the CA's clock ------------------------------------------------------------------------------------------------------


@contextmanager
def ca(date: datetime) -> Iterator[str]:
    """A server on loopback that answers 404 with this Date."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", format_datetime(date, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/cmp"
        server.shutdown()


@pytest.mark.parametrize(("off", "code", "status"), [(0, "clock", 0), (3600, "clock_wrong", 11)])
def test_the_clock_is_compared_with_the_cas(
    cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, tmp_path: Path, off: int, code: str, status: int
) -> None:
    """The Date of any answer of the CA is compared; an hour off is bad, and the log names the request."""
    make_token("Kho A", certificates=[issued(rsa_key)], keys=[rsa_key])
    (tmp_path / "home").mkdir(mode=0o700)
    log = tmp_path / "log"
    with ca(datetime.now(UTC) + timedelta(seconds=off)) as url:
        (tmp_path / "home" / "settings.toml").write_text(f'[authorities.safe-ca]\nurl = "{url}"\n')
        said = cli.json("doctor", "--log-file", str(log))
    assert said.status == status, said.out
    assert code in [one["code"] for one in said.data["findings"]]
    assert f"GET {url} -> 404 in " in log.read_text("utf-8")


def test_a_ca_out_of_reach_is_a_warning(
    cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, tmp_path: Path
) -> None:
    """Nothing is concluded about the clock where nobody answers."""
    make_token("Kho A", certificates=[issued(rsa_key)], keys=[rsa_key])
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "settings.toml").write_text('[authorities.safe-ca]\nurl = "http://127.0.0.1:9/cmp"\n')
    found = {one["code"]: one for one in cli.json("doctor").data["findings"]}
    assert found["ca_unreachable"]["grade"] == "warn"
    assert "clock" not in found
    assert "clock_wrong" not in found


# --- the report ----------------------------------------------------------------------------------------------------------


def packed(file: Path) -> str:
    """Everything in the report, as text."""
    with zipfile.ZipFile(file) as opened:
        assert sorted(opened.namelist()) == ["doctor.json", "doctor.txt"]
        json.loads(opened.read("doctor.json"))
        return "\n".join(opened.read(name).decode() for name in opened.namelist())


def test_the_report_names_nobody(cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, tmp_path: Path) -> None:
    """It has drivers, Token ID and serials; no company, tax code, person, label or PIN; its owner alone can read it."""
    certificate = issued(rsa_key, name=NAME, uids=(f"MST:{MST}", "CCCD:001099012345"))
    token = make_token("Kho Bí Mật", certificates=[certificate], keys=[rsa_key])
    file = tmp_path / "report.zip"
    said = cli.json(
        *("doctor", "--offline", "--serial", token.serial, "--pin-stdin", "--bundle", str(file)), stdin=f"{PIN}\n"
    )
    conformance.check(said.envelope)
    assert said.data["bundle"] == str(file)
    text = packed(file)
    for secret in (NAME, MST, "001099012345", "Kho Bí Mật", PIN, "THỬ NGHIỆM", socket.gethostname()):
        assert secret not in text
    for kept in (token.serial, "54010108096D8A02E2F22CE98BD7168E", "SoftHSM", "SAFE-CA SHA-256 2020"):
        assert kept in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = cli.json("doctor", "--offline", "--bundle", str(file))
    assert (again.status, again.codes) == (2, ["file_exists"])


def test_names_stay_where_they_are_asked_for(
    cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, tmp_path: Path
) -> None:
    """`--with-names` leaves in what the findings themselves say."""
    make_token("Kho A", certificates=[issued(rsa_key, name=NAME)], keys=[rsa_key])
    file = tmp_path / "report.zip"
    assert cli("doctor", "--offline", "--bundle", str(file), "--with-names").status == 0
    assert str(tmp_path / "home") in packed(file)
