"""Settings and places: what the user wrote is laid over what is known, and a mistake is named by file, key and value."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID
from support_store import certificate

from safetok.domain.tokens import Kind
from safetok.errors import UsageError
from safetok.locale import set_language
from safetok.store import paths, pem, settings
from safetok.store.paths import home, network_file_system, private_folder


def _ca(name: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder(subject, subject, key.public_key(), 7, now, now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


CA = _ca("SAFE-CA giả lập 2024")


def _load(tmp_path: Path, text: str, **environ: str) -> settings.Settings:
    (tmp_path / "settings.toml").write_text(text, encoding="utf-8")
    return settings.load(home({"SAFETOK_HOME": str(tmp_path)}), environ)


def test_without_a_file_the_shipped_facts_stand(tmp_path: Path) -> None:
    """No settings.toml is the ordinary case."""
    found = settings.load(home({"SAFETOK_HOME": str(tmp_path)}), {})
    assert {"safe-ca", "lcs-ca"} <= set(found.authorities)
    assert (found.modules, found.language, found.timeout, found.sandbox) == ((), None, 20.0, None)


def test_the_users_words_lie_over_the_shipped_ones(tmp_path: Path) -> None:
    """An authority keeps what the user does not state; relative files are found beside settings.toml."""
    (tmp_path / "issuer.pem").write_bytes(CA.public_bytes(Encoding.PEM))
    found = _load(
        tmp_path,
        """
        language = "en"
        timeout = 5
        [drivers]
        modules = ["/usr/lib/one.so"]
        [[kinds]]
        kind = "v1"
        label = "*V1*"
        reason = "nhãn"
        [authorities.safe-ca]
        issuers = ["issuer.pem"]
        url = "http://127.0.0.1:8080/cmp"
        [authorities.mine]
        title = "Mine"
        url = "https://ca.example.vn/"
        pin_policy = { min_length = 4 }
        [sandbox]
        pid = 7
        """,
    )
    safe = found.authorities["safe-ca"]
    assert (safe.title, safe.issuers, safe.contacts.hotline) == ("SAFE-CA", (tmp_path / "issuer.pem",), "1900 6154")
    assert found.authorities["mine"].pin_policy.min_length == 4
    assert found.kind_rules[0].kind is Kind.V1
    assert (found.language, found.timeout, found.modules, found.sandbox) == (
        "en",
        5.0,
        ("/usr/lib/one.so",),
        {"pid": 7},
    )


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    """SAFETOK_LANG wins over `language`."""
    assert _load(tmp_path, 'language = "en"', SAFETOK_LANG="vi").language == "vi"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("timeuot = 3", "timeuot", "3"),
        ('timeout = "soon"', "timeout", '"soon"'),
        ("timeout = 0", "timeout", "0"),
        ("timeout = true", "timeout", "true"),
        ("timeout = 1e400", "timeout", "inf"),
        ("timeout = 9999999999", "timeout", "9999999999"),
        ('language = "fr"', "language", '"fr"'),
        ('[drivers]\nmodules = "one.so"', "drivers.modules", '"one.so"'),
        ("drivers = 3", "drivers", "3"),
        ('[[kinds]]\nkind = "v3"\nlabel = "x"', "kinds[1].kind", '"v3"'),
        ('[[kinds]]\nkind = "v1"', "kinds[1].kind", '"v1"'),
        ('[[kinds]]\nkind = "v1"\ncolour = "grey"', "kinds[1].colour", '"grey"'),
        ("kinds = 1", "kinds", "1"),
        ('[authorities.x]\nurl = "http://ca.example.vn/"', "authorities.x.url", '"http://ca.example.vn/"'),
        ('[authorities.x]\nurl = "http://127.0.0.1.evil.vn/"', "authorities.x.url", '"http://127.0.0.1.evil.vn/"'),
        (
            '[authorities.x]\nurl = "https://ca.example.vn/cmp here"',
            "authorities.x.url",
            '"https://ca.example.vn/cmp here"',
        ),
        ('[authorities.x]\nurl = "https://me:mine@ca.vn/"', "authorities.x.url", '"https://me:mine@ca.vn/"'),
        ('[authorities.x]\nurl = "https://ca.vn:99999/"', "authorities.x.url", '"https://ca.vn:99999/"'),
        ('[authorities.x]\nrecipient = "My CA"', "authorities.x.recipient", '"My CA"'),
        ('[authorities.x]\noffers_url = "ftp://x"', "authorities.x.offers_url", '"ftp://x"'),
        ('[authorities.x]\nissuers = ["none.pem"]', "authorities.x.issuers", "none.pem"),
        ('[authorities.x]\nprotocol = "est"', "authorities.x.protocol", '"est"'),
        ('[authorities.x]\nrenew_expired = "yes"', "authorities.x.renew_expired", '"yes"'),
        ("[authorities.x]\npin_policy = { tries = 0 }", "authorities.x.pin_policy.tries", "0"),
        (
            "[authorities.x]\npin_policy = { min_length = 9, max_length = 8 }",
            "authorities.x.pin_policy.max_length",
            "8",
        ),
        ("[authorities.safe-ca]\npin_policy = { min_length = 9 }", "authorities.safe-ca.pin_policy.min_length", "9"),
        ("timeout = inf", "timeout", "inf"),
        ("timeout = nan", "timeout", "nan"),
        ("timeout = 86401", "timeout", "86401"),
        ('[drivers]\nmodules = ["~nobody-of-that-name/x.so"]', "drivers.modules", "~nobody-of-that-name/x.so"),
        ('[drivers]\nmodules = ["a\\u0000b"]', "drivers.modules", "a\\u0000b"),
        ('[drivers]\nmodules = [""]', "drivers.modules", '""'),
        (
            '[authorities.x]\nsigner = "~nobody-of-that-name/x.pem"',
            "authorities.x.signer",
            "~nobody-of-that-name/x.pem",
        ),
        ('[authorities.x]\nurl = "https://ca.example.vn:99999/"', "authorities.x.url", ":99999/"),
        ('[authorities.x]\nurl = "https://ca.example.vn:port/"', "authorities.x.url", ":port/"),
        ('[authorities.x]\nurl = "https://ca.example.vn/\\u0007"', "authorities.x.url", "vn/\\u0007"),
        ('[[kinds]]\nlabel = "x"', "kinds[1].kind", "(không ghi)"),
        ("[holidays]\noff = [2027-02-03T00:00:00, true]", "holidays.off", "[2027-02-03T00:00:00, true]"),
        ("[office]\nhours = [[12:00:00, 08:00:00]]", "office.hours", "[[12:00:00, 08:00:00]]"),
        ('[kinds]\nlabel = "KT-*"', "kinds", '{label = "KT-*"}'),
    ],
)
def test_a_mistake_is_named_by_file_key_and_value(tmp_path: Path, text: str, key: str, value: str) -> None:
    """One sentence says where it stands, what stands there and what was expected; nothing is guessed."""
    with pytest.raises(UsageError) as refused:
        _load(tmp_path, text)
    assert refused.value.code == "bad_settings"
    assert all(part in refused.value.message for part in (str(tmp_path / "settings.toml"), key, value))
    assert "\n" not in refused.value.message


def test_a_file_that_is_no_toml_is_said_with_its_line(tmp_path: Path) -> None:
    """The line at fault is named, in the language in force."""
    with pytest.raises(UsageError) as refused:
        _load(tmp_path, "language = \nvi")
    assert "dòng 1" in refused.value.message


@pytest.mark.parametrize("path", [r"C:\Windows\System32\driver.dll", r"C:\Users\ke toan\driver.dll"])
def test_a_path_of_windows_in_double_quotes_is_told_how_it_is_written(tmp_path: Path, path: str) -> None:
    """TOML takes the backslashes for escapes; the next step is a line that works."""
    with pytest.raises(UsageError) as refused:
        _load(tmp_path, f'[drivers]\nmodules = ["{path}"]\n')
    assert "dòng 2" in refused.value.message
    shown = refused.value.hint[refused.value.hint.index("'") :]
    assert _load(tmp_path, f"[drivers]\nmodules = [{shown}]\n").modules == (r"C:\Windows\System32\driver.dll",)


@pytest.mark.parametrize(
    "line", [r'[drivers]|modules = ["C:\new\token.dll"]', r'[authorities.x]|signer = "C:\new\tls.pem"']
)
def test_a_path_of_windows_that_toml_reads_otherwise_is_no_path(tmp_path: Path, line: str) -> None:
    """What a backslash and n or t is to TOML is no mistake there: the driver had a line break in its name, and looked right."""
    with pytest.raises(UsageError, match="nháy đơn") as refused:
        _load(tmp_path, line.replace("|", "\n"))
    assert refused.value.code == "bad_settings"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('language = "vi"\nlanguage = "en"', "dòng 2"),
        ("timeout = 5\ntimeout", "dòng 2"),
        ("[drivers]\nmodules = [", "thiếu phần cuối"),
        (f"timeout = {'9' * 5000}", "TOML"),
        (f"timeout = {'[' * 5000}", "TOML"),
    ],
)
def test_a_fault_at_the_very_end_has_its_line_and_what_breaks_off_none(tmp_path: Path, text: str, said: str) -> None:
    """The last line often has no end of its own; numbers and brackets without end are no valid file either."""
    with pytest.raises(UsageError) as refused:
        _load(tmp_path, text)
    assert refused.value.code == "bad_settings"
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("timeout = 30\n# cài đặt: à\n".encode("cp1258", "replace") + b"\xec\n", "UTF-8"),
        ("language = “vi”\n".encode(), "thẳng"),
    ],
)
def test_what_an_editor_made_of_it_is_told(tmp_path: Path, data: bytes, says: str) -> None:
    """Another encoding, and curved quotation marks: a line that looks right is told for what it is."""
    (tmp_path / "settings.toml").write_bytes(data)
    with pytest.raises(UsageError) as refused:
        settings.load(home({"SAFETOK_HOME": str(tmp_path)}), {})
    assert says in refused.value.hint


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_what_powershell_writes_is_read(tmp_path: Path, encoding: str) -> None:
    """UTF-16 with its mark, and Windows line ends."""
    (tmp_path / "settings.toml").write_bytes("\ufefftimeout = 7\r\n# đặt\r\n".encode(encoding))
    assert settings.load(home({"SAFETOK_HOME": str(tmp_path)}), {}).timeout == 7


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Notepad writes one."""
    assert _load(tmp_path, '\ufefflanguage = "en"').language == "en"


