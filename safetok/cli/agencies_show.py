"""How registrations are shown: lists, reminders, what was recorded and worklists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from safetok.cli.render import Cell, Column, Screen, Toned, screen
from safetok.cli.status import not_opened
from safetok.domain.agencies import is_24h
from safetok.locale import _, later

IN_FULL = 3  # up to so many companies are reminded of one by one

if TYPE_CHECKING:
    from safetok.cli.render import Tone
    from safetok.domain.agencies import Standing
    from safetok.domain.filings import Signing, SignWith
    from safetok.workflows.agencies import Listing, Recorded
    from safetok.workflows.agencies_sheet import Imported
    from safetok.workflows.overview import RegistrationView


def show_list(listing: Listing) -> None:
    """Each certificate's agencies in the notice's order."""
    out = screen()
    groups = _by_certificate(listing.views)
    if not groups:
        out.line(nothing(named=listing.named))
    heads = [*_heads(), Column(_("Sign today with"), wrap=True)]
    layout = out.layout(heads, _rows(listing.views, listing, signing=True))
    for number, views in enumerate(groups):
        if number:
            out.line()
        _heading(out, listing, views)
        out.line()
        out.table(heads, _rows(views, listing, signing=True), layout=layout)
        _reasons(out, views, listing)
    if any(view.standing == "open" for view in listing.views):
        out.line()
        which = _chosen_by(listing.views)
        out.line(f"{_('Updated on one of them? Record it: safetok agencies done NAME')}{which}", "dim")
    not_opened(out, listing.not_opened)


def show_reminder(listing: Listing) -> None:
    """What is to do first, then what waits, then what is finished."""
    out = screen()
    groups = _by_certificate(listing.views)
    if not groups:
        out.line(nothing(named=listing.named))
    if len(groups) > IN_FULL:
        _by_standing(out, listing)
    else:
        layout = out.layout(_heads(), _rows([view for view in listing.views if view.standing != "unused"], listing))
        for number, views in enumerate(groups):
            if number:
                out.line()
            _heading(out, listing, views)
            for standing, title in _REMINDER:
                found = [view for view in views if view.standing == standing]
                if found:
                    out.title(_(title).format(count=len(found)))
                    out.table(_heads(), _rows(found, listing), layout=layout)
    _advice(out, listing.views)
    not_opened(out, listing.not_opened)


def _by_standing(out: Screen, listing: Listing) -> None:
    """Many companies: by what is to be done, and there each company once, with the agencies of which the same is said."""
    with_mst = not out.rich or out.width >= 110  # noqa: PLR2004  (80 columns have no room for it)
    heads = [
        Column(_("Company"), wrap=True),
        *([Column("MST")] if with_mst else []),
        Column(_("Agencies"), wrap=True),
        Column(_("State"), wrap=True),
    ]
    tables: list[tuple[str, list[list[Cell]]]] = []
    for standing, title in _REMINDER:
        found = [view for view in listing.views if view.standing == standing]
        same: dict[tuple[str, str], list[RegistrationView]] = {}
        for view in found:
            same.setdefault((view.registration.certificate_sha256, standing_text(view).text), []).append(view)
        rows: list[list[Cell]] = []
        for views in same.values():
            names = ", ".join(view.registration.agency for view in views)
            mst = [views[0].registration.mst] if with_mst else []
            late = any(listing.overdue(view) for view in views)
            rows.append([views[0].name, *mst, names, _state(views[0], listing, late=late)])
        if rows:
            tables.append((_(title).format(count=len(found)), rows))
    layout = out.layout(heads, [row for _title, rows in tables for row in rows])
    for number, (title, rows) in enumerate(tables):
        if number:
            out.line()
        out.line(title, "strong")
        out.table(heads, rows, layout=layout)


def show_recorded(recorded: Recorded) -> None:
    """What was recorded and what follows from it."""
    out = screen()
    for view in recorded.views:
        out.notice(_recorded(recorded.move, view, waits=recorded.waits), "good")
        if view.standing == "due_check":
            over = _("The wait is over. Check, then record `safetok agencies accepted {agency}` or `reject`.")
            if is_24h(view.registration):
                over = _("The 24h00 are over. Check, then record `safetok agencies accepted {agency}` or `reject`.")
            out.line(over.format(agency=view.registration.agency))
    if recorded.move == "done":
        out.line(_("safetok only takes note: the update itself is made by you on that system."), "dim")


def _recorded(move: str, view: RegistrationView, *, waits: bool) -> str:
    from safetok.domain.times import show_instant

    row = view.registration
    sentence = {
        "done": _done(view),
        "undo": _("{agency}: taken back. Now: {state}."),
        "skip": _("{agency}: not used; remembered for this company's next certificates."),
        "add": _("{agency}: added as {name}. 24h00 count from the update there.")
        if waits
        else _("{agency}: added as {name}, without a waiting time."),
    }.get(move, "{agency}: {state}.")
    return sentence.format(
        agency=view.title,
        name=row.agency,
        state=standing_text(view).text,
        at=show_instant(row.updated_at) if row.updated_at else "",
        until=show_instant(row.until) if row.until else "",
    )


def _done(view: RegistrationView) -> str:
    row = view.registration
    if row.until:
        if is_24h(row):
            return _("{agency}: updated at {at}. 24h00 are over at {until}.")
        return _("{agency}: updated at {at}. The wait is over at {until}.")
    if row.updated_at is None:
        return "{agency}: {state}."
    return _("{agency}: updated at {at}.")


_TONES: dict[Standing, Tone] = {
    "open": "warn",
    "updated": "",
    "waiting": "",
    "due_check": "warn",
    "accepted": "good",
    "rejected": "bad",
    "unused": "dim",
    "expired": "dim",
    "revoked": "bad",
}

_REMINDER: tuple[tuple[Standing, str], ...] = (
    ("due_check", later("24h00 are over, check now ({count})")),
    ("rejected", later("Rejected, update again ({count})")),
    ("open", later("Not yet updated, mandatory ({count})")),
    ("waiting", later("Waiting for the 24h00 ({count})")),
    ("updated", later("Updated, record accepted when you have seen it ({count})")),
    ("accepted", later("Accepted ({count})")),
    ("expired", later("The certificate has expired, nothing is left to update ({count})")),
    ("revoked", later("The certificate was revoked, nothing is left to update ({count})")),
)


def standing_text(view: RegistrationView) -> Toned:
    """Where a registration stands, in the notice's words."""
    from safetok.domain.times import show_instant

    row = view.registration
    at = show_instant(row.updated_at) if row.updated_at else ""
    until = show_instant(row.until) if row.until else ""
    left = [title for part, title in view.parts if part not in dict(row.parts)] if row.parts else []
    words: dict[Standing, str] = {
        "open": _("not yet updated; still to do: {parts}").format(parts=", ".join(left))
        if left
        else _("not yet updated"),
        "updated": _("updated at {at}").format(at=at),
        "waiting": (_("waiting for the 24h00 until {until}") if is_24h(row) else _("waiting until {until}")).format(
            until=until
        ),
        "due_check": (
            _("24h00 over at {until}, to be checked") if is_24h(row) else _("wait over at {until}, to be checked")
        ).format(until=until),
        "accepted": _("accepted"),
        "rejected": _("rejected: {reason}").format(reason=row.reason) if row.reason else _("rejected"),
        "unused": _("not used"),
        "expired": _("this certificate has expired"),
        "revoked": _("this certificate was revoked"),
    }
    return Toned(words[view.standing], _TONES[view.standing])


