from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import load_pem_x509_certificates
from icalendar import Calendar
from support_inside import Inside
from support_store import reading, renewal
from support_trust import ca, ca_false, issue, key, name, usage

from safetok.domain.certificates import Certificate
from safetok.domain.renewal import State
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.knowledge import load
from safetok.reports.files import pem
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.store.paths import home
from safetok.store.registrations import Registrations

NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = ca("root")
ISSUER = ca("SAFE-CA giả lập 2024", "root")


def _leaf(company: str = "CÔNG TY TNHH HOÀNG MAI", mst: str = "0106324653", *, days: int = 0) -> Certificate:
    return issue(
        name(company, f"MST:{mst}"),
        "SAFE-CA giả lập 2024",
        key(company),
        key("SAFE-CA giả lập 2024"),
        [ca_false(), usage("digital_signature", "content_commitment")],
        begins=NOW - timedelta(days=300 - days),
        ends=NOW + timedelta(days=20 + days),
    )


OLD, NEW, NEWEST = _leaf(), _leaf(days=290), _leaf(days=295)


@pytest.fixture
def cli(tmp_path: Path) -> Inside:
    """A home that has seen the old and then the new certificate, whose CA's certificates are configured; no token is in."""
    env = {"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "no-driver.so")}
    place = home(env)
    with Database(place.database) as db:
        Inventory(db).record(reading("T1", OLD), NOW - timedelta(days=20))
        Inventory(db).record(reading("T1", NEW), NOW - timedelta(days=9))
    for file, certificate in (("root.pem", ROOT), ("issuer.pem", ISSUER)):
        (place.state / file).write_bytes(pem(certificate.der))
    place.settings.write_text('[authorities.safe-ca]\nissuers = ["issuer.pem"]\nanchors = ["root.pem"]\n')
    return Inside(env)


def _openssl(*words: object) -> str:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_new_and_old_are_written_without_the_token(cli: Inside, tmp_path: Path) -> None:
    """Each certificate in four forms under its MST and serial, also the one the vendor's program removed, and a page of text."""
    said = cli.json("export", "--out", str(tmp_path / "out"))
    assert said.status == 0, said.out
    stems = [f"0106324653_{one.serial}" for one in (NEW, OLD)]
    expected = [f"{stem}{end}" for stem in stems for end in (".pem", ".cer", "_chain.pem", ".p7b")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*expected, f"{stems[0]}.txt"}
    assert (tmp_path / "out" / f"{stems[1]}.cer").read_bytes() == OLD.der
    assert {Path(file) for file in said.data["files"]} == set((tmp_path / "out").iterdir())
    assert (said.data["new"]["serial"], said.data["old"]["serial"]) == (NEW.serial, OLD.serial)


def test_other_tools_read_and_verify_every_form(cli: Inside, tmp_path: Path) -> None:
    """openssl verifies the leaf by the exported chain; PEM, DER and PKCS#7 hold the same certificates."""
    cli("export", "--out", str(tmp_path))
    stem = tmp_path / f"0106324653_{NEW.serial}"
    root = tmp_path / "trusted.pem"
    root.write_bytes(pem(ROOT.der))
    chain, leaf = Path(f"{stem}_chain.pem"), Path(f"{stem}.pem")
    assert _openssl("verify", "-CAfile", root, "-untrusted", chain, leaf).endswith("OK\n")
    assert _openssl("x509", "-inform", "DER", "-in", f"{stem}.cer", "-noout", "-serial") == f"serial={NEW.serial}\n"
    whole = load_pem_x509_certificates(chain.read_bytes())
    assert [one.subject.rfc4514_string()[:4] for one in whole] == [
        one.x509().subject.rfc4514_string()[:4] for one in (NEW, ISSUER, ROOT)
    ]
    assert set(pkcs7.load_der_pkcs7_certificates(Path(f"{stem}.p7b").read_bytes())) == set(whole)


def test_the_fields_are_ready_to_copy(cli: Inside, tmp_path: Path) -> None:
    """MST, subject, serial in hex, issuer, from and to in Vietnamese time, in the text file and on the screen."""
    shown = cli("export", "--out", str(tmp_path)).out
    text = (tmp_path / f"0106324653_{NEW.serial}.txt").read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    lines = text.decode("utf-8-sig").splitlines()
    for wanted in (
        "Mã số thuế (MST): 0106324653",
        f"Số Serial CTS: {NEW.serial}",
        f"Số Serial CTS: {OLD.serial}",
        "Nơi cấp: SAFE-CA giả lập 2024",
        f"Hiệu lực đến: {(NEW.not_after + timedelta(hours=7)):%d/%m/%Y %H:%M:%S}",
    ):
        assert wanted in lines
    assert NEW.serial in shown
    assert "CÔNG TY TNHH HOÀNG MAI" in shown


def test_nothing_different_is_overwritten_silently(cli: Inside, tmp_path: Path) -> None:
    """A second export changes nothing; a file with other content stops it before anything is written, --force replaces it."""
    out = tmp_path / "out"
    cli("export", "--out", str(out))
    target = out / f"0106324653_{NEW.serial}.cer"
    stamp = target.stat().st_mtime_ns
    assert cli.json("export", "--out", str(out)).status == 0
    assert target.stat().st_mtime_ns == stamp
    target.write_bytes(b"mine")
    missing = out / f"0106324653_{NEW.serial}.pem"
    missing.unlink()
    said = cli.json("export", "--out", str(out))
    assert (said.status, said.codes) == (2, ["file_exists"])
    assert str(target) in said.envelope["errors"][0]["message"]
    assert target.read_bytes() == b"mine"
    assert not missing.exists()
    assert cli.json("export", "--out", str(out), "--force").status == 0
    assert target.read_bytes() == NEW.der


def test_a_link_in_the_folder_is_not_followed(cli: Inside, tmp_path: Path) -> None:
    """What a link under one of the names points at is never written to."""
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    precious.write_text("keep")
    (out / f"0106324653_{NEW.serial}.cer").symlink_to(precious)
    assert cli.json("export", "--out", str(out)).codes == ["file_exists"]
    assert cli.json("export", "--out", str(out), "--force").status == 0
    assert precious.read_text() == "keep"


def test_hostile_names_stay_text_and_make_no_paths(cli: Inside, tmp_path: Path) -> None:
    """Path separators, control and direction characters in a certificate reach neither file names nor the page as such."""
    hostile = _leaf("A\u202eB\n=cmd|' /C calc'!A0", "../../etc/passwd", days=290)
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T9", hostile), NOW)
    out = tmp_path / "a" / "out"
    said = cli.json("export", "--out", str(out), "--cert", hostile.serial)
    assert said.status == 0, said.out
    assert {path.name.split("_")[0] for path in out.iterdir()} == {"etcpasswd"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "home"]
    text = next(out.glob("*.txt")).read_text("utf-8-sig")
    assert not {"\u202e", "\x1b"} & set(text)
    assert all(": " in line or line.isupper() or not line for line in text.splitlines())


def test_several_companies_and_no_choice_end_with_4(cli: Inside, tmp_path: Path) -> None:
    """The choices are in the data; naming one by MST or token is enough."""
    other = _leaf("CÔNG TY KHÁC", "0312345678")
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", other), NOW)
    said = cli.json("export", "--out", str(tmp_path / "out"))
    assert (said.status, said.codes) == (4, ["several_companies"])
    assert {one["mst"] for one in said.data["certificates"]} == {"0106324653", "0312345678"}
    assert not (tmp_path / "out").exists()
    for words in (("--mst", "0312345678"), ("--serial", "T2"), ("--cert", other.serial)):
        assert cli.json("export", "--out", str(tmp_path / "out"), *words).data["new"]["serial"] == other.serial


def test_without_the_cas_certificates_the_leaf_is_still_exported(cli: Inside, tmp_path: Path) -> None:
    """An unknown CA is said on stderr and in the data; the certificate's own files are whole."""
    home(cli.env).settings.unlink()
    said = cli.json("export", "--out", str(tmp_path / "out"))
    assert (said.status, said.data["chain_complete"]) == (0, False)
    assert "CA" in said.err
    chain = (tmp_path / "out" / f"0106324653_{NEW.serial}_chain.pem").read_bytes()
    assert len(load_pem_x509_certificates(chain)) == 1


def test_a_machine_that_knows_no_certificate_says_so(tmp_path: Path) -> None:
    """Nothing to export ends with 2 and what to do, and makes no folder."""
    fresh = Inside({"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "no-driver.so")})
    said = fresh.json("export", "--out", str(tmp_path / "out"))
    assert (said.status, said.codes) == (2, ["no_certificates"])
    assert not (tmp_path / "out").exists()


def _registered(cli: Inside) -> None:
    with Database(home(cli.env).database) as db:
        Registrations(db).open_for(NEW, load.agencies(), NOW)


def test_the_kit_is_all_that_the_update_needs(cli: Inside, tmp_path: Path) -> None:
    """Certificates, page, record, message and the e-invoice form's rows; repeated, nothing changes."""
    _registered(cli)
    out = tmp_path / "kit"
    said = cli.json("export", "--kit", str(out))
    assert said.status == 0, said.out
    stem = f"0106324653_{NEW.serial}"
    ends = ["co-quan.html", "bien-ban.html", "zalo.txt", "lich.ics", "01DKTD-HDDT.txt"]
    ends += [f"01DKTD-HDDT_HThuc{number}.xml" for number in (1, 2, 3)]
    assert {f"{stem}_{end}" for end in ends} <= {path.name for path in out.iterdir()}
    assert (out / f"{stem}.cer").read_bytes() == NEW.der
    assert Path(said.data["page"]) == out / f"{stem}_co-quan.html"
    page = (out / f"{stem}_co-quan.html").read_text("utf-8")
    for wanted in (NEW.serial, OLD.serial, "CÔNG TY TNHH HOÀNG MAI", "Hải quan (VNACCS)"):
        assert wanted in page
    assert cli.json("export", "--kit", str(out)).status == 0
    cli("agencies", "done", "vnaccs", "--at", "hôm qua 16:05")
    clash = cli.json("export", "--kit", str(out))
    assert clash.codes == ["file_exists"]
    assert "--kit" in clash.envelope["errors"][0]["hint"]
    assert cli.json("export", "--kit", str(out), "--force").status == 0
    assert 'data-until="' in (out / f"{stem}_co-quan.html").read_text("utf-8")


def test_after_two_top_ups_in_a_row_each_agency_is_told_the_one_it_knows(cli: Inside, tmp_path: Path) -> None:
    """Customs learned the one in between, invoices did not: to log in, to be stopped and kept, and as files, by what each knows."""
    newest = _leaf(days=295)
    with Database(home(cli.env).database) as db:
        Registrations(db).open_for(NEW, load.agencies(), NOW - timedelta(days=9), replaces=OLD.sha256)
    cli.json("agencies", "done", "vnaccs", "--at", f"{NOW - timedelta(days=8):%Y-%m-%dT%H:%M:%SZ}")
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", NEW, newest), NOW)
        Registrations(db).open_for(newest, load.agencies(), NOW, replaces=NEW.sha256)
    folder = tmp_path / "kit"
    assert cli.json("export", "--kit", str(folder)).status == 0
    stem = f"0106324653_{newest.serial}"
    stopped = (folder / f"{stem}_01DKTD-HDDT_HThuc3.xml").read_text("utf-8")
    assert OLD.serial in stopped
    assert NEW.serial not in stopped
    page = (folder / f"{stem}_co-quan.html").read_text("utf-8")
    customs = page.partition('id="agency-vnaccs"')[2].partition("</dl>")[0]
    assert NEW.serial in customs
    assert OLD.serial not in customs
    kept = page.partition("</section>")[0]
    told = (folder / f"{stem}_zalo.txt").read_text("utf-8-sig")
    calendar = Calendar.from_ical(next(folder.glob("*_lich.ics")).read_bytes())
    assert sorted(str(one["status"]) for one in calendar.walk("VTODO")) == ["CANCELLED"] * 7 + ["NEEDS-ACTION"] * 7
    for one in (OLD, NEW):
        assert one.serial in kept
        assert f"- Số Serial CTS cũ: {one.serial}" in told
        assert (folder / f"0106324653_{one.serial}.cer").read_bytes() == one.der


def test_the_kits_calendar_is_this_companys_alone(cli: Inside, tmp_path: Path) -> None:
    """A to-do for each agency and an event for the end of a wait, of this certificate; nothing registered gives no calendar."""
    cli("export", "--kit", str(tmp_path / "none"))
    assert not list((tmp_path / "none").glob("*.ics"))
    other = _leaf("CÔNG TY KHÁC", "0312345678")
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", other), NOW)
        Registrations(db).open_for(other, load.agencies(), NOW)
    _registered(cli)
    cli("agencies", "done", "vnaccs", "--cert", NEW.serial)
    cli("export", "--kit", str(tmp_path / "kit"), "--cert", NEW.serial)
    calendar = Calendar.from_ical(next((tmp_path / "kit").glob("*_lich.ics")).read_bytes())
    assert (len(calendar.walk("VTODO")), len(calendar.walk("VEVENT"))) == (7, 1)
    assert all("HOÀNG MAI" in str(one["summary"]) for one in (*calendar.walk("VTODO"), *calendar.walk("VEVENT")))


def test_the_users_form_and_name_go_into_the_kit(cli: Inside, tmp_path: Path) -> None:
    """--hthuc chooses the row for the new serial, 3 writes the old one's alone; --confirmed-by stands in the record."""
    for chosen, numbers in (("1", {1, 3}), ("2", {2, 3}), ("3", {3})):
        out = tmp_path / chosen
        assert cli.json("export", "--kit", str(out), "--hthuc", chosen, "--confirmed-by", "Bà <b>Bình</b>").status == 0
        assert {int(path.stem[-1]) for path in out.glob("*.xml")} == numbers
        assert "Bà &lt;b&gt;Bình&lt;/b&gt;" in next(out.glob("*_bien-ban.html")).read_text("utf-8")
        old = next(out.glob("*HThuc3.xml")).read_text("utf-8")
        assert f"<Seri>{OLD.serial}</Seri>" in old
    assert cli.json("export", "--kit", str(tmp_path / "x"), "--hthuc", "4").status == 2


def test_the_message_goes_to_stdout_and_writes_nothing(cli: Inside, tmp_path: Path) -> None:
    """`export --text` prints the paragraph for Zalo alone, also as JSON; there are no files."""
    _registered(cli)
    plain = cli("export", "--text")
    assert plain.status == 0, plain.err
    assert plain.out.startswith("Kính gửi CÔNG TY TNHH HOÀNG MAI (MST 0106324653),\n")
    assert f"- Số Serial CTS mới: {NEW.serial}\n" in plain.out
    assert cli.json("export", "--text").data["text"] == plain.out
    assert not (tmp_path / "safetok-export").exists()


def test_options_that_say_different_things_are_refused(cli: Inside, tmp_path: Path) -> None:
    """One of --out, --kit, --text; what belongs to the kit comes with it."""
    for words in (
        ("--out", str(tmp_path / "a"), "--kit", str(tmp_path / "b")),
        ("--text", "--kit", str(tmp_path / "b")),
        ("--hthuc", "1"),
        ("--out", str(tmp_path / "a"), "--confirmed-by", "A"),
    ):
        said = cli.json("export", *words)
        assert (said.status, said.codes) == (2, ["options_together"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_an_added_agency_and_one_not_used_are_on_the_page_as_such(cli: Inside, tmp_path: Path) -> None:
    """What a company added has a card of its own; what it does not use is named at the end alone."""
    _registered(cli)
    cli("agencies", "add", "misa", "--title", "Hóa đơn <MISA>", "--url", "https://meinvoice.vn", "--24h")
    cli("agencies", "skip", "ivan")
    cli("export", "--kit", str(tmp_path / "kit"))
    page = next((tmp_path / "kit").glob("*_co-quan.html")).read_text("utf-8")
    assert "Hóa đơn &lt;MISA&gt;" in page
    assert 'id="agency-misa"' in page
    assert 'id="agency-ivan"' not in page
    assert "Đơn vị không sử dụng:" in page


def _refused(cli: Inside, folder: Path, *words: str) -> tuple[int, str, str]:
    """How the message and the kit of these are refused, both alike: status, code and the whole text; nothing is written."""
    text, kit = cli.json("export", "--text", *words), cli.json("export", "--kit", str(folder / "kit"), *words)
    assert (text.status, text.codes, text.data) == (kit.status, kit.codes, kit.data)
    assert not (folder / "kit").exists()
    (error,) = text.envelope["errors"]
    return text.status, error["code"], f"{error['message']} {error['hint']}"


def test_a_certificate_that_follows_none_is_no_news(cli: Inside, tmp_path: Path) -> None:
    """Without a predecessor and without a list of agencies nothing goes to the client; plain files call it no new one."""
    only = _leaf("CÔNG TY KHÁC", "0312345678")
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", only), NOW)
    status, code, told = _refused(cli, tmp_path, "--mst", "0312345678")
    assert (status, code) == (11, "nothing_new")
    assert f"safetok export --cert {only.serial}" in told
    assert f"safetok certs adopt --cert {only.serial}" in told
    shown = cli("export", "--out", str(tmp_path / "out"), "--mst", "0312345678").out
    written = (tmp_path / "out" / f"0312345678_{only.serial}.txt").read_text("utf-8-sig")
    assert written.splitlines()[0] == "CHỨNG THƯ SỐ"
    assert "CHỨNG THƯ SỐ MỚI" not in shown
    with Database(home(cli.env).database) as db:
        Registrations(db).open_for(only, load.agencies(), NOW)
    assert only.serial in cli("export", "--text", "--cert", only.serial).out


def test_an_old_certificate_is_no_news_and_its_successor_is_named(cli: Inside, tmp_path: Path) -> None:
    """Asked for by its serial the old one is refused with the new one's serial; its plain files do not call it new."""
    _registered(cli)
    status, code, told = _refused(cli, tmp_path, "--cert", OLD.serial)
    assert (status, code) == (11, "superseded")
    assert f"--cert {NEW.serial}" in told
    cli("export", "--out", str(tmp_path / "out"), "--cert", OLD.serial)
    written = (tmp_path / "out" / f"0106324653_{OLD.serial}.txt").read_text("utf-8-sig")
    assert "CHỨNG THƯ SỐ MỚI" not in written


def test_a_second_token_that_nobody_spoke_of_makes_no_certificate_old(cli: Inside) -> None:
    """A later certificate of the company on another token is no successor until a person says that it is."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", _leaf(days=295)), NOW)
    assert cli("export", "--text", "--cert", NEW.serial).status == 0


@pytest.mark.parametrize(
    ("answer", "word"), [(RevocationAnswer.REVOKED, "THU HỒI"), (RevocationAnswer.SUSPENDED, "TẠM DỪNG")]
)
def test_what_is_revoked_or_suspended_is_no_news(
    cli: Inside, tmp_path: Path, answer: RevocationAnswer, word: str
) -> None:
    """By the CA's last answer kept, no message and no kit tell agencies to take it (13); its plain files are still written."""
    _registered(cli)
    with Database(home(cli.env).database) as db:
        Answers(db).put_revocation(NEW.sha256, Revocation(answer=answer, checked_at=NOW))
    status, code, told = _refused(cli, tmp_path)
    assert (status, code) == (13, f"certificate_{answer}")
    assert word in told
    assert cli("export", "--out", str(tmp_path / "out")).status == 0


def test_an_expired_certificate_is_no_news(cli: Inside, tmp_path: Path) -> None:
    """Although it followed another, nobody can be told to take it any more."""
    ended = [_leaf("CÔNG TY CŨ", "0312345678", days=days) for days in (-900, -100)]
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", *ended), NOW)
    status, code, _told = _refused(cli, tmp_path, "--mst", "0312345678")
    assert (status, code) == (11, "certificate_expired")


def test_one_that_another_has_followed_is_not_called_new(cli: Inside, tmp_path: Path) -> None:
    """Of three in a row, the one in between is a certificate like any other in its own export; the last one is the new one."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", NEWEST), NOW)
    for chosen, heading in ((NEW, "CERTIFICATE"), (NEWEST, "NEW CERTIFICATE")):
        out = tmp_path / chosen.serial
        assert cli.json("export", "--cert", chosen.serial, "--out", str(out), "--lang", "en").status == 0
        text = (out / f"0106324653_{chosen.serial}.txt").read_text("utf-8-sig")
        assert text.splitlines()[0] == heading


def test_the_contract_end_that_is_known_stands_in_the_kit(cli: Inside, tmp_path: Path) -> None:
    """Also where no renewal of safetok's own brought it."""
    with Database(home(cli.env).database) as db:
        Inventory(db).set_contract_end(NEW.sha256, date(2028, 7, 19))
    said = cli.json("export", "--kit", str(tmp_path / "kit"))
    assert "19/07/2028" in Path(said.data["page"]).read_text("utf-8")


def test_a_chain_without_anchors_ends_with_the_root(cli: Inside, tmp_path: Path) -> None:
    """Where the settings name no anchors, what is known above is climbed once: a root that signed itself is not climbed again."""
    home(cli.env).settings.write_text('[authorities.safe-ca]\nissuers = ["issuer.pem", "root.pem"]\n')
    assert cli.json("export", "--out", str(tmp_path)).status == 0
    whole = load_pem_x509_certificates((tmp_path / f"0106324653_{NEW.serial}_chain.pem").read_bytes())
    assert whole == [one.x509() for one in (NEW, ISSUER, ROOT)]


def test_what_the_ca_sent_along_makes_the_chain_where_no_setting_does(cli: Inside, tmp_path: Path) -> None:
    """A renewal kept what came with its certificate: written as far as one signed the other, and not called complete."""
    home(cli.env).settings.unlink()
    with Database(home(cli.env).database) as db:
        kept = renewal(old_certificate=OLD.der, old_serial=OLD.serial, state=State.DONE)
        Journal(db).create(replace(kept, certificate=NEW.der, chain=(ca("stranger").der, ROOT.der, ISSUER.der)))
    said = cli.json("export", "--out", str(tmp_path))
    assert (said.status, said.data["chain_complete"]) == (0, False)
    whole = load_pem_x509_certificates((tmp_path / f"0106324653_{NEW.serial}_chain.pem").read_bytes())
    assert whole == [one.x509() for one in (NEW, ISSUER, ROOT)]
