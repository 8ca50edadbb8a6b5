"""`safetok renew`: top up one certificate, carry unfinished renewals on, list them, give one up, or ask by mail."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safetok.cli.commands import Commands
from safetok.cli.options import (
    Cert,
    DryRun,
    ForceLastTry,
    Mst,
    PinAsIs,
    PinEnv,
    PinFile,
    PinStdin,
    Serial,
    only_with,
    together,
)
from safetok.cli.render import Column, screen
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.workflows.context import Context
    from safetok.workflows.renew.request import RenewRequest, RenewResult

app = Commands()

NewKey = Annotated[bool, typer.Option("--new-key", help=later("Make a new key on the token; the same key otherwise."))]
Yes = Annotated[
    bool, typer.Option("--yes", help=later("Accept the offer; the contract end must still be confirmed by its value."))
]
ContractEnd = Annotated[
    str | None,
    typer.Option("--contract-end", metavar="DATE", help=later("The contract's end as your contract says.")),
]
Confirm = Annotated[
    str | None,
    typer.Option("--confirm-contract-end", metavar="DATE", help=later("The second confirmation, for scripts.")),
]
Floor = Annotated[
    str | None,
    typer.Option("--min-not-after", metavar="DATE", help=later("Refuse a new certificate that ends before this day.")),
]
Resume = Annotated[
    bool, typer.Option("--resume", help=later("Carry on every renewal that is unfinished, or those of what is named."))
]
List = Annotated[bool, typer.Option("--list", help=later("Show the renewals that are unfinished."))]
Abandon = Annotated[str | None, typer.Option("--abandon", metavar="ID", help=later("Give up an unfinished renewal."))]
Force = Annotated[bool, typer.Option("--force", help=later("With --abandon: also one that may have been issued."))]
NewRequest = Annotated[
    bool, typer.Option("--new-request", help=later("Ask again after an answer was lost: may issue a second one."))
]
Csr = Annotated[
    Path | None,
    typer.Option("--csr", metavar="FILE", help=later("Write a request (PKCS#10) for a CA that works by mail.")),
]


@app.command("renew", help=later("Top up the validity of a certificate to the contract end, on the token."))
def renew(
    *,
    serial: Serial = None,
    cert: Cert = None,
    mst: Mst = None,
    new_key: NewKey = False,
    yes: Yes = False,
    contract_end: ContractEnd = None,
    confirm_contract_end: Confirm = None,
    min_not_after: Floor = None,
    pin_stdin: PinStdin = False,
    pin_env: PinEnv = None,
    pin_file: PinFile = None,
    pin_as_is: PinAsIs = False,
    force_last_try: ForceLastTry = False,
    dry_run: DryRun = False,
    resume: Resume = False,
    list_: List = False,
    abandon: Abandon = None,
    force: Force = False,
    new_request: NewRequest = False,
    csr: Csr = None,
) -> None:
    """The whole way of one certificate, or one of the other things that can be done with renewals."""
    from safetok.workflows.pins import pin_source
    from safetok.workflows.renew.request import RenewRequest

    together({"--resume": resume, "--list": list_, "--abandon": abandon is not None, "--csr": csr is not None})
    only_with("--abandon", {"--force": force and abandon is None})
    if dry_run:  # what is unfinished is carried on or given up, or it is only looked at
        together(
            {"--dry-run": True, "--resume": resume, "--abandon": abandon is not None},
            _("See them: safetok renew --list"),
        )
    floor = day_of(min_not_after, "--min-not-after")
    request = RenewRequest(
        pin=pin_source(
            from_stdin=pin_stdin, env=pin_env, file=pin_file, as_is=pin_as_is, force_last_try=force_last_try
        ),
        serial=serial,
        cert=cert,
        mst=mst,
        new_key=new_key,
        yes=yes,
        contract_end=day_of(contract_end, "--contract-end"),
        confirm_contract_end=day_of(confirm_contract_end, "--confirm-contract-end"),
        min_not_after=start_of(floor) if floor else None,
        new_request=new_request,
    )
    named = serial is not None or cert is not None or mst is not None
    if list_:
        run(["renew"], lambda context: _list(context, request), partial(_show_list, named=named), dry_run=True)
    elif resume:
        run(["renew"], lambda context: _resume(context, request), partial(_show_all, named=named))
    elif abandon is not None:
        run(["renew"], lambda context: _abandon(context, abandon, request, force=force), show)
    elif csr is not None:
        run(["renew"], lambda context: _csr(context, csr, request), show, dry_run=dry_run)
    else:
        run(["renew"], lambda context: _renew(context, request), show, dry_run=dry_run)


def _renew(context: Context, request: RenewRequest) -> Outcome[RenewResult]:
    from safetok.workflows.renew.start import renew as start

    result = start(context, request)
    return Outcome(result, data=result.data(), exit_status=result.exit_status)


def _csr(context: Context, file: Path, request: RenewRequest) -> Outcome[RenewResult]:
    from safetok.workflows.csr import request_by_mail

    result = request_by_mail(context, request, file)
    return Outcome(result, data=result.data(), exit_status=result.exit_status)


def _resume(context: Context, request: RenewRequest) -> Outcome[list[RenewResult]]:
    from safetok.workflows.renew.unfinished import resume

    done, failed = resume(context, request)
    if len(failed) == 1 and not done:
        raise failed[0]
    rows = [result.data() for result in done] + [error.data for error in failed]
    data = {**rows[0], "renewals": rows} if len(rows) == 1 else {"renewals": rows}
    return Outcome(done, data=data, errors=failed)


def _abandon(context: Context, identity: str, request: RenewRequest, *, force: bool) -> Outcome[RenewResult]:
    from safetok.workflows.renew.unfinished import abandon

    result = abandon(context, identity, request, force=force)
    return Outcome(result, data=result.data())


def _list(context: Context, request: RenewRequest) -> Outcome[list[dict[str, Any]]]:
    from safetok.workflows.renew.unfinished import listed

    rows = listed(context, request)
    return Outcome(rows, data={"renewals": rows})


def show(result: RenewResult) -> None:
    """What a renewal came to, as the person reads it last."""
    from safetok.domain.times import show_date, show_day

    out = screen()
    if result.state == "DONE":
        assert result.not_before is not None
        assert result.not_after is not None
        if out.rich:
            out.line()
        out.notice(_("THE TOP-UP IS COMPLETE."), "good")
        out.pairs(
            [
                (_("Company"), result.name),
                ("Token ID", result.token),
                (_("Old serial"), result.old_serial or ""),
                (_("New serial"), result.new_serial or ""),
                (
                    _("Valid"),
                    _("{start} to {end}").format(start=show_date(result.not_before), end=show_date(result.not_after)),
                ),
            ]
        )
        if result.shortfall_days:
            out.notice(_("{n} days short of the contract's end.").format(n=result.shortfall_days), "warn")
        out.line(_("It was read back from the token and has made a test signature."))
        _show_left(result)
        _show_kit(result)
        return
    if result.state == "ADOPTED":
        out.notice(
            _("The new certificate of {name} is taken over: {old} -> {new}.").format(
                name=result.name, old=result.old_serial, new=result.new_serial
            ),
            "good",
        )
        _show_left(result)
        return
    if result.state == "WOULD_RENEW":
        rows = [(_("Company"), result.name), ("Token ID", result.token), (_("Old serial"), result.old_serial or "")]
        if result.not_before and result.not_after:
            valid = _("{start} to {end}").format(start=show_date(result.not_before), end=show_date(result.not_after))
            rows.append((_("Valid"), valid))
        if result.contract_end:
            rows.append((_("Contract's end"), show_day(result.contract_end)))
        out.pairs(rows)
    if result.state == "NOTHING_DUE":
        text = (
            _("No time is owed to {name} ({serial}).") if result.remark else _("Nothing to do for {name} ({serial}).")
        )
        out.notice(text.format(name=result.name, serial=result.old_serial), "warn" if result.remark else "good")
    for reason in result.reasons:
        out.line(reason)


def _show_left(result: RenewResult) -> None:
    if result.agencies_open:
        screen().notice(
            _("STILL TO DO (mandatory): update {n} agencies.").format(n=result.agencies_open),
            "warn",
            hint="safetok agencies list",
        )


def _show_kit(result: RenewResult) -> None:
    """Where the kit is; the path of its page stands alone, to be copied as one whatever the width."""
    if not result.kit:
        return
    out, page = screen(), next(Path(result.kit).glob("*_co-quan.html"), None)
    if out.rich:
        out.line()
    if page is None:
        out.line(_("The files for the agencies are in this folder:"))
        out.verbatim(result.kit)
        return
    out.line(_("The steps at each agency (for the browser; the other files lie beside it):"))
    out.verbatim(str(page))


def _show_all(results: list[RenewResult], *, named: bool) -> None:
    if not results:
        _show_none(named=named)
    for result in results:
        show(result)


def _show_none(*, named: bool) -> None:
    out = screen()
    if named:
        out.notice(_("No unfinished renewal is of what was named."), hint="safetok renew --list")
    else:
        out.notice(_("No renewal is unfinished."), "good")


def _show_list(rows: list[dict[str, Any]], *, named: bool) -> None:
    from safetok.domain.renewal import State
    from safetok.workflows.history import state_word

    out = screen()
    if not rows:
        _show_none(named=named)
        return
    out.table(
        [
            Column(_("ID")),
            Column(_("Company"), wrap=True),
            Column("Token ID"),
            Column(_("State"), wrap=True),
            Column(_("Waits for"), wrap=True),
        ],
        [
            [
                row["renewal_id"],
                row["name"],
                row["token"],
                state_word(State(row["state"]), row["route"]),
                row["reason"] or row["hold"] or "",
            ]
            for row in rows
        ],
    )


def day_of(text: str | None, option: str) -> date | None:
    """The day that `option` was given. Raises UsageError (`bad_day`)."""
    if text is None:
        return None
    from safetok.domain.times import parse_day
    from safetok.errors import UsageError

    day = parse_day(text)
    if day is None:
        raise UsageError(
            _("{option} {text} is not a day.").format(option=option, text=text),
            code="bad_day",
            hint=_("Write it as 31/12/2027 or 2027-12-31."),
        )
    return day


def start_of(day: date) -> datetime:
    """A certificate that is usable on `day` ends after its first second in Vietnam."""
    from datetime import time

    from safetok.domain.times import VIETNAM

    return datetime.combine(day, time(0, 0, 1), VIETNAM)
