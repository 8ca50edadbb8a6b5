"""`certs`: the certificates on the tokens that are in, or in a file; and new ones that came by other means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli import certs_check, install, prune
from safetok.cli.commands import Commands
from safetok.cli.options import Cert, KnownSerial, Mst
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from datetime import datetime

    from safetok.cli.render import Cell, Screen
    from safetok.errors import SafetokError
    from safetok.workflows.adopt import Adopted
    from safetok.workflows.certs import CertificateView
    from safetok.workflows.context import Context

app = Commands(help=later("The certificates on the tokens: list, show, check, adopt, prune."), alone="list")

Which = Annotated[
    str | None,
    typer.Argument(
        metavar="SERIAL|FILE",
        help=later(
            "A certificate's serial, a Token ID, or a certificate file; without it, the only current certificate."
        ),
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help=later("Take over without asking what needs no judgement."))]
Decimal = Annotated[bool, typer.Option("--decimal", help=later("Print serials in decimal."))]


@app.command("list", help=later("Every certificate on every token: serial, company, validity, key, programme. No PIN."))
def list_(*, decimal: Decimal = False) -> None:
    """Certificates, for people or as data."""

    def work(context: Context) -> Outcome[tuple[CertificateView, ...]]:
        from safetok.workflows import certs, tokens

        reading = tokens.look(context)
        views = certs.listing(context, reading)
        return Outcome(views, data={"certificates": [data(view) for view in views]}, errors=tokens.problems(reading))

    run(["certs", "list"], work, lambda views: show_list(views, decimal=decimal))


@app.command(
    "show",
    help=later("One certificate in full, on a token, in a file, or as last seen: every condition named. No PIN."),
)
def show_(*, which: Which = None, decimal: Decimal = False) -> None:
    """One certificate (a file may hold several)."""
    moment: list[datetime] = []

    def work(context: Context) -> Outcome[tuple[CertificateView, ...]]:
        from safetok.workflows import certs, tokens

        moment.append(context.now())
        if which is not None and certs.names_a_file(which):
            views = certs.from_file(context, Path(which))
            return Outcome(views, data={"certificates": [data(view) for view in views]})
        reading = tokens.look(context)
        errors = tokens.problems(reading)
        if which is None:
            if not reading.tokens:
                raise errors[-1]
            views = (certs.the_one(certs.listing(context, reading), reading),)
        else:
            views = certs.by_serial(context, reading, which)
            errors = [] if not reading.tokens else errors
        return Outcome(views, data={"certificates": [data(view) for view in views]}, errors=errors)

    run(["certs", "show"], work, lambda views: show(views, moment[0], decimal=decimal))


@app.command(
    "adopt",
    help=later("Take over a certificate that came by other means (the vendor's program): opens its list of agencies."),
)
def adopt(*, cert: Cert = None, serial: KnownSerial = None, mst: Mst = None, yes: Yes = False) -> None:
    """Ask about each new certificate, and open its registrations."""

    def work(context: Context) -> Outcome[tuple[Adopted, ...]]:
        from safetok.workflows import tokens
        from safetok.workflows.adopt import adopt_all
        from safetok.workflows.known import Selection

        reading = tokens.look(context)  # what has just been plugged in counts; nothing needs to be
        errors: list[SafetokError] = [tokens.driver_failed(one, reading) for one in reading.failed if one.named]
        done = adopt_all(context, Selection(cert=cert, serial=serial, mst=mst), yes=yes, unanswered=errors)
        return Outcome(done, data={"adopted": [one.data() for one in done]}, errors=errors)

    run(["certs", "adopt"], work, show_adopted)


def show_adopted(adopted: tuple[Adopted, ...]) -> None:
    """What was taken over, and what comes next."""
    from safetok.cli.render import screen

    out = screen()
    if not adopted:
        out.line(_("No new certificate waits to be taken over."))
    for one in adopted:
        name = one.new.subject_name
        if one.opened:
            text = _("{name}: Serial {serial} is taken over. {n} agencies must learn it (mandatory).")
            hint = f"safetok agencies list --cert {one.new.serial}"
            out.notice(text.format(name=name, serial=one.new.serial, n=one.agencies_open), "good", hint=hint)
        else:
            text = _("{name}: Serial {serial} is left alone; its list of agencies is not opened. To do it later:")
            hint = f"safetok certs adopt --cert {one.new.serial}"
            out.notice(text.format(name=name, serial=one.new.serial), "dim", hint=hint)


def data(view: CertificateView) -> dict[str, object]:
    """What scripts read: as in `status`, with the token and the tax code's verdict."""
    from safetok.domain.mst import verdict

    mst = view.certificate.mst
    return {"token": view.token or None, **view.data(), "mst_check": verdict(mst) if mst else None}


