"""How one value of settings.toml is read, and what is said of one that cannot be used: file, key and value in one sentence."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from safetok.domain.authorities import Authority, Contacts, PinPolicy
from safetok.domain.kinds import FIELDS, KindRule, kind_of
from safetok.errors import UsageError
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.domain.acceptance import Acceptance

_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")
_REQUESTS = ("kur", "p10cr", "cr")
_VALIDITIES = ("exact", "ca")
_AUTHORITY_KEYS = tuple(f.name for f in dataclasses.fields(Authority) if f.name != "name")


@dataclasses.dataclass(frozen=True)
class Table:
    """One table of the file, and the dotted key it stands under."""

    file: Path
    key: str
    values: Mapping[str, Any]

    def only(self, known: Collection[str]) -> None:
        """Refuse a key nobody reads: a misspelt one would be silently without effect."""
        for name in self.values:
            if name not in known:
                self.refuse(name, _("there is no such setting"))

    def table(self, name: str) -> Table:
        """A table below this one; an empty one where there is none."""
        found = self.values.get(name, {})
        if not isinstance(found, dict):
            self.refuse(name, _("a table is expected"))
        return Table(self.file, self._under(name), found)

    def tables(self, name: str) -> list[Table]:
        """An array of tables, `[[name]]`."""
        found = self.values.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self.refuse(name, _("tables in double brackets are expected"))
        return [Table(self.file, f"{self._under(name)}[{at}]", one) for at, one in enumerate(found, 1)]

    def text(self, name: str, default: str = "") -> str:
        found = self.values.get(name, default)
        if not isinstance(found, str):
            self.refuse(name, _("text in quotes is expected"))
        return found

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        found = self.values.get(name, list(default))
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.refuse(name, _("a list of texts is expected"))
        return tuple(found)

    def yes(self, name: str, default: bool = False) -> bool:
        found = self.values.get(name, default)
        if not isinstance(found, bool):
            self.refuse(name, _("true or false is expected"))
        return found

    def number(self, name: str, default: float, *, least: float) -> float:
        found = self.values.get(name, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not found >= least:
            self.refuse(name, _("a number of at least {least} is expected").format(least=least))
        return float(found)

    def whole(self, name: str, default: int | None, *, least: int) -> int | None:
        found = self.values.get(name, default)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            self.refuse(name, _("a whole number of at least {least} is expected").format(least=least))
        return found

    def one_of(self, name: str, choices: Collection[str], default: str | None = None) -> str | None:
        found = self.values.get(name, default)
        if found is not None and found not in choices:
            self.refuse(name, _("one of these is expected: {choices}").format(choices=", ".join(choices)))
        return None if found is None else str(found)

    def file_of(self, name: str, text: str) -> Path:
        """A file named in the settings: relative to their folder. It must be there."""
        path = self.file.parent / Path(text).expanduser()
        if not path.is_file():
            self.refuse(name, _("there is no such file"), shown=str(path))
        return path

    def refuse(self, name: str, why: str, *, shown: str | None = None) -> NoReturn:
        value = shown if shown is not None else _shown(self.values.get(name))
        raise UsageError(
            _("{file}: {key} = {value}: {why}.").format(file=self.file, key=self._under(name), value=value, why=why),
            code="bad_settings",
            hint=_("Correct that line, or move the file aside."),
            data={"file": str(self.file), "key": self._under(name)},
        )

    def _under(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name


def kind_rules(table: Table) -> tuple[KindRule, ...]:
    """`[[kinds]]`: rules that tell V1 from V2."""
    return tuple(_kind_rule(one) for one in table.tables("kinds"))


def authorities(table: Table, shipped: Mapping[str, Authority]) -> dict[str, Authority]:
    """`[authorities.NAME]`: what the user states laid over what is shipped under that name; the user's own come first."""
    given = table.table("authorities")
    mine = {name: _authority(given.table(name), name, shipped.get(name)) for name in given.values}
    return mine | {name: authority for name, authority in shipped.items() if name not in mine}


