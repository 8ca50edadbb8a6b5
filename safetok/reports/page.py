"""The kit's page for the browser: one file that asks nothing of the network, its own style and script named by their digests."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.times import show_date, show_day, show_instant
from safetok.locale import _, language, later
from safetok.reports import einvoice
from safetok.reports.fields import plain_line, show_moment

if TYPE_CHECKING:
    from jinja2 import Environment

    from safetok.reports.kit import Card, Kit

FOLDER = Path(__file__).parent
# What the sources beside the steps and rules are called in English there.
_SOURCES = (
    later("notice, step 6"),
    later("helpsme.misa.vn (khong-the-su-dung-chung-thu-so); notice, note 2"),
    later("not settled by any source found"),
    later("dichvudientu.vn; chukyviettel.com (that this page is V5 is an inference)"),
)
_FORMULA = ("=", "+", "-", "@")


def page(kit: Kit) -> str:
    """What to do at each agency: values to copy, steps with their sources, check boxes that stay, the timers."""
    return render(
        "page.html",
        script="page.js",
        kit=kit,
        values=values,
        rows=[(einvoice.title(row), row) for row in kit.rows],
        meanings=einvoice.explanation()[:-1],  # the step above says that nobody has settled it
        words=json.dumps(_words(), ensure_ascii=False),
        command=lambda card: f'safetok agencies done {card.agency.name} --cert {kit.new.serial} --at "{{at}}"',
    )


def render(template: str, *, script: str = "", **values: Any) -> str:
    """One page from its template, the shared style, and a script; only these two may run in it (CSP level 2, digests)."""
    style = _file("kit.css")
    code = _file(script) if script else ""
    allowed = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(code) if code else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            language=language(),
            policy="; ".join(f"{name} {value}" for name, value in allowed.items()),
            style=style,
            script=code,
        )
    )


def values(kit: Kit, card: Card) -> list[tuple[str, str]]:
    """Label and value of what is copied into one agency's pages."""
    new = kit.new
    known: dict[str, tuple[str, str]] = {
        "account": (_("Account"), f"{new.mst}-QL" if new.mst else ""),
        "mst": (_("MST (tax code)"), new.mst),
        "name": (_("Company"), new.name),
        "old_serial": (_("Old serial, to log in"), card.old.serial if card.old else ""),
        "serial": (_("Serial of the new certificate"), new.serial),
        "issuer": (_("Issuer"), new.issuer_name),
        "from": (_("Valid from"), show_date(new.valid_from)),
        "to": (_("Valid to"), show_date(new.valid_to)),
    }
    wanted = card.guide.copy if card.guide and card.guide.copy else ("mst", "serial", "issuer", "from", "to")
    return [known[key] for key in wanted if known[key][1]]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["_"] = _
    environment.filters.update(
        day=show_day,
        date=show_date,
        instant=show_instant,
        moment=show_moment,
        plain=plain_line,
        copyable=copyable,
        milliseconds=lambda instant: int(instant.timestamp() * 1000),
    )
    return environment


def copyable(value: str) -> str:
    """What a button copies: the value; one that a spreadsheet would take for a formula gets the apostrophe that stops it."""
    return f"'{value}" if value.startswith(_FORMULA) else value


@cache
def _file(name: str) -> str:
    return (FOLDER / name).read_text("utf-8").strip()


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _words() -> dict[str, str]:
    """What the script says; `{…}` are filled in there."""
    return {
        "copied": _("Copied"),
        "select": _("Press Ctrl+C"),
        "progress": _("{done} of {all} agencies updated"),
        "open": _("not yet updated"),
        "partly": _("{done} of {all} services updated"),
        "updated": _("updated at {at}"),
        "waiting": _("updated at {at}. 24h00 are over at {until}"),
        "over": _("updated at {at}. 24h00 were over at {until}: check whether it is accepted"),
        "until": _("updated at {at}. Accepted from {until}"),
        "left": _("({left} left)"),
        "until_over": _("updated at {at}. Should be accepted since {until}: check"),
        "counted": _("updated at {at}. This agency counts working time: safetok tells the end once it is recorded"),
        "accepted": _("accepted"),
        "rejected": _("rejected"),
        "hours": _("{hours} h {minutes} min"),
        "minutes": _("{minutes} min"),
        "weekdays": _("Sun Mon Tue Wed Thu Fri Sat"),
        "not_kept": _("This browser keeps nothing for files: the ticks are gone when the page is closed."),
        "sure": _("Clear every tick and time on this page?"),
    }
