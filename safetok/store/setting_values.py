"""What settings.toml says of CAs and of kinds of token, laid over what is shipped."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.authorities import Authority, Contacts, PinPolicy
from safetok.domain.kinds import FIELDS, KindRule, kind_of
from safetok.errors import UsageError
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.domain.acceptance import Acceptance
    from safetok.store.setting_table import Table

_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")
_REQUESTS = ("kur", "p10cr", "cr")
_VALIDITIES = ("exact", "ca")
_AUTHORITY_KEYS = tuple(f.name for f in dataclasses.fields(Authority) if f.name != "name")


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
        recipient=_name(table, "recipient", base.recipient),
        tls_ca=_file(table, "tls_ca", base.tls_ca),
        profile=table.text("profile", base.profile),
        validity=validity,  # type: ignore[arg-type]
        implicit_confirm=table.yes("implicit_confirm", base.implicit_confirm),
        pss=table.yes("pss", base.pss),
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
        plain = url.isprintable() and " " not in url and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        good = plain = False
    if not good or not plain:
        table.refuse(name, _("an https:// address is expected (http:// only for 127.0.0.1)"))
    return url


def _name(table: Table, name: str, default: str) -> str:
    """A distinguished name (RFC 4514): one that is none is told here, not after the PIN."""
    text = table.text(name, default)
    if text:
        from cryptography import x509

        try:
            x509.Name.from_rfc4514_string(text)
        except ValueError:
            table.refuse(name, _("a name like CN=…,O=…,C=VN is expected"))
    return text


def _pin_policy(table: Table, base: PinPolicy) -> PinPolicy:
    table.only(("min_length", "max_length", "tries"))
    least = table.whole("min_length", base.min_length, least=1)
    most = table.whole("max_length", base.max_length, least=1)
    if least is not None and most is not None and least > most:
        name = "max_length" if "max_length" in table.values else "min_length"
        table.refuse(name, _("min_length ({least}) is above max_length ({most})").format(least=least, most=most))
    return PinPolicy(
        min_length=least,
        max_length=most,
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
