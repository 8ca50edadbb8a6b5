"""What people name as an output file: whole or not at all, and never in place of a device, a pipe or a folder."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from safetok.errors import UsageError
from safetok.locale import _
from safetok.reports import files
from safetok.reports.files import write_all, write_file


def _special(folder: Path, kind: str) -> Path:
    path = folder / "named"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            here = Path.cwd()
            os.chdir(folder)  # the path of a socket may not be long
            listening.bind(path.name)
            os.chdir(here)
    else:
        os.mkfifo(folder / "real")
        path.symlink_to(folder / "real")
    return path


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "link to a pipe"])
def test_what_is_no_plain_file_is_refused_and_stays_what_it_is(tmp_path: Path, kind: str) -> None:
    """One sentence that names it, nothing beside it, and the same thing afterwards."""
    path = _special(tmp_path, kind)
    before = [(one.name, stat.S_IFMT(one.lstat().st_mode)) for one in sorted(tmp_path.iterdir())]
    with pytest.raises(UsageError) as refused:
        write_file(path, b"x")
    assert refused.value.code == "not_a_file"
    assert str(path.resolve()) in refused.value.message
    assert [(one.name, stat.S_IFMT(one.lstat().st_mode)) for one in sorted(tmp_path.iterdir())] == before


def test_no_folder_is_made_for_a_file_that_was_named(tmp_path: Path) -> None:
    """A slip in the folder's name is told, not created."""
    with pytest.raises(UsageError) as refused:
        write_file(tmp_path / "nowhere" / "c.ics", b"x")
    assert (refused.value.code, list(tmp_path.iterdir())) == ("file_not_written", [])


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """A calendar that is linked to where another program reads it stays linked."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_file(tmp_path / "link", b"new")
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "real").read_bytes()) == (True, b"new")


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """Its half-written file, where the next run has the same number (in a container); a link there is not followed either."""
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / f".a.cer.{os.getpid()}").write_bytes(b"ha")
    (tmp_path / f".a.pem.{os.getpid()}").symlink_to("precious")
    write_all(tmp_path, {"a.cer": b"x", "a.pem": b"y"})
    found = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert found == {"a.cer": b"x", "a.pem": b"y", "precious": b"mine"}


def test_a_pipe_under_a_name_of_an_export_is_never_replaced(tmp_path: Path) -> None:
    """Also with --force."""
    os.mkfifo(tmp_path / "a.pem")
    with pytest.raises(UsageError) as refused:
        write_all(tmp_path, {"a.cer": b"x", "a.pem": b"x"}, replace=True)
    assert (refused.value.code, [one.name for one in tmp_path.iterdir()]) == ("not_a_file", ["a.pem"])


def test_a_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder the command runs in was removed meanwhile: one sentence about the file, as it was typed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError) as refused:
        write_file(Path("list.csv"), b"x")
    assert refused.value.code == "file_not_written"
    assert "list.csv" in refused.value.message


def test_a_file_that_excel_has_open_is_to_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows replaces no file that a program holds open: the report from last time is as it was, and the hint says what to do."""
    report = tmp_path / "report.xlsx"
    report.write_bytes(b"old")

    def held_open(*_given: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", held_open)
    monkeypatch.setattr("os.replace", held_open)
    with pytest.raises(UsageError) as refused:
        write_file(report, b"new")
    assert (refused.value.code, report.read_bytes()) == ("file_not_written", b"old")
    assert "Excel" in refused.value.hint
    assert [one.name for one in tmp_path.iterdir()] == ["report.xlsx"]


def test_a_link_among_the_files_of_a_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Whatever it leads to, a pipe also: asked for first, then a plain file stands there and what it led to is as it was."""
    os.mkfifo(tmp_path / "real")
    (tmp_path / "a.pem").symlink_to("real")
    with pytest.raises(UsageError) as refused:
        write_all(tmp_path, {"a.pem": b"new"})
    assert refused.value.code == "file_exists"
    assert write_all(tmp_path, {"a.pem": b"new"}, replace=True) == [tmp_path / "a.pem"]
    assert ((tmp_path / "a.pem").is_symlink(), (tmp_path / "a.pem").read_bytes()) == (False, b"new")
    assert (tmp_path / "real").is_fifo()


@pytest.mark.parametrize("there", [True, False])
def test_where_not_all_could_be_written_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """A disk that is full after the first file: no half a kit, no folder that was not there, and the next step is to free space."""
    folder = tmp_path / "kit"
    if there:
        folder.mkdir()
        (folder / "kept").write_bytes(b"z")
    as_ever = files.write_whole

    def full(path: Path, content: bytes) -> None:
        if path.name == "b":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        as_ever(path, content)

    monkeypatch.setattr(files, "write_whole", full)
    with pytest.raises(UsageError) as refused:
        write_all(folder, {"a": b"x", "b": b"y"}, hint="--force")
    assert refused.value.code == "folder_unusable"
    assert refused.value.hint == _("Free some space on the disk, then run the command again.")
    assert [path.name for path in folder.iterdir()] == ["kept"] if there else not folder.exists()
    with pytest.raises(UsageError) as refused:
        write_file(tmp_path / "b", b"y")
    assert (refused.value.hint, (tmp_path / "b").exists()) == (
        _("Free some space on the disk, then run the command again."),
        False,
    )