def _by_certificate(views: Iterable[RegistrationView]) -> list[list[RegistrationView]]:
    groups: dict[str, list[RegistrationView]] = {}
    for view in views:
        groups.setdefault(view.registration.certificate_sha256, []).append(view)
    return list(groups.values())


def _heading(out: Screen, listing: Listing, views: list[RegistrationView]) -> None:
    from safetok.cli.words import company_line
    from safetok.domain.times import show_date

    row = views[0].registration
    certificate = listing.certificates.get(row.certificate_sha256)
    out.line(company_line(views[0].name, row.mst), "strong")
    if certificate is None:
        out.line(_("Serial {serial}").format(serial=row.certificate))
    else:
        out.line(
            _("Serial {serial}, valid {start}–{end}").format(
                serial=row.certificate, start=show_date(certificate.not_before), end=show_date(certificate.not_after)
            )
        )


def _heads() -> list[Column]:
    return [Column(_("Agency"), wrap=True), Column(_("Name")), Column(_("State"), wrap=True)]


def _rows(views: Iterable[RegistrationView], listing: Listing, *, signing: bool = False) -> list[list[Cell]]:
    """Title, short name and state of each; with `signing` also what to sign with today."""
    rows: list[list[Cell]] = []
    for view in views:
        row: list[Cell] = [view.title, view.registration.agency, _state(view, listing, late=listing.overdue(view))]
        if signing:
            row.append(_signing(view, listing))
        rows.append(row)
    return rows


def _state(view: RegistrationView, listing: Listing, *, late: bool) -> Toned:
    """Where it stands; with an age asked for, red only what nobody has touched."""
    state = standing_text(view)
    if listing.overdue_after is None:
        return state
    return Toned(state.text, "bad" if late else "" if state.tone == "bad" else state.tone)


_SIGN_TONES: dict[SignWith, Tone] = {"new": "good", "old": "", "unchecked": "warn", "neither": "warn", "unused": "dim"}


