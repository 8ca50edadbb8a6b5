"""Which certificates a person means by an MST, a token's serial or a certificate's, from the inventory alone; no driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from safetok.errors import SeveralTokens, UsageError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.store.inventory import Inventory, Kept
    from safetok.workflows.context import Context

_FEW = 5  # serials named in one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the command line named; nothing named is everything."""

    mst: str | None = None
    serial: str | None = None  # the token's
    cert: str | None = None  # a certificate's

    @property
    def empty(self) -> bool:
        return not (self.mst or self.serial or self.cert)


def kept(context: Context, selection: Selection) -> tuple[Kept, ...]:
    """The inventory's certificates that fit all that was named, the newest first.

    Raises UsageError: `unknown_certificate`, `unknown_token` or `unknown_company` for what safetok has never seen.
    """
    from safetok.domain.companies import plain_mst
    from safetok.store.inventory import Inventory

    inventory = Inventory(context.database)
    if selection.cert:
        found = inventory.by_serial(selection.cert)
        _seen(found, "unknown_certificate", _("safetok has never seen a certificate {serial}."), serial=selection.cert)
    elif selection.serial:
        found = _of_token(inventory, selection.serial)
    elif selection.mst:
        found = inventory.by_mst(selection.mst)
        _seen(found, "unknown_company", _("safetok has never seen a certificate of MST {mst}."), mst=selection.mst)
    else:
        return inventory.everything()
    if selection.serial:
        found = tuple(one for one in found if one.token_serial == selection.serial)
    if selection.mst:
        found = tuple(one for one in found if plain_mst(one.certificate.mst or "") == plain_mst(selection.mst))
    return found


def _of_token(inventory: Inventory, serial: str) -> tuple[Kept, ...]:
    found = tuple(one for one in inventory.certificates(serial) if not one.certificate.is_ca)
    if not found and inventory.token(serial) is None:
        _seen((), "unknown_token", _("safetok has never seen a token {serial}."), serial=serial)
    return found


def _seen(found: tuple[Kept, ...], code: str, message: str, **values: str) -> None:
    if not found:
        raise UsageError(
            message.format(**values),
            code=code,
            hint=_("Plug the token in and run `safetok status` once; after that it is known without the token."),
        )


def one_only(context: Context, choices: Iterable[Certificate], *, data: str) -> Certificate:
    """The one certificate among `choices`; a person is asked when there are several.

    Raises SeveralTokens (`several_companies`), with the choices in its data under `data`, when nobody can be asked.
    """
    found = list({one.sha256: one for one in choices}.values())
    if len(found) == 1:
        return found[0]
    if context.prompter.interactive:
        question = _("{count} certificates fit. Which one?").format(count=len(found))
        return found[context.prompter.choose(question, [_choice(one) for one in found])]
    raise SeveralTokens(
        _("{count} certificates fit, and none was chosen.").format(count=len(found)),
        code="several_companies",
        hint=way_to_name([(one.mst or "", one.serial) for one in found]),
        data={data: [{"mst": one.mst, "cert": one.serial, "subject_name": one.subject_name} for one in found]},
    )


def way_to_name(choices: Sequence[tuple[str, str]]) -> str:
    """How to name one of these, by MST and certificate each: two tokens of one company have one tax code."""
    of_one = Counter(mst for mst, _serial in choices)
    twice = [serial for mst, serial in choices if of_one[mst] > 1 and serial]
    if not twice:
        return _("Name one with --mst, --serial or --cert.")
    serials = ", ".join(twice[:_FEW]) + (", …" if len(twice) > _FEW else "")
    return _("Several are of one company: name one with --serial (its token) or --cert ({serials}).").format(
        serials=serials
    )


def _choice(certificate: Certificate) -> str:
    from safetok.domain.times import show_date

    return _("{name} · MST {mst} · Serial {serial} · until {day}").format(
        name=certificate.subject_name,
        mst=certificate.mst or "–",
        serial=certificate.serial,
        day=show_date(certificate.not_after),
    )