def test_an_authority_is_told_by_its_issuers_name(tmp_path: Path) -> None:
    """A certificate belongs where an issuing CA bears its issuer's name; by name prefix only where no file is configured."""
    (tmp_path / "ca.pem").write_bytes(CA.public_bytes(Encoding.PEM))
    found = _load(tmp_path, '[authorities.mine]\nissuers = ["ca.pem"]\n')
    mine = settings.authority_of(certificate(1, issuer_der=CA.subject.public_bytes(), issuer_name="SAFE-CA x"), found)
    assert mine is not None
    assert mine.name == "mine"
    by_prefix = settings.authority_of(certificate(2), found)
    assert by_prefix is not None
    assert by_prefix.name == "safe-ca"
    assert settings.authority_of(certificate(3, issuer_name="OTHER"), found) is None


@pytest.mark.parametrize(
    "form", ["pem", "der", "p7b", "p7b-pem", "base64", "base64-marked", "pem-utf-16", "pem-with-text"]
)
def test_certificates_are_read_in_every_form_portals_hand_out(tmp_path: Path, form: str) -> None:
    """PEM, DER, PKCS#7 of both kinds, bare Base64; also as Notepad and PowerShell keep what was pasted."""
    other = _ca("other")
    der = CA.public_bytes(Encoding.DER)
    content = {
        "pem": CA.public_bytes(Encoding.PEM),
        "der": der,
        "p7b": pkcs7.serialize_certificates([CA], Encoding.DER),
        "p7b-pem": pkcs7.serialize_certificates([CA], Encoding.PEM),
        "base64": b"\n".join(CA.public_bytes(Encoding.PEM).splitlines()[1:-1]),
        "base64-marked": b"\xef\xbb\xbf" + b"\r\n".join(CA.public_bytes(Encoding.PEM).splitlines()[1:-1]),
        "pem-utf-16": CA.public_bytes(Encoding.PEM).decode().encode("utf-16"),
        "pem-with-text": b"Subject: x\r\n" + CA.public_bytes(Encoding.PEM) + other.public_bytes(Encoding.PEM),
    }[form]
    path = tmp_path / "file"
    path.write_bytes(content)
    assert settings.load_pem(path)[0].der == der
    assert pem.subjects(path)[0] == CA.subject.public_bytes()
    assert len(settings.load_pem(path)) == (2 if form == "pem-with-text" else 1)


