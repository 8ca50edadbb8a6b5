"""What can go wrong with the state's file, told for a person with the next step."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from safetok.errors import SafetokError, Unexpected, UsageError
from safetok.locale import _, why

_SHOWN = 60  # characters of a word that is no text
_LEAST_ROOM = 64 << 10  # bytes: the log's index takes 32 KB at once


def busy(error: Exception) -> bool:
    """Whether another process has the file just now: the statement has done nothing, and may be tried again."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _not_text(error: UnicodeEncodeError) -> UsageError:
    """What is said of a word (of the command line, mostly) whose bytes are not UTF-8: Python carries them, SQLite does not."""
    word = error.object.encode(errors="backslashreplace").decode()
    return UsageError(
        _("{word} is not text: it holds bytes that are not UTF-8.").format(word=word[:_SHOWN]),
        code="not_text",
        hint=_("Type it again; the terminal's character set must be UTF-8."),
    )


def told(error: Exception, path: Path) -> SafetokError:
    """The error of errors.py (codes `state_*`, `not_text`) for one of SQLite's, of the system's, or of a word that is no text."""
    return _not_text(error) if isinstance(error, UnicodeEncodeError) else _of_the_file(error, path)


def _of_the_file(error: Exception, path: Path) -> SafetokError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Unexpected(
            _("Another safetok has been writing to {file} for too long.").format(file=path),
            code="state_busy",
            hint=_("Wait for it to finish, then run the command again."),
        )
    full = primary == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == 28  # noqa: PLR2004  (ENOSPC)
    # No room for the log's index is to SQLite an I/O error, or a file that cannot be opened.
    if full or (primary in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and _no_room(path.parent)):
        return Unexpected(
            _("The disk is full: {file} could not be written. What was written before is kept.").format(file=path),
            code="state_disk_full",
            hint=_("Free some space on the disk, then run the command again."),
        )
    if primary in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
    }:  # the last: other tables than ours
        return Unexpected(
            _("{file} is damaged or is not safetok's.").format(file=path),
            code="state_damaged",
            hint=_(
                "Move it aside and keep it; certificates on tokens are untouched. Ask support before renewing again."
            ),
        )
    if primary in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM} or isinstance(error, OSError):
        return UsageError(
            _("{file} cannot be opened or written: {why}.").format(file=path, why=_why_not(error, primary)),
            code="state_unusable",
            hint=_("Set SAFETOK_HOME to a folder on this computer's own disk that you can write to."),
        )
    if primary == sqlite3.SQLITE_IOERR:
        return Unexpected(
            _("{file} could not be read or written: the disk answers with an error.").format(file=path),
            code="state_failed",
            hint=_(
                "Copy the folder to another disk, and set SAFETOK_HOME to the copy. Certificates on tokens are untouched."
            ),
        )
    return Unexpected(_("{file} failed: {why}.").format(file=path, why=error), code="state_failed")


def _no_room(folder: Path) -> bool:
    import shutil

    try:
        return shutil.disk_usage(folder).free < _LEAST_ROOM
    except OSError:
        return False


def _why_not(error: Exception, primary: int | None) -> str:
    """SQLite speaks English alone."""
    if isinstance(error, OSError):
        return why(error)
    if primary == sqlite3.SQLITE_READONLY:
        return _("it may only be read")
    return _("access is not allowed, or there is no such folder")