def _kind_rule(table: Table) -> KindRule:
    table.only(("kind", "reason", *FIELDS))
    try:
        return KindRule(
            kind=kind_of(table.text("kind")),
            reason=table.text("reason"),
            **{name: table.text(name) for name in FIELDS if name in table.values},
        )
    except UsageError as error:
        if error.code == "bad_settings":
            raise
        table.refuse("kind", error.message.rstrip("."))


def _authority(table: Table, name: str, shipped: Authority | None) -> Authority:
    table.only(_AUTHORITY_KEYS)
    base = shipped or Authority(name=name, title=name.upper())
    protocol = table.one_of("protocol", ("cmp",), base.protocol)
    request = table.one_of("request", _REQUESTS, base.request)
    validity = table.one_of("validity", _VALIDITIES, base.validity)
    return dataclasses.replace(
        base,
        title=table.text("title", base.title),
        issuer_names=table.texts("issuer_names", base.issuer_names),
        issuers=_files(table, "issuers", base.issuers),
        protocol=protocol,  # type: ignore[arg-type]  # checked against the same words just above
        request=request,  # type: ignore[arg-type]
        url=_url(table, "url", base.url),
        offers_url=_url(table, "offers_url", base.offers_url),
        anchors=_files(table, "anchors", base.anchors),
        signer=_file(table, "signer", base.signer),
        recipient=table.text("recipient", base.recipient),
        tls_ca=_file(table, "tls_ca", base.tls_ca),
        profile=table.text("profile", base.profile),
        validity=validity,  # type: ignore[arg-type]
        implicit_confirm=table.yes("implicit_confirm", base.implicit_confirm),
        renew_expired=table.yes("renew_expired", base.renew_expired),
        private_addresses=table.yes("private_addresses", base.private_addresses),
        pin_policy=_pin_policy(table.table("pin_policy"), base.pin_policy),
        contacts=_contacts(table.table("contacts"), base.contacts),
        acceptance=_rules(table, base),
        dossier_lookup=table.text("dossier_lookup", base.dossier_lookup),
    )


def _rules(table: Table, base: Authority) -> Mapping[str, Acceptance]:
    if "acceptance" not in table.values:
        return base.acceptance
    from safetok.store.rule_values import authority_rules

    return authority_rules(table, base.acceptance)


def _files(table: Table, name: str, default: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(table.file_of(name, text) for text in table.texts(name)) if name in table.values else default


def _file(table: Table, name: str, default: Path | None) -> Path | None:
    return table.file_of(name, text) if (text := table.text(name)) else default


def _url(table: Table, name: str, default: str) -> str:
    """HTTPS, or plain HTTP to a literal loopback address; the network layer refuses the rest again."""
    url = table.text(name, default)
    if not url:
        return url
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        loopback = parts.hostname == "::1" or _LOOPBACK.fullmatch(parts.hostname or "") is not None
        good = bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and loopback))
    except ValueError:
        good = False
    if not good:
        table.refuse(name, _("an https:// address is expected (http:// only for 127.0.0.1)"))
    return url


def _pin_policy(table: Table, base: PinPolicy) -> PinPolicy:
    table.only(("min_length", "max_length", "tries"))
    return PinPolicy(
        min_length=table.whole("min_length", base.min_length, least=1),
        max_length=table.whole("max_length", base.max_length, least=1),
        tries=table.whole("tries", base.tries, least=1) or base.tries,
    )


def _contacts(table: Table, base: Contacts) -> Contacts:
    table.only(("lines", "hotline", "unlock", "source"))
    return Contacts(
        lines=table.texts("lines", base.lines),
        hotline=table.text("hotline", base.hotline),
        unlock=table.text("unlock", base.unlock),
        source=table.text("source", base.source),
    )


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004  (one line)