@pytest.mark.parametrize("content", [b"", b"\x30", b"\x30\x82\xff\xff", b"no certificate", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_certificate_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, cut or foreign bytes end in one sentence with the file's name."""
    path = tmp_path / "file.cer"
    path.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        settings.load_pem(path)
    assert refused.value.code == "bad_certificate_file"
    with pytest.raises(UsageError):
        pem.subjects(path)


def test_safetok_home_holds_everything_and_naming_it_makes_nothing(tmp_path: Path) -> None:
    """With SAFETOK_HOME all places are in that folder; `ensure` makes it 0700."""
    root = tmp_path / "a home"
    place = home({"SAFETOK_HOME": str(root)})
    assert all(
        root in path.parents for path in (place.settings, place.database, place.locks, place.cache, place.sandbox)
    )
    assert not root.exists()
    place.ensure()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_without_safetok_home_the_systems_folders_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """platformdirs' folders, and nothing made by naming them."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    place = home({})
    assert place.database == tmp_path / "XDG_STATE_HOME" / "safetok" / "state.db"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_ours_is_closed_and_a_foreign_one_left(tmp_path: Path) -> None:
    """A home that others could read is made private; one with somebody else's things keeps its mode."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir(mode=0o755)
    (theirs / "photo.jpg").touch()
    private_folder(ours)
    private_folder(theirs)
    assert (stat.S_IMODE(ours.stat().st_mode), stat.S_IMODE(theirs.stat().st_mode)) == (0o700, 0o755)


def test_another_users_home_and_settings_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever put them there could name a driver, which is a program that runs as the reader: neither folder nor file is read."""
    mine, theirs = os.getuid() or 1001, 1002
    if os.getuid() == 0:
        os.chown(tmp_path, mine, -1)
    place = home({"SAFETOK_HOME": str(tmp_path)})
    place.settings.write_text("timeout = 5\n")
    if os.getuid() == 0:
        os.chown(place.settings, mine, -1)
    monkeypatch.setattr(os, "geteuid", lambda: mine)
    assert settings.load(place, {}).timeout == 5
    assert home({"SAFETOK_HOME": str(tmp_path)}).state == tmp_path
    monkeypatch.setattr(os, "geteuid", lambda: theirs)
    with pytest.raises(UsageError) as folder:
        home({"SAFETOK_HOME": str(tmp_path)})
    with pytest.raises(UsageError) as file:
        settings.load(place, {})
    assert (folder.value.code, file.value.code) == ("home_unusable", "bad_settings")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert settings.load(place, {}).timeout == 5, "root decides for itself"


def test_a_network_file_system_is_refused_for_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS and its kin are told by the mount table, the innermost mount deciding, and refused before anything is made."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        f"2 1 0:5 / {str(tmp_path).replace(' ', chr(92) + '040')} rw shared:1 - nfs4 server:/x rw\n"
        f"3 2 0:6 / {tmp_path}/local\\040disk rw - tmpfs tmpfs rw\n"
    )
    (tmp_path / "local disk").mkdir()
    assert paths._linux(tmp_path, table) == "nfs4"
    assert paths._linux(tmp_path / "local disk", table) == ""
    monkeypatch.setattr(paths, "network_file_system", lambda _folder: "nfs4")
    with pytest.raises(UsageError) as refused:
        private_folder(tmp_path / "new")
    assert refused.value.code == "network_file_system"
    assert not (tmp_path / "new").exists()


def test_this_machines_disk_is_local(tmp_path: Path) -> None:
    """The folder the tests run in is on a local disk, made or not yet made."""
    assert network_file_system(tmp_path / "not" / "yet") == ""


@pytest.mark.parametrize("file", ["~nobody-has-this-name/ca.pem", "x" * 300 + ".pem"], ids=["no such user", "too long"])
def test_a_file_that_cannot_be_there_is_said(tmp_path: Path, file: str) -> None:
    """A name that no disk or user list knows is a wrong setting, told by its key."""
    with pytest.raises(UsageError) as refused:
        _load(tmp_path, f'[authorities.a]\nissuers = ["{file}"]\n')
    assert (refused.value.code, refused.value.data["key"]) == ("bad_settings", "authorities.a.issuers")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file in the way ends in one sentence and a next step, in both languages."""
    (tmp_path / "file").touch()
    for language in ("vi", "en"):
        set_language(language)  # type: ignore[arg-type]
        with pytest.raises(UsageError) as refused:
            private_folder(tmp_path / "file" / "home")
        assert refused.value.code == "home_unusable"
        assert refused.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
