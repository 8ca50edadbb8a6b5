"""What `doctor` looks at in safetok's own things: folder, state, journal, PIN counts, keyring, revocation lists, completions."""

from __future__ import annotations

import os
import queue
import shutil
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.times import show_instant
from safetok.errors import SafetokError
from safetok.locale import LANGUAGES, _
from safetok.workflows import machine_clock
from safetok.workflows.doctor_findings import Finding
from safetok.workflows.history import state_word

if TYPE_CHECKING:
    from safetok.domain.tokens import Reading
    from safetok.workflows.context import Context

NEEDED = 16 << 20
KEYRING_SECONDS = 5.0


def settings(context: Context) -> Iterator[Finding]:
    """A settings.toml that cannot be used: the rest is looked at with what is shipped."""
    broken = context.settings.broken
    if broken is not None:
        file = str(context.settings.home.settings)
        yield Finding(code=broken.code, grade="bad", text=broken.message, step=broken.hint, about=file)


def language(environ: Mapping[str, str]) -> Iterator[Finding]:
    """A language asked for that there is not: what is said is Vietnamese, or as settings.toml has it."""
    asked = environ.get("SAFETOK_LANG", "").strip()
    if asked and asked.lower()[:2] not in LANGUAGES:
        text = _("SAFETOK_LANG is {value}: safetok speaks vi and en, so this is left aside.").format(value=asked[:40])
        step = _("Set it to vi or en, or take it away.")
        yield Finding(code="language_unknown", grade="warn", text=text, step=step)


def rules(context: Context) -> Iterator[Finding]:
    """Rules of settings.toml that are for no agency there is: a misspelt one would count its 24 hours otherwise, in silence."""
    from safetok.workflows.agency_rules import for_no_agency, told_of_no_agency

    for key, meant in for_no_agency(context).items():
        step = _("Put the agency's name right; see them: safetok agencies list. Another one: safetok agencies add NAME")
        yield Finding(code="agency_unknown", grade="warn", text=told_of_no_agency(key, meant), step=step, about=key)


def folder(context: Context) -> Iterator[Finding]:
    """Where the state lies: not on another machine's disk, with room, readable by safetok."""
    from safetok.store.paths import refuse_network

    home = context.settings.home
    try:
        refuse_network(home.state)
        context.database.rows("SELECT 1")
    except SafetokError as error:
        yield Finding(code=error.code, grade="bad", text=error.message, step=error.hint, about=str(home.state))
        return
    if shutil.disk_usage(home.state).free < NEEDED:
        yield Finding(
            code="no_space",
            grade="bad",
            text=_("The disk of {folder} is nearly full: a renewal needs 16 MB there.").format(folder=home.state),
            step=_("Free some space on that disk."),
            about=str(home.state),
        )
    yield Finding(
        code="state", grade="good", text=_("State: {folder}").format(folder=home.state), about=str(home.state)
    )


def journal(context: Context) -> Iterator[Finding]:
    """Renewals that wait, and that no other run is at work on."""
    from safetok.store.journal import Journal
    from safetok.workflows.renew.alone import under_way

    for renewal in Journal(context.database).unfinished():
        if under_way(context, renewal):
            continue
        yield Finding(
            code="renewal_unfinished",
            grade="warn",
            text=_("Renewal {id} of token {token} is unfinished: {state}.").format(
                id=renewal.id, token=renewal.token_serial, state=state_word(renewal.state, renewal.route)
            ),
            step=_("safetok certs install FILE") if renewal.by_mail else "safetok renew --resume",
            about=renewal.token_serial,
        )


