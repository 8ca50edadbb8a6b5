"""`config`: which settings are in force and where safetok keeps what; it changes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from safetok.cli.commands import Commands
from safetok.cli.render import Column, screen
from safetok.cli.run import Outcome, run
from safetok.locale import _, language, later

if TYPE_CHECKING:
    from safetok.workflows.context import Context

app = Commands()


@app.command("config", help=later("The settings in force, and where safetok keeps what."))
def config() -> None:
    """Show the settings; they are changed in settings.toml, with any editor."""

    def work(context: Context) -> Outcome[Context]:
        return Outcome(context, data=_data(context))

    run(["config"], work, show, dry_run=True)


def _modules(context: Context) -> list[str]:
    """The drivers named: by the flag, else SAFETOK_MODULE, else the file."""
    named = context.module or os.environ.get("SAFETOK_MODULE")
    return [named] if named else [*context.settings.modules]


def _data(context: Context) -> dict[str, Any]:
    settings, home = context.settings, context.settings.home
    return {
        "settings_file": home.settings,
        "settings_file_exists": home.settings.exists(),
        "state": home.database,
        "locks": home.locks,
        "cache": home.cache,
        "language": language(),
        "timeout": context.timeout or settings.timeout,
        "modules": _modules(context),
        "authorities": [
            {
                "name": a.name,
                "title": a.title,
                "url": a.url or None,
                "offers_url": a.offers_url or None,
                "request": a.request,
                "issuers": list(a.issuers),
                "anchors": list(a.anchors),
            }
            for a in settings.authorities.values()
        ],
    }


def show(context: Context) -> None:
    """The places, then the CAs with their endpoints."""
    from safetok.net.addresses import shown

    out, settings, home = screen(), context.settings, context.settings.home
    missing = "" if home.settings.exists() else " · " + _("not made yet")
    out.pairs(
        [
            (_("Settings"), f"{home.settings}{missing}"),
            (_("Records"), str(home.database)),
            (_("Language"), language()),
            (_("Network wait"), _("{n} seconds").format(n=f"{context.timeout or settings.timeout:g}")),
            (_("Drivers named"), ", ".join(_modules(context)) or _("none: found by itself")),
        ]
    )
    out.line()
    out.table(
        [Column("CA"), Column(_("Renewal server")), Column(_("Offers"))],
        [
            [f"{a.title} ({a.name})", shown(a.url) or _("not published"), shown(a.offers_url) or "–"]
            for a in settings.authorities.values()
        ],
    )