def signing_text(signing: Signing) -> Toned:
    """What to sign with, in a word; the why is told under the table."""
    words: dict[SignWith, str] = {
        "new": _("the new one"),
        "old": _("the old one"),
        "unchecked": _("the old one, once checked"),
        "neither": _("neither yet"),
        "unused": "–",
    }
    return Toned(words[signing.answer], _SIGN_TONES[signing.answer])


def _signing(view: RegistrationView, listing: Listing) -> Toned:
    """What to sign with at an agency; services updated before the rest of it by themselves."""
    from safetok.workflows.agencies import key

    whole, parts = (
        signing_text(listing.signing[key(view.registration)]),
        listing.by_part.get(key(view.registration), {}),
    )
    if not parts:
        return whole
    titles = dict(view.parts)
    words = [f"{titles.get(part, part)}: {signing_text(one).text}" for part, one in parts.items()]
    left = ", ".join(title for part, title in view.parts if part not in parts)
    return Toned("; ".join([*words, f"{left}: {whole.text}"]), whole.tone)


def _reasons(out: Screen, views: Iterable[RegistrationView], listing: Listing) -> None:
    """Why the old one or neither, once for each reason; the timer's is in the table."""
    from safetok.workflows.agencies import key

    said: dict[tuple[str, str, str], list[RegistrationView]] = {}
    for view in views:
        signing = listing.signing[key(view.registration)]
        if signing.answer in {"old", "unchecked", "neither"} and view.standing != "waiting":
            old = listing.old.get(key(view.registration))
            said.setdefault((signing_text(signing).text, signing.why, old.serial if old else ""), []).append(view)
    if said:
        out.line()
    differ = len({serial for _what, _why, serial in said}) > 1  # several old ones are known, each at other agencies
    for (what, why, serial), where in said.items():
        signing = listing.signing[key(where[0].registration)]
        if signing.answer == "neither":
            text = _("Neither can be signed with today: {why}.")
            if differ:
                text = _("Neither can be signed with today at {agencies}: {why}.")
        else:
            text = _("Sign today with {what}: {why}.")
            if differ:
                text = _("Sign today at {agencies} with {what} ({serial}): {why}.")
        names = ", ".join(view.registration.agency for view in where)
        out.line(text.format(what=what, why=why, agencies=names, serial=serial), signing_text(signing).tone)


def show_imported(done: Imported) -> None:
    """What a worklist came to."""
    out = screen()
    for view in done.views:
        stands = standing_text(view)
        out.notice(
            f"{view.name} · {view.title}: {stands.text}", stands.tone if stands.tone in {"bad", "warn"} else "good"
        )
    text = _("{file}: {recorded} recorded, {unchanged} already known, {failed} not usable.")
    if done.dry_run:
        text = _("{file}: {recorded} would be recorded, {unchanged} already known, {failed} not usable.")
    out.line(
        text.format(file=done.file, recorded=len(done.views), unchanged=done.unchanged, failed=len(done.errors)),
        "strong",
    )
    if done.sheets:
        from safetok.workflows.sheets import not_read

        out.notice(not_read(done.sheets), "warn")


def _chosen_by(views: Sequence[RegistrationView]) -> str:
    """The option that chooses among several companies; a certificate's serial, where one has several of them."""
    companies = {view.registration.certificate_sha256: view.registration.mst for view in views}
    if len(companies) < 2:  # noqa: PLR2004
        return ""
    return " --mst MST" if len({*companies.values()}) == len(companies) else f" --cert {_('SERIAL')}"


def _advice(out: Screen, views: Sequence[RegistrationView]) -> None:
    """The next command, once, whatever number of companies it is for."""
    over = dict.fromkeys(view.registration.agency for view in views if view.standing == "due_check")
    to_update = any(view.standing in {"open", "rejected"} for view in views)
    which = _chosen_by(views)
    if over or to_update:
        out.line()
    for agency in over:
        text = _("The 24h00 are over. Check, then record `safetok agencies accepted {agency}` or `reject`.")
        out.line(text.format(agency=f"{agency}{which}"))
    if to_update:
        out.line(f"{_('Updated on one of them? Record it: safetok agencies done NAME')}{which}", "dim")
    if which and (over or to_update):
        out.line(_("A worklist for staff to fill in: safetok agencies list --xlsx FILE"), "dim")


def nothing(*, named: bool) -> str:
    """What is said where no list is open, or none of what was `named`."""
    if named:
        return _(
            "No list of agencies is open for what was named. A renewal opens it; for a certificate renewed elsewhere: safetok "
            "certs adopt"
        )
    return _(
        "No list of agencies is open. A renewal opens it; for a certificate renewed elsewhere: safetok certs adopt"
    )
