from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from support_mail import ISSUER, OLD, ROOT, surroundings
from support_trust import NOW, Web, issue, key

from safetok.errors import NoToken, UsageError
from safetok.store.inventory import Inventory
from safetok.workflows.check_entries import Entry, Resolver, listed

SERIAL = "5401010F576EC0EF7D57FE1C2354F3FF"


def _say_nothing(text: str) -> None:
    raise AssertionError(text)


def values(path: Path) -> list[tuple[int | None, str]]:
    return [(entry.line, entry.value) for entry in listed(path, _say_nothing)]


def written(folder: Path, text: str, *, name: str = "ds.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_one_entry_a_line(tmp_path: Path, encoding: str, end: str) -> None:
    """Paths and serials, one a line; empty lines and remarks are left out and still counted; a BOM is no part of the first."""
    text = end.join([SERIAL, "", "# ghi chú", "khách hàng/a b.cer", ""])
    path = written(tmp_path, text, name="ds.txt", encoding=encoding)
    assert values(path) == [(1, SERIAL), (4, "khách hàng/a b.cer")]


@pytest.mark.parametrize(
    "head", ["Số Serial CTS", "serial", "Chứng thư số", "CTS", "TỆP", "path", "Danh sách khách hàng"]
)
def test_a_header_is_no_entry(tmp_path: Path, head: str) -> None:
    """The heading row is passed over, in both languages, known or not."""
    assert values(written(tmp_path, f"{head}\n{SERIAL}\n")) == [(2, SERIAL)]


def test_the_column_is_found_by_its_heading(tmp_path: Path) -> None:
    """Among other columns, that of the serials or the files is taken, the file first."""
    text = f"Công ty;MST;Số Serial;Tệp\nA;0106324653;{SERIAL};\nB;0106323762;;b.cer\nC;1;{SERIAL};c.cer\n"
    assert values(written(tmp_path, text)) == [(2, SERIAL), (3, "b.cer"), (4, "c.cer")]


def test_a_title_above_the_heading_is_passed_over(tmp_path: Path) -> None:
    """Whose list it is and of which day, with or without digits; the columns are those that the heading names."""
    text = f"DANH SÁCH TOKEN 2026;;\n;Ngày 20/11/2026;\n\nSTT;Số Serial CTS;Ghi chú\n1;{SERIAL};\n"
    assert values(written(tmp_path, text)) == [(5, SERIAL)]


@pytest.mark.parametrize("first", [SERIAL, "a b.cer", "0012345678", "54:01:01:0f:57"])
def test_what_may_be_meant_is_no_title(tmp_path: Path, first: str) -> None:
    """A serial or a file above what looks like a heading is not lost: it is one of the entries."""
    assert (1, first) in values(written(tmp_path, f"{first}\nserial\n{SERIAL}\n"))


def test_a_line_that_names_nothing_is_told(tmp_path: Path) -> None:
    """A client of whom the list has no Token ID was not checked: that is said with its line. Empty lines and remarks are none."""
    text = f"STT;Token ID;MST\n#1;{SERIAL};1\n2;;0106324653\n;;\n# đã nghỉ;;\n"
    path = written(tmp_path, text)
    assert values(path) == [(2, SERIAL), (3, "")]
    (entry,) = (one for one in listed(path, _say_nothing) if not one.value)
    (found,) = Resolver(surroundings(tmp_path, Web())).resolve([entry])
    assert isinstance(found.error, UsageError)
    assert found.error.code == "nothing_named"
    assert found.error.message.startswith("ds.csv, dòng 3: ")
    with pytest.raises(UsageError):
        listed(written(tmp_path, "Token ID;MST\n;0106324653\n"), _say_nothing)


def test_without_a_heading_the_first_cell_counts(tmp_path: Path) -> None:
    """A list that begins at once loses no line, though its file does not exist."""
    assert values(written(tmp_path, f"khong-co.cer,x\n{SERIAL},y\n")) == [(1, "khong-co.cer"), (2, SERIAL)]


@pytest.mark.parametrize("cell", [f"'{SERIAL}", f'"=""{SERIAL}"""', f" {SERIAL} "])
def test_what_keeps_a_spreadsheet_from_calculating_is_no_part(tmp_path: Path, cell: str) -> None:
    """An apostrophe, a formula of one text, and blanks around a serial are taken off."""
    assert values(written(tmp_path, f"serial\n{cell}\n")) == [(2, SERIAL)]


@pytest.mark.parametrize(
    ("text", "code"), [("", "empty_list"), ("serial\n\n", "empty_list"), ("\0\0", "manifest_file")]
)
def test_a_list_that_names_nothing(tmp_path: Path, text: str, code: str) -> None:
    """An empty list, one with a heading alone, and what is no list are usage errors that name it."""
    with pytest.raises(UsageError) as error:
        listed(written(tmp_path, text), _say_nothing)
    assert error.value.code == code
    assert "ds.csv" in error.value.message


def test_a_list_s_paths_begin_at_the_list(tmp_path: Path) -> None:
    """Relative paths are the list's neighbours, wherever safetok is run; absolute ones stay."""
    folder = tmp_path / "khách"
    folder.mkdir()
    (folder / "a.cer").write_bytes(OLD.der)
    (entry,) = listed(written(folder, "a.cer\n"), _say_nothing)
    assert entry.names_a_file
    assert entry.path == folder / "a.cer"
    assert Entry(value=str(folder / "a.cer"), list=tmp_path / "x.csv", line=1).path == folder / "a.cer"


def test_one_bad_entry_stops_no_other(tmp_path: Path) -> None:
    """Each bad entry has its own sentence with the list, the line and the value; the rest are looked up."""
    (tmp_path / "a.cer").write_bytes(OLD.der)
    (tmp_path / "hong.cer").write_bytes(b"xyz")
    path = written(tmp_path, f"tệp\nkhong-co.cer\nhong.cer\na.cer\n5,4E+37\n{OLD.serial}\n")
    context = surroundings(tmp_path, Web())
    Inventory(context.database).put_certificate(OLD, NOW)
    found = list(Resolver(context).resolve(listed(path, _say_nothing)))
    assert [one.error.code for one in found if one.error] == ["bad_certificate_file"] * 2 + ["shortened_serial"]
    for one in found:
        if one.error:
            assert "ds.csv" in one.error.message
            assert str(one.entry.line) in one.error.message
            assert one.entry.value in one.error.message
    assert [meant.certificate for one in found for meant in one.meant] == [OLD, OLD]
    context.close()


def test_files_and_known_serials_open_no_driver(tmp_path: Path) -> None:
    """A file, and a serial that the inventory has in any writing, need no token and no driver."""
    (tmp_path / "a.cer").write_bytes(OLD.der)
    context = surroundings(tmp_path, Web(), module="/nowhere/driver.so")
    Inventory(context.database).put_certificate(OLD, NOW)
    resolver = Resolver(context)
    entries = [Entry(value=str(tmp_path / "a.cer")), Entry(value=OLD.serial.lower()), Entry(value=OLD.serial_decimal)]
    entries.append(
        Entry(value=f"{OLD.serial.translate({48 + n: 0xFF10 + n for n in range(10)})}\u200b")
    )  # from a web page
    assert all(one.meant for one in resolver.resolve(entries))
    assert not resolver.looked
    assert resolver.failures() == []
    context.close()


def test_a_p7b_means_its_subscribers(tmp_path: Path) -> None:
    """Of a PKCS#7 with its CAs the subscriber's is checked, and the CAs help to find the path; of CAs alone, those."""
    other = issue("B", "SAFE-CA 2024", key("b"), key("SAFE-CA 2024"))
    chain = [one.x509() for one in (OLD, other, ISSUER, ROOT)]
    (tmp_path / "a.p7b").write_bytes(pkcs7.serialize_certificates(chain, Encoding.DER))
    (tmp_path / "ca.p7b").write_bytes(pkcs7.serialize_certificates(chain[2:], Encoding.PEM))
    context = surroundings(tmp_path, Web())
    found, cas = Resolver(context).resolve([Entry(value=str(tmp_path / n)) for n in ("a.p7b", "ca.p7b")])
    assert {one.certificate.sha256 for one in found.meant} == {OLD.sha256, other.sha256}
    assert {*found.meant[0].along} == {ISSUER.der, ROOT.der}
    assert {one.certificate.sha256 for one in cas.meant} == {ISSUER.sha256, ROOT.sha256}
    context.close()


def test_a_serial_nobody_has_read(tmp_path: Path) -> None:
    """Each is said never to have been read, with the next step; that the driver cannot be used is said once, apart."""
    context = surroundings(tmp_path, Web(), module="/nowhere/driver.so")
    resolver = Resolver(context)
    for found in resolver.resolve([Entry(value="5401FFFF"), Entry(value="5401FFFE")]):
        assert isinstance(found.error, NoToken)
        assert found.error.code == "no_such_certificate"
        assert found.error.hint
    assert [type(error) for error in resolver.failures()] == [UsageError]
    context.close()