def pins(context: Context, reading: Reading | None) -> Iterator[Finding]:
    """PIN tries that failed or whose end nobody knows."""
    from safetok.store.inventory import Inventory
    from safetok.store.pins import PinLog

    log = PinLog(context.database)
    serials = {token.serial for token in Inventory(context.database).tokens()}
    serials |= {token.info.serial for token in reading.tokens} if reading else set()
    for serial in sorted(serials):
        if count := log.count(serial):
            yield Finding(
                code="pin_tries_spent",
                grade="warn",
                text=_("Token {serial}: {n} PIN tries failed or were cut off since the last good one.").format(
                    serial=serial, n=count
                ),
                step=_("Ask the person who holds the PIN before the next try."),
                about=serial,
            )


def past(context: Context) -> Iterator[Finding]:
    """A clock that stands before what safetok has already seen."""
    latest = machine_clock.seen_later(context)
    if latest is not None:
        yield clock_wrong(machine_clock.stands_before(context.now(), latest))


def clock_wrong(text: str, about: str = "") -> Finding:
    """A wrong clock, and how to set it."""
    return Finding(
        code="clock_wrong",
        grade="bad",
        text=text,
        step=machine_clock.how_to_set(),
        about=about,
    )


def keyring(_context: Context) -> Iterator[Finding]:
    """Whether PINs could be kept; asked in a thread, because some back ends wait for a person."""
    from safetok.store import pin_store

    answers: queue.SimpleQueue[SafetokError | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            pin_store.get("safetok doctor")
        except SafetokError as error:
            answers.put(error)
        else:
            answers.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = answers.get(timeout=KEYRING_SECONDS)
    except queue.Empty:
        text = _("The computer's keyring does not answer: it may be locked.")
        yield Finding(code="keyring_locked", grade="info", text=text, step=_("Unlock it; without it PINs are typed."))
        return
    if error is None:
        yield Finding(code="keyring", grade="good", text=_("The computer's keyring can be used."))
    else:
        yield Finding(
            code="keyring_unusable",
            grade="info",
            text=error.message,
            step=_(
                "Only needed to keep PINs. Unlock or install one (gnome-keyring, KWallet); without it PINs are typed."
            ),
        )


def lists(context: Context) -> Iterator[Finding]:
    """Kept revocation lists whose time is over."""
    from cryptography import x509

    stale: list[tuple[Path, datetime]] = []
    cache = context.settings.home.cache / "crl"
    for file in sorted(cache.glob("*.crl")) if os.path.isdir(cache) else ():  # noqa: PTH112  (no folder, too, where none may look)
        try:
            data = file.read_bytes()
            found = x509.load_pem_x509_crl(data) if b"-----BEGIN" in data[:64] else x509.load_der_x509_crl(data)
            until = found.next_update_utc
        except (OSError, ValueError):
            until = context.now() - timedelta(seconds=1)
        if until is not None and until < context.now():
            stale.append((file, until))
    if stale:
        yield Finding(
            code="crl_stale",
            grade="info",
            text=_("{n} revocation lists that are kept here are out of date; the oldest ended at {when}.").format(
                n=len(stale), when=show_instant(min(until for _file, until in stale))
            ),
            step="safetok certs check",
            about=str(cache),
        )


def completions(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the shell completes safetok's commands, where that can be told from a file's place."""
    home = Path(environ.get("HOME") or "/")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    settings = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    places = {
        "bash": (
            "safetok.bash",
            [
                data / "bash-completion/completions/safetok",
                Path("/usr/share/bash-completion/completions/safetok"),
                Path("/etc/bash_completion.d/safetok"),
            ],
        ),
        "fish": (
            "safetok.fish",
            [settings / "fish/completions/safetok.fish", Path("/usr/share/fish/vendor_completions.d/safetok.fish")],
        ),
    }
    shell = Path(environ.get("SHELL", "")).name
    if shell not in places:
        return
    file, wanted = places[shell]
    if not any(place.exists() for place in wanted):
        yield Finding(
            code="completions_missing",
            grade="info",
            text=_("{shell} does not complete safetok's commands yet.").format(shell=shell),
            step=_("Copy {file} from the folder completions to {place}").format(file=file, place=wanted[0]),
        )
