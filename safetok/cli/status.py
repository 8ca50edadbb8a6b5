"""`status`, and `safetok` alone: everything in one look, or one state and one next command. Loads no typer: see plain.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.globals import flags
from safetok.cli.run import Outcome, run
from safetok.errors import ExitStatus, first_that_holds
from safetok.locale import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safetok.cli.render import Cell, Screen, Tone
    from safetok.domain.agencies import Standing
    from safetok.domain.certificates import Certificate
    from safetok.domain.tokens import Reading
    from safetok.workflows.certs import CertificateView
    from safetok.workflows.context import Context
    from safetok.workflows.overview import RegistrationView, Status
    from safetok.workflows.status import Next
    from safetok.workflows.tokens import TokenView

IN_FULL = 3  # up to so many tokens are shown one by one, more in a table


def status(*, refresh: bool = False, check: bool = False) -> None:
    """Everything, for people or as data."""

    def work(context: Context) -> Outcome[Status]:
        from safetok.workflows.status import status as look

        found = look(context, refresh=refresh)
        errors, data = list(found.problems), found.data() if flags().json else None
        if not check:
            return Outcome(found, data=data, errors=errors)
        checked = found.checked()
        result = first_that_holds({error.exit_status for error in (*errors, *checked)})
        # A person has just read what is due: only a program is told again, as errors.
        return Outcome(found, data=data, errors=[*errors, *checked] if flags().json else errors, exit_status=result)

    run(["status"], work, show)


def bare() -> None:
    """`safetok` alone."""

    def work(context: Context) -> Outcome[Next]:
        from safetok.workflows.status import next_step
        from safetok.workflows.status import status as look

        found = look(context)
        step = next_step(found)
        told = {problem.code for problem in found.problems} == {step.state}
        return Outcome(
            step,
            data=step.data(),
            errors=[] if told and not flags().json else found.problems,
            exit_status=_bare_status(found),
        )

    run([], work, show_next)


def _bare_status(found: Status) -> ExitStatus:
    """Something to do is no failure here; seeing nothing at all is."""
    if found.due and not found.failed:
        return ExitStatus.DONE
    return first_that_holds({problem.exit_status for problem in found.problems})


def show_next(step: Next) -> None:
    """One sentence, one command."""
    from safetok.cli.render import screen

    out = screen()
    out.line(step.text)
    if step.more:
        out.line(_("{n} more things are due: safetok status").format(n=step.more), "dim")
    out.line(_("Next: {command}").format(command=step.command), "strong")


def show(found: Status) -> None:
    """Tokens, what is due, agencies and timers, new certificates, drivers that failed."""
    from safetok.cli.render import screen

    out = screen()
    if len(found.tokens) <= IN_FULL:
        for number, token in enumerate(found.tokens):
            if number:
                out.line()
            show_token(out, token, found)
    else:
        _table(out, found)
    _due(out, found)
    _agencies(out, found)
    not_opened(out, found.not_opened)
    unused_drivers(out, found.reading)


def not_opened(out: Screen, certificates: Sequence[Certificate]) -> None:
    """Certificates whose list of agencies a person did not want: nothing is due for them, but it must not be forgotten."""
    if certificates:
        out.line()
    for one in certificates:
        text = _("{name}: the list of agencies of the new certificate {serial} was not opened. To open it:")
        out.notice(
            text.format(name=one.subject_name, serial=one.serial),
            "dim",
            hint=f"safetok certs adopt --cert {one.serial}",
        )


def unused_drivers(out: Screen, reading: Reading) -> None:
    """Drivers that were found and could not be used, where that is no failure: a note after what the others showed."""
    from safetok.workflows.tokens import notes

    told = notes(reading)
    if told:
        out.line()
    for note in told:
        out.notice(note, "dim", hint="safetok doctor")


def show_token(out: Screen, token: TokenView, found: Status) -> None:
    """One token in full: its company, itself, its certificates, the recommendation for a V1."""
    from safetok.cli import words

    heading = words.companies_line(token) or words.heading_of(token)
    out.line(heading, "strong")
    rows: list[tuple[str, Cell]] = [
        ("Token ID", f"{token.info.serial or '?'} ({token.info.label})" if token.info.label else token.info.serial),
        (_("Kind"), words.kind(token)),
        (_("PIN"), words.pin(token)),
        (_("Driver"), ", ".join(token.info.drivers)),
        (_("Note"), token.note or None),
    ]
    for view in token.certificates:
        rows += [*words.whose(view, token), *certificate_rows(view, found)]
    if token.unreadable:
        rows.append((_("Unreadable"), _("{n} certificate objects").format(n=token.unreadable)))
    out.pairs(rows)
    remarks(out, (token,))


def certificate_rows(view: CertificateView, found: Status) -> list[tuple[str, Cell]]:
    """The current certificate in full, an older one in two lines."""
    from safetok.cli import words

    if not view.current:
        return [
            (_("Old certificate"), view.certificate.serial),
            ("", words.validity(view)),
        ]
    return [
        (_("Certificate"), _("{serial} (current)").format(serial=view.certificate.serial)),
        (_("Issuer"), view.certificate.issuer_name),
        (_("Valid"), words.validity(view)),
        (_("Contract until"), words.contract(view)),
        (_("Private key"), words.key(view)),
        (_("Revocation"), words.revocation(view, found.now)),
        (_("Top-up offer"), words.offer(view, found.now)),
        (_("Programme"), words.campaign(view)),
    ]


def remarks(out: Screen, tokens: tuple[TokenView, ...]) -> None:
    """What the notice recommends for a V1, and what cannot be done with a token that has no serial of its own."""
    from safetok.domain.tokens import Kind
    from safetok.knowledge import load

    grey = [token for token in tokens if token.kind is Kind.V1]
    if grey:
        which = "Token ID: " + ", ".join(token.info.serial for token in grey) if len(tokens) > 1 else ""
        out.notice(load.notices()["v1"].text, hint=which)
    for token in tokens:
        if token.info.readable_only:
            text = _("Token {serial}: without a serial of its own it is only read, never logged in to.")
            out.notice(text.format(serial=repr(token.info.serial)))
        if token.unread:
            out.notice(
                _("Token {serial} could not be read: what it holds is not known.").format(serial=token.info.serial)
            )
        if token.empty:
            text = _(
                "The USB token {serial} holds no certificate. If it has just come from LCS, that is normal: "
                "do not type a PIN."
            )
            out.notice(text.format(serial=token.info.serial))


def _table(out: Screen, found: Status) -> None:
    """Many tokens: one line for each current certificate; kind, state and serial where there is room for them."""
    from safetok.cli import words
    from safetok.cli.render import Column, Toned

    middling = not out.rich or out.width >= 110  # noqa: PLR2004  (columns that 80 have no room for)
    wide = not out.rich or out.width >= 156  # noqa: PLR2004  (a serial is 32 characters)
    heads = [
        Column(_("Company"), wrap=True),
        Column("MST"),
        Column("Token ID"),
        *([Column(_("Kind"))] if middling else []),
        *([Column(_("Certificate"))] if wide else []),
        Column(_("Until")),
        Column(_("Left"), right=True),
        *([Column(_("State"), wrap=True)] if middling else []),
    ]
    rows: list[list[Cell]] = []
    for token in found.tokens:
        kind = token.kind.value if token.kind.value in {"V1", "V2"} else "?"
        current: list[CertificateView | None] = [view for view in token.certificates if view.current]
        for view in current or [None]:
            state = word = words.validity_word(view) if view else words.nothing(token)
            days = _("{n} days").format(n=view.days_left) if view and view.days_left >= 0 else ""
            left = Toned(days, "" if middling else state.tone)
            if view and view.offer is not None and view.offer.exists and not view.bad and not view.refused:
                told = _("expired, top-up offer") if view.days_left < 0 else _("top-up offer there")
                state = Toned(told, state.tone)
            rows.append(
                [
                    view.certificate.subject_name if view else token.company or words.nothing(token),
                    (view.certificate.mst or "") if view else "",
                    token.info.serial,
                    *([kind] if middling else []),
                    *([view.certificate.serial if view else ""] if wide else []),
                    words.until(view) if view else "",
                    word if view and not middling and (view.bad or view.days_left < 0) else left,
                    *([state] if middling else []),
                ]
            )
    out.table(heads, rows)
    out.line()
    remarks(out, tuple(token for token in found.tokens if token.certificates))


def _due(out: Screen, found: Status) -> None:
    if not found.due:
        if found.tokens:
            out.line()
            out.notice(_("Nothing is due."), "good")
        return
    from safetok.workflows.due_groups import grouped

    out.title(_("TO DO ({n})").format(n=len(found.due)))
    for one in grouped(found.due):
        tone: Tone = "bad" if one.exit_status in {ExitStatus.REVOKED, ExitStatus.PIN_LOCKED} else "warn"
        names = "; ".join(one.names)
        if one.unnamed:
            names = _("{names}; and {n} more").format(names=names, n=one.unnamed)
        single = _("  a single one: {command}").format(command=one.each) if one.each else ""
        out.notice(one.text, tone, about=names, hint=one.command, otherwise=single)


def _agencies(out: Screen, found: Status) -> None:
    """What is open or running; accepted ones only counted, and nothing is said where nothing can be done any more."""
    settled = {"accepted", "unused", "expired", "revoked"}
    shown = [view for view in found.registrations if view.standing not in settled]
    if not shown:
        return
    from safetok.cli.render import Column

    accepted = sum(view.standing == "accepted" for view in found.registrations)
    out.title(_("AGENCIES ({n} to go, {accepted} accepted)").format(n=len(shown), accepted=accepted))
    companies = {view.registration.certificate_sha256 for view in shown}
    if len(companies) > IN_FULL:
        _counted(out, [view for view in found.registrations if view.registration.certificate_sha256 in companies])
        return
    several = len(companies) > 1
    heads = [
        Column(_("Agency"), wrap=True),
        *([Column(_("Company"), wrap=True)] if several else []),
        Column(_("State"), wrap=True),
    ]
    out.table(heads, [[view.title, *([view.name] if several else []), _standing(view)] for view in shown])


def _counted(out: Screen, views: list[RegistrationView]) -> None:
    """Agencies of many companies: how many stand where, one line for each certificate."""
    from safetok.cli.render import Column, Toned

    titles: dict[Standing, tuple[str, Tone]] = {
        "due_check": (_("To check"), "warn"),
        "rejected": (_("Rejected"), "bad"),
        "open": (_("Open"), "warn"),
        "waiting": (_("Waiting"), ""),
        "updated": (_("Done there"), ""),
        "accepted": (_("Accepted"), "good"),
    }
    there = {view.standing for view in views}
    columns = [standing for standing in titles if standing in there]
    rows: dict[str, list[RegistrationView]] = {}
    for view in views:
        rows.setdefault(view.registration.certificate_sha256, []).append(view)
    heads = [Column(_("Company"), wrap=True), *(Column(titles[one][0], right=True) for one in columns)]
    table: list[list[Cell]] = []
    for group in rows.values():
        counts = [sum(view.standing == one for view in group) for one in columns]
        cells = [Toned(str(n or ""), titles[one][1]) for one, n in zip(columns, counts, strict=True)]
        table.append([group[0].name, *cells])
    out.table(heads, table)
    out.line(_("Which ones: safetok agencies remind"), "dim")


def _standing(view: RegistrationView) -> Cell:
    from safetok.cli import words
    from safetok.cli.render import Toned

    row = view.registration
    if view.standing == "waiting":
        text = _("updated {at}; 24h00 are over at {until}")
        return text.format(at=words.instant(row.updated_at), until=words.instant(row.until))
    if view.standing == "due_check":
        return Toned(_("24h00 over since {until}: check it").format(until=words.instant(row.until)), "warn")
    if view.standing == "rejected":
        return Toned(_("rejected: {reason}").format(reason=row.reason) if row.reason else _("rejected"), "bad")
    if view.standing == "updated":
        return _("updated {at}").format(at=words.instant(row.updated_at))
    return Toned(_("not updated yet"), "warn")
