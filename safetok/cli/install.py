"""`certs install` and `certs check`: a certificate that came by mail, and what its CA says of a certificate now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.globals import flags
from safetok.cli.renew import (
    DryRun,
    Floor,
    ForceLastTry,
    PinAsIs,
    PinEnv,
    PinFile,
    PinStdin,
    Serial,
    day_of,
    show,
    start_of,
)
from safetok.cli.run import Outcome, run
from safetok.errors import ExitStatus, SafetokError, first_that_holds
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.cli.commands import Commands
    from safetok.cli.render import Tone
    from safetok.domain.certificates import Certificate
    from safetok.domain.revocation import Revocation
    from safetok.workflows.context import Context
    from safetok.workflows.renew.request import RenewResult

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help=later("What the CA sent: PEM, DER or PKCS#7 (.cer, .crt, .pem, .p7b).")),
]
Which = Annotated[
    str | None,
    typer.Argument(
        metavar="SERIAL|FILE",
        help=later("A certificate's serial, a Token ID, or a certificate file; without it, every current certificate."),
    ),
]


def register(app: Commands) -> None:
    """Add both commands to the group `certs`."""
    app.command("check", help=later("Ask the CA now whether a certificate is revoked or suspended. No PIN."))(check)
    app.command("install", help=later("Write a certificate that came by mail to its token, after every check."))(
        install
    )


def install(
    *,
    file: File,
    serial: Serial = None,
    min_not_after: Floor = None,
    pin_stdin: PinStdin = False,
    pin_env: PinEnv = None,
    pin_file: PinFile = None,
    pin_as_is: PinAsIs = False,
    force_last_try: ForceLastTry = False,
    dry_run: DryRun = False,
) -> None:
    """The second half of `renew --csr`, also for a certificate that safetok did not ask for."""
    from safetok.workflows.pins import pin_source

    floor = day_of(min_not_after, "--min-not-after")
    pin = pin_source(from_stdin=pin_stdin, env=pin_env, file=pin_file, as_is=pin_as_is, force_last_try=force_last_try)

    def work(context: Context) -> Outcome[RenewResult]:
        from safetok.workflows.install import install as put

        result = put(context, file, pin=pin, serial=serial, min_not_after=start_of(floor) if floor else None)
        return Outcome(result, data=result.data(), exit_status=result.exit_status)

    run(["certs", "install"], work, show, dry_run=dry_run)


def check(*, which: Which = None) -> None:
    """OCSP and revocation lists, asked now and remembered for `status`."""

    def work(context: Context) -> Outcome[Checked]:
        from safetok.workflows import certs, tokens
        from safetok.workflows.check import check_each

        if which is not None and certs.names_a_file(which):
            views = certs.from_file(context, Path(which))
        else:
            reading = tokens.look(context)
            if which is not None:
                views = certs.by_serial(context, reading, which)
            elif reading.tokens:
                views = tuple(view for view in certs.listing(context, reading) if view.current)
            else:
                raise tokens.problems(reading)[-1]
        answers, errors = check_each(context, [view.certificate for view in views])
        data = {
            "certificates": [
                {
                    "serial": certificate.serial,
                    "name": certificate.subject_name,
                    "mst": certificate.mst,
                    "answer": answer.answer,
                    "reason": answer.reason,
                    "since": answer.since,
                    "checked_at": answer.checked_at,
                    "source": answer.source,
                }
                for certificate, answer in answers
            ]
        }
        found = Checked(answers=answers, errors=errors)
        # A person reads each error beside its certificate: only a program is told in `errors`.
        told = errors if flags().json else []
        return Outcome(found, data=data, errors=told, exit_status=first_that_holds({e.exit_status for e in errors}))

    run(["certs", "check"], work, show_check)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What each certificate's CA says, and an error for each that is not good."""

    answers: Sequence[tuple[Certificate, Revocation]]
    errors: Sequence[SafetokError]


def show_check(checked: Checked) -> None:
    """Each certificate with what was said of it."""
    from safetok.cli.render import screen

    out = screen()
    by_serial = {error.data["serial"]: error for error in checked.errors}
    for certificate, _answer in checked.answers:
        name = f"{certificate.subject_name} · {certificate.serial}"
        error = by_serial.get(certificate.serial)
        if error is None:
            out.notice(_("{certificate}: not revoked, says its CA.").format(certificate=name), "good")
        else:
            tone: Tone = "warn" if error.exit_status is ExitStatus.NOT_CHECKED else "bad"
            out.notice(f"{name}: {error.message}", tone, hint=error.hint)
