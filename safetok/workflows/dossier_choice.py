"""Which dossier a person means, and which certificate and CA one is begun for; from the state alone, no driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.domain.companies import plain_mst
from safetok.domain.dossier import is_about, newest
from safetok.errors import SeveralTokens, UsageError
from safetok.locale import _
from safetok.workflows import known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.domain.dossier import Dossier
    from safetok.store.dossiers import Dossiers
    from safetok.workflows.context import Context
    from safetok.workflows.known import Selection

LCS = "lcs-ca"
BEGIN = "safetok dossier start --mst MST"


def chosen(context: Context, selection: Selection) -> Dossier:
    """The dossier meant: of those that fit the newest of each company, open ones before finished; a person chooses among several.

    Raises UsageError `no_dossier`, SeveralTokens `several_dossiers` when nobody can choose.
    """
    found = fitting(context, selection)
    if not found:
        raise no_dossier()
    if len(found) == 1:
        return found[0]
    if context.prompter.interactive:
        question = _("{count} dossiers are open. Which one?").format(count=len(found))
        return found[context.prompter.choose(question, [_choice(one, found) for one in found])]
    raise SeveralTokens(
        _("{count} dossiers are open, and none was chosen.").format(count=len(found)),
        code="several_dossiers",
        hint=known.way_to_name([(one.mst, one.certificate) for one in found]),
        data={"dossiers": [{"mst": one.mst, "cert": one.certificate, "name": one.name} for one in found]},
    )


def _choice(one: Dossier, among: list[Dossier]) -> str:
    twice = one.certificate and sum(other.mst == one.mst for other in among) > 1
    return f"{one.name} · MST {one.mst or '–'}" + (f" · Serial {one.certificate}" if twice else "")


def fitting(context: Context, selection: Selection) -> list[Dossier]:
    """The newest of each company that fits: those open, else those finished. One begun by tax code alone is about the company's
    certificate, too.
    """
    from safetok.store.inventory import Inventory

    store = dossiers(context)
    fit = {one.id for one in store.list(mst=selection.mst, certificate=selection.cert, token=selection.serial)}
    if selection.cert:
        kept = Inventory(context.database).by_serial(selection.cert)
        meant = {(plain_mst(one.certificate.mst or ""), one.certificate.serial) for one in kept}
        of_company = store.list(mst=selection.mst, token=selection.serial)
        fit |= {one.id for one in of_company for mst, serial in meant if is_about(one, mst, serial)}
    found = [one for one in newest(store.list()) if one.id in fit]
    return [one for one in found if not one.finished] or found


def named(one: Dossier, others: Iterable[Dossier]) -> str:
    """What names a dossier on the command line beside others: its company, or its certificate where the company has several."""
    if one.certificate and any(other.id != one.id and other.mst == one.mst for other in others):
        return f" --cert {one.certificate}"
    return f" --mst {one.mst}" if one.mst else ""


def no_dossier() -> UsageError:
    """The refusal where none is open, and how one is begun."""
    return UsageError(
        _("No dossier is open."),
        code="no_dossier",
        hint=_("Begin one: safetok dossier start --mst MST"),
    )


def token_came(context: Context, serial: str) -> str:
    """The command for a token without a certificate: its coming is recorded where a dossier awaits one, once; where it has come
    the dossier says what is next; else a dossier is begun.
    """
    awaiting = [one for one in dossiers(context).list() if not one.finished and "token-received" in one.steps]
    came = [one for one in awaiting if one.record("token-received") is not None]
    if came and (len(came) == len(awaiting) or serial in {one.token for one in came}):
        return "safetok dossier show"
    return "safetok dossier token-received" if awaiting else BEGIN


def certificate_of(context: Context, selection: Selection) -> tuple[Certificate | None, str]:
    """The company's certificate in use and its token; none for a company known by its tax code alone."""
    from safetok.domain.certificates import current
    from safetok.domain.companies import company_of
    from safetok.store.inventory import Inventory

    if (
        selection.mst
        and not selection.serial
        and not selection.cert
        and not Inventory(context.database).by_mst(selection.mst)
    ):
        return None, ""
    kept = known.kept(context, selection)
    companies: dict[str, list[Certificate]] = {}
    for one in kept:
        companies.setdefault(company_of(one.certificate), []).append(one.certificate)
    choices = [found for group in companies.values() if (found := current(group)) is not None]
    if selection.empty:  # only CAs that have a procedure come into question
        choices = [one for one in choices if (ca := authority_of_company(context, one)) and ca.dossier_lookup]
    if not choices:
        if selection.empty:
            raise no_dossier()
        return None, ""
    certificate = known.one_only(context, choices, data="companies")
    return certificate, next(one.token_serial for one in kept if one.certificate.sha256 == certificate.sha256)


def authority_of_company(context: Context, certificate: Certificate | None) -> Authority | None:
    """A certificate's CA; the notice's where only a tax code is known."""
    if certificate is None:
        return context.settings.authorities.get(LCS)
    from safetok.store.settings import authority_of

    return authority_of(certificate, context.settings)


def dossiers(context: Context) -> Dossiers:
    """Where they are kept."""
    from safetok.store.dossiers import Dossiers

    return Dossiers(context.database)
