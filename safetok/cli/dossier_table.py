"""The table of many dossiers, the most urgent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.dossier_days import day_of
from safetok.cli.render import Cell, Column, Toned, screen
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.cli.render import Tone
    from safetok.domain.dossier import Said, Urgency
    from safetok.workflows.dossier_list import Client, Clients
    from safetok.workflows.dossier_view import View


def show_clients(found: Clients) -> None:
    """One row a dossier, the most urgent first."""
    out = screen()
    heads = [
        Column("MST"),
        Column(_("Company"), wrap=True),
        Column(_("Papers")),
        Column(_("Step"), wrap=True),
        Column(_("Deadline"), wrap=True),
    ]
    rows = [_row(client) for client in found.clients]
    if not any(isinstance(row[-1], Toned) and row[-1].text for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    empty = _("The list names no company.") if found.file else _("No dossier is open.")
    out.table(heads, rows, empty=empty)
    shared: dict[str, tuple[str, int]] = {}
    for one in found.clients:
        if one.companies > 1:
            shared.setdefault(one.person, (one.representative, one.companies))
    for name, count in shared.values():
        out.notice(
            _("{name} represents {count} companies here: call 19004525 first, do not upload yet.").format(
                name=name, count=count
            )
        )
    if found.ignored:
        out.line(_("Columns that say nothing to safetok: {columns}").format(columns=", ".join(found.ignored)), "warn")
    if found.sheets:
        from safetok.workflows.sheets import not_read

        out.notice(not_read(found.sheets), "warn")


def _row(client: Client) -> list[Cell]:
    from safetok.knowledge import load

    view, found = client.view, client.view.dossier
    assert found is not None
    words: dict[Said, tuple[str, Tone]] = {
        "complete": (_("papers complete"), "good"),
        "missing": (_("incomplete"), "warn"),
        "suspended": (_("suspended"), "bad"),
        "revoked": (_("revoked"), "bad"),
        "unknown": (_("not known"), "dim"),
    }
    step = load.dossier_steps()[found.current].title if found.current else _("All steps are done.")
    if found.lost:
        step = load.dossier_steps()["lost"].title
    return [found.mst, found.name, Toned(*words[client.state]), step, _until(view)]


def _until(view: View) -> Toned:
    window = view.window
    if window is None or view.urgency in {"finished", "lost", "waiting"}:
        return Toned("")
    words: dict[Urgency, tuple[str, Tone]] = {
        "past": (_("PAST (until {end}): call 1900 4525"), "bad"),
        "no_working_day": (_("no working day left (until {end}): call 1900 4525 NOW"), "bad"),
        "steer_missed": (_("safe day {safe} missed, until {end}"), "bad"),
        "due": (_("TODAY (until {end})"), "bad"),
        "running": (_("{safe} (literally {end})"), "warn"),
    }
    text, tone = words[view.urgency]
    return Toned(text.format(safe=day_of(window.steer_by), end=day_of(window.literal_end)), tone)
