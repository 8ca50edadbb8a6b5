"""How what runs by itself is shown: the daily look for the system's timer, and the user's own programs (hooks)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.render import screen
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.workflows.hooks import Hooks
    from safetok.workflows.reminders import Unit


def show_unit(unit: Unit) -> None:
    """Each way with what goes where; lines to copy stand alone."""
    out = screen()
    out.line(_("systemd (Linux): the two files below go into ~/.config/systemd/user/, then run:"), "strong")
    out.verbatim("systemctl --user enable --now safetok-remind.timer")
    for name, content in unit.systemd.items():
        out.title(name)
        for line in content.splitlines():
            out.verbatim(line)
    out.title(_("cron (by this computer's clock): crontab -e"))
    out.verbatim(unit.cron)
    out.title(_("Windows (Task Scheduler), in a command window"))
    out.verbatim(unit.windows)


def show_hooks(found: Hooks) -> None:
    """The programs in the folder, then what failed."""
    from safetok.domain.times import show_instant
    from safetok.workflows.hooks import EVENTS

    out = screen()
    out.line(_("Folder: {folder}").format(folder=found.folder), "strong")
    if not found.hooks:
        out.line(_("No program there. One put there is run with what happened as JSON on its standard input."))
    out.line(_("Its first argument is the event: {names}.").format(names=", ".join(EVENTS)), "dim")
    for hook in found.hooks:
        if hook.refused:
            out.notice(_("{name}: not run, {why}").format(name=hook.path.name, why=hook.refused), "bad")
        else:
            out.notice(hook.path.name, "good")
    if found.runs:
        title = _("Tried again ({count})") if found.again else _("Failed ({count})")
        out.title(title.format(count=len(found.runs)))
    for one in found.runs:
        came = one.why or _("done")
        if one.outcome == "running":
            came = _(
                "begun, and no end known: another run of safetok may be at it. In two minutes --retry runs it again."
            )
        text = f"{one.hook}, {one.event}, {show_instant(one.at)}: {came}"
        out.notice(text, "good" if one.outcome == "ok" else "bad")
    if found.runs and not found.again:
        out.line(_("Run those again: safetok agencies hooks --retry"), "dim")
