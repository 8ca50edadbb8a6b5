"""`certs install`: a certificate that came by mail, put on its token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.options import DryRun, ForceLastTry, PinAsIs, PinEnv, PinFile, PinStdin, Serial
from safetok.cli.renew import Floor, day_of, show, start_of
from safetok.cli.run import Outcome, run
from safetok.locale import later

if TYPE_CHECKING:
    from safetok.cli.commands import Commands
    from safetok.workflows.context import Context
    from safetok.workflows.renew.request import RenewResult

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help=later("What the CA sent: PEM, DER or PKCS#7 (.cer, .crt, .pem, .p7b).")),
]


def register(app: Commands) -> None:
    """Add the command to the group `certs`."""
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
