"""`doctor`: everything a renewal needs, looked at once, with one next step for each thing that is not right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.options import ForceLastTry, PinAsIs, PinEnv, PinFile, PinStdin, only_with
from safetok.cli.run import Outcome, run
from safetok.errors import UsageError
from safetok.locale import _, later
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.cli.render import Tone
    from safetok.workflows.context import Context
    from safetok.workflows.doctor import Examination

app = Commands()

OfToken = Annotated[
    str | None,
    typer.Option("--serial", metavar="TOKEN", help=later("Also look at the keys of this token; asks for its PIN.")),
]
Offline = Annotated[bool, typer.Option("--offline", help=later("Ask nothing of the network."))]
Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="FILE", help=later("Also write a report for the support line (a zip file).")),
]
WithNames = Annotated[
    bool,
    typer.Option("--with-names", help=later("Leave names and tax codes in the report; they are taken out otherwise.")),
]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and the file it was packed into."""

    examination: Examination
    bundle: Path | None
    names: bool = False


@app.command(
    "doctor",
    help=later("Look for what keeps safetok from working on this computer; each finding with one next step."),
)
def doctor(
    *,
    serial: OfToken = None,
    offline: Offline = False,
    bundle: Bundle = None,
    with_names: WithNames = False,
    pin_stdin: PinStdin = False,
    pin_env: PinEnv = None,
    pin_file: PinFile = None,
    pin_as_is: PinAsIs = False,
    force_last_try: ForceLastTry = False,
) -> None:
    """Ends 11 where something keeps safetok from working."""
    from safetok.workflows.pins import pin_source

    if serial is None and (pin_stdin or pin_env is not None or pin_file is not None):
        raise UsageError(_("A PIN is for one token: name it with --serial."), code="pin_without_token")
    only_with("--bundle", {"--with-names": with_names and bundle is None})
    pin = pin_source(from_stdin=pin_stdin, env=pin_env, file=pin_file, as_is=pin_as_is, force_last_try=force_last_try)

    def work(context: Context) -> Outcome[Report]:
        from safetok.workflows.doctor import examine

        found = examine(context, serial=serial, pin=pin, offline=offline)
        packed = None
        if bundle is not None:
            from safetok.workflows.doctor_bundle import write

            packed = write(context, found, bundle, names=with_names)
        return Outcome(
            Report(found, packed, with_names), data={**found.data(), "bundle": packed}, exit_status=found.exit_status
        )

    run(["doctor"], work, show, forgiving=True)


def show(report: Report) -> None:
    """The gravest first, each with its next step; then the file."""
    from safetok.cli.render import screen

    out = screen()
    tones: dict[str, Tone] = {"bad": "bad", "warn": "warn", "info": "", "good": "good"}
    counted = dict.fromkeys(tones, 0)
    for one in report.examination.findings:
        counted[one.grade] += 1
        out.notice(one.text, tones[one.grade], hint=f"→ {one.step}" if one.step else "")
    out.line()
    if counted["bad"]:
        out.line(_("{n} things keep safetok from working; begin with the first.").format(n=counted["bad"]), "strong")
    elif counted["warn"]:
        out.line(_("safetok can work here; {n} things deserve a look.").format(n=counted["warn"]), "strong")
    else:
        out.line(_("Nothing keeps safetok from working here."), "strong")
    if report.bundle is not None:
        text = (
            _("Report for the support line: {file}. It holds no PIN; look through it before you send it.")
            if report.names
            else _(
                "Report for the support line: {file}. Names, tax codes and PINs are not in it; look through it before you send it."
            )
        )
        out.line(text.format(file=report.bundle))