def show_list(views: tuple[CertificateView, ...], *, decimal: bool) -> None:
    """A line each; the programme's conditions stand in `certs show`."""
    from safetok.cli import words
    from safetok.cli.render import Column, Toned, screen

    out = screen()
    heads = [
        Column(_("Company"), wrap=True),
        Column("MST"),
        Column(_("Certificate serial")),
        Column(_("Use")),
        Column(_("Issuer"), wrap=True),
        Column(_("From")),
        Column(_("Until")),
        Column(_("Left"), right=True),
        Column(_("State")),
        Column(_("Key")),
        Column(_("Programme")),
        Column("Token ID"),
    ]
    rows: list[list[Cell]] = [
        [
            view.certificate.subject_name,
            words.mst_short(view.certificate.mst),
            serial(view, decimal=decimal),
            _("current") if view.current else Toned(_("old"), "dim"),
            view.certificate.issuer_name,
            words.since(view),
            words.until(view),
            str(view.days_left) if view.days_left >= 0 else "",
            words.validity_word(view),
            words.key_word(view),
            words.campaign_word(view),
            view.token,
        ]
        for view in views
    ]
    out.table(heads, rows)


def serial(view: CertificateView, *, decimal: bool) -> str:
    """As the agencies print it, or in decimal."""
    return view.certificate.serial_decimal if decimal else view.certificate.serial


def show(views: tuple[CertificateView, ...], now: datetime, *, decimal: bool) -> None:
    """Everything known of each."""
    from safetok.cli.render import screen

    out = screen()
    for number, view in enumerate(views):
        if number:
            out.line()
        _show_one(out, view, now, decimal=decimal)


def _show_one(out: Screen, view: CertificateView, now: datetime, *, decimal: bool) -> None:
    from safetok.cli import words

    certificate = view.certificate
    out.line(words.company_line(certificate.subject_name, certificate.mst or ""), "strong")
    use = _("{serial} (current)") if view.current else _("{serial} (old)")
    rows: list[tuple[str, Cell]] = [
        (
            _("Certificate"),
            use.format(serial=serial(view, decimal=decimal)) if view.token else serial(view, decimal=decimal),
        ),
        ("MST", words.mst(certificate.mst)),
        (_("Person"), certificate.personal_id),
        (_("Subject"), certificate.subject),
        (_("Issuer"), certificate.issuer),
        (_("From"), words.instant(certificate.not_before)),
        (_("Until"), words.instant(certificate.not_after)),
        (_("Valid"), words.validity(view)),
        (_("Contract until"), words.contract(view)),
        (_("Key type"), f"{certificate.key_type} {certificate.key_bits}"),
        (_("Private key"), words.key(view)),
        ("Token ID", view.token or None),
        (_("Revocation"), words.revocation(view, now)),
        (_("Top-up offer"), words.offer(view, now)),
        (_("Programme"), words.campaign(view)),
        ("SHA-256", certificate.sha256),
    ]
    out.pairs(rows)


certs_check.register(app)
install.register(app)
prune.register(app)
