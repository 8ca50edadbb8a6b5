"""`certs prune`: takes a superseded certificate off its token, once nobody needs it there, and never unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.agencies import RegistrationState
from safetok.domain.times import show_date
from safetok.domain.tokens import KeyPresence
from safetok.domain.validity import Validity, validity
from safetok.errors import DriverFailed, NoToken, NotTrusted, PersonNeeded, SeveralTokens
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.pulled_out import no_token_once_pulled_out

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.domain.tokens import Reading, TokenReading
    from safetok.tokens.tokens import Session, Tokens
    from safetok.workflows.context import Context
    from safetok.workflows.pins import PinSource

_SETTLED = {RegistrationState.ACCEPTED, RegistrationState.UNUSED}
_USABLE = {Validity.VALID, Validity.EXPIRING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One reason why a certificate stays where it is, and the command that settles it."""

    code: str
    text: str
    command: str = ""

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {"code": self.code, "message": self.text, "command": self.command}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """One superseded certificate. `state`: removable, would_remove, removed or kept; kept ones say what is missing."""

    token: str
    old: Certificate
    new: Certificate
    state: str
    missing: tuple[Missing, ...] = ()
    files: tuple[Path, ...] = ()

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "token": self.token,
            "cert": self.old.serial,
            "successor": self.new.serial,
            "name": self.old.subject_name,
            "mst": self.old.mst,
            "state": self.state,
            "missing": [one.data() for one in self.missing],
            "files": self.files,
        }


def candidates(context: Context, reading: Reading, serial: str | None = None) -> tuple[Pruned, ...]:
    """Every superseded certificate on the tokens that are in, and what would have to happen before it may be removed."""
    return tuple(
        one for token in reading.tokens if serial in {None, token.info.serial} for one in _of_token(context, token)
    )


def listing(context: Context, serial: str | None = None) -> tuple[Pruned, ...]:
    """`candidates` by a look at the tokens now. No login. Raises NoToken where none is in."""
    from safetok.workflows import tokens

    reading = tokens.look(context)
    if not reading.tokens:
        raise tokens.problems(reading)[-1]
    return candidates(context, reading, serial)


def prune(
    context: Context,
    cert: str,
    *,
    pin: PinSource,
    serial: str | None = None,
    out: Path | None = None,
) -> Pruned:
    """Export the certificate of this serial, log in, prove that the newer one's key signs, remove the old one, look again.

    Only certificate objects that hold exactly these bytes are removed; keys stay, whoever uses them. In a dry run nothing is
    exported, nobody logs in. Raises NoToken (`no_such_certificate`), SeveralTokens, PersonNeeded (`not_superseded`,
    `prune_refused`: its hint says what is missing), and what exporting, logging in and writing raise.
    """
    from safetok.workflows import tokens as token_views

    with context.tokens() as tokens:
        reading = tokens.read()
        if not reading.tokens:
            raise token_views.problems(reading)[-1]
        if not context.dry_run:
            _record(context, reading)
        chosen = _chosen(context, reading, cert, serial)
        if chosen.missing:
            raise _refused(chosen)
        if context.dry_run:
            return _ended(chosen, "would_remove", _paths(context, chosen, out))
        files = _exported(context, chosen, out)
        _remove(context, tokens, chosen, pin)
        _record(context, tokens.read())
    return _ended(chosen, "removed", files)


def _ended(chosen: Pruned, state: str, files: Sequence[Path]) -> Pruned:
    return Pruned(token=chosen.token, old=chosen.old, new=chosen.new, state=state, files=tuple(files))


def _record(context: Context, reading: Reading) -> None:
    from safetok.store.inventory import Inventory

    Inventory(context.database).record(reading, context.now())


def _of_token(context: Context, token: TokenReading) -> list[Pruned]:
    """Those of one token that a newer certificate of the same holder has followed on it."""
    from safetok.domain.certificates import current
    from safetok.workflows.certs import holder

    if token.info.readable_only:
        return []
    own = [stored for stored in token.certificates if not stored.certificate.is_ca]
    found: dict[str, Pruned] = {}
    for stored in own:
        old = stored.certificate
        new = current(other.certificate for other in own if holder(other.certificate) == holder(old))
        if new is None or new.sha256 == old.sha256 or old.sha256 in found:
            continue
        key = next(other.key for other in own if other.certificate.sha256 == new.sha256)
        missing = tuple(_missing(context, token, old, new, key))
        state = "kept" if missing else "removable"
        found[old.sha256] = Pruned(token=token.info.serial, old=old, new=new, state=state, missing=missing)
    return list(found.values())


def _missing(
    context: Context, token: TokenReading, old: Certificate, new: Certificate, key: KeyPresence
) -> list[Missing]:
    """What stands against removing `old`."""
    from safetok.store.journal import Journal

    found = []
    for renewal in Journal(context.database).unfinished(token.info.serial):
        text = _("A renewal of this token is unfinished ({id}).").format(id=renewal.id)
        found.append(Missing(code="renewal_running", text=text, command="safetok renew --resume"))
    if token.info.write_protected:
        text = _("The USB token {serial} is write-protected.").format(serial=token.info.serial)
        found.append(Missing(code="write_protected", text=text))
    if key is KeyPresence.ABSENT:
        text = _("The key of the newer certificate {serial} is not on the token: it cannot sign.")
        found.append(Missing(code="key_missing", text=text.format(serial=new.serial)))
    if new.not_after <= old.not_after:
        text = _("The newer certificate {serial} does not last longer than this one.")
        found.append(Missing(code="not_longer", text=text.format(serial=new.serial)))
    return [*found, *_standing(context, new), *_agencies(context, new)]


def _standing(context: Context, new: Certificate) -> list[Missing]:
    from safetok.store.answers import Answers

    if validity(new, context.now(), Answers(context.database).revocation(new.sha256)) in _USABLE:
        return []
    text = _("The newer certificate {serial} cannot be used now (not yet valid, expired, suspended or revoked).")
    command = f"safetok certs show {new.serial}"
    return [Missing(code="successor_unusable", text=text.format(serial=new.serial), command=command)]


def _agencies(context: Context, new: Certificate) -> list[Missing]:
    """Every registration of the newer certificate must be accepted or unused; none at all is not that."""
    from safetok.knowledge import load
    from safetok.store.registrations import Registrations

    store = Registrations(context.database)
    rows = store.list(certificate=new.sha256)
    if not rows:
        text = _(
            "safetok has no list of agencies for the newer certificate {serial}: nobody has said that they know it."
        )
        command = f"safetok certs adopt --cert {new.serial}"
        return [Missing(code="not_adopted", text=text.format(serial=new.serial), command=command)]
    titles = {agency.name: agency.title for agency in (*load.agencies(), *store.agencies_added())}
    waiting = [titles.get(row.agency, row.agency) for row in rows if row.state not in _SETTLED]
    if not waiting:
        return []
    text = _("These agencies have not accepted the newer certificate yet: {names}.").format(names=", ".join(waiting))
    return [Missing(code="agencies_open", text=text, command=f"safetok agencies list --cert {new.serial}")]


def _chosen(context: Context, reading: Reading, cert: str, serial: str | None) -> Pruned:
    """The one superseded certificate that is meant, by its serial (hex or decimal) or SHA-256."""
    from safetok.store.inventory import Inventory

    wanted = {one.certificate.sha256 for one in Inventory(context.database).by_serial(cert)}
    text = "".join(c for c in cert.upper() if c.isalnum())
    there = [
        (token, stored.certificate)
        for token in reading.tokens
        if serial in {None, token.info.serial}
        for stored in token.certificates
        if stored.certificate.sha256 in wanted or text in {stored.certificate.serial, stored.certificate.serial_decimal}
    ]
    if not there:
        raise NoToken(
            _("No token that is in holds a certificate {serial}.").format(serial=cert),
            code="no_such_certificate",
            hint=_("What could be removed: safetok certs prune"),
        )
    if len({(token.info.serial, one.sha256) for token, one in there}) > 1:
        raise SeveralTokens(
            _("{n} tokens or certificates fit; nothing was done.").format(n=len(there)),
            hint=_("Choose one with --serial. Nothing was done."),
            data={"choices": [{"token": token.info.serial, "cert": one.serial} for token, one in there]},
        )
    token, certificate = there[0]
    for one in _of_token(context, token):
        if one.old.sha256 == certificate.sha256:
            return one
    raise PersonNeeded(
        _("Certificate {serial} is not superseded: no newer one of the same holder is on its token.").format(
            serial=certificate.serial
        ),
        code="not_superseded",
        hint=_("Only what a newer certificate has replaced is removed. What could be: safetok certs prune"),
        token=token.info.serial,
    )


def _refused(chosen: Pruned) -> PersonNeeded:
    commands = list(dict.fromkeys(one.command for one in chosen.missing if one.command))
    return PersonNeeded(
        " ".join(
            [
                _("Certificate {serial} stays on the token.").format(serial=chosen.old.serial),
                *(one.text for one in chosen.missing),
            ]
        ),
        code="prune_refused",
        hint=" · ".join(commands),
        token=chosen.token,
        data=chosen.data(),
    )


def _paths(context: Context, chosen: Pruned, out: Path | None) -> list[Path]:
    from safetok.reports.files import certificate_files

    return [_folder(context, out) / name for name in certificate_files(chosen.old, ())]


def _folder(context: Context, out: Path | None) -> Path:
    return (out or context.settings.home.state / "export" / "pruned").absolute()


def _exported(context: Context, chosen: Pruned, out: Path | None) -> list[Path]:
    """The old certificate and the chain known of it as files, read back."""
    from safetok.reports.files import certificate_files, write_all
    from safetok.workflows.export import chain_of

    files = certificate_files(chosen.old, chain_of(context, chosen.old)[0])
    paths = write_all(
        _folder(context, out), files, replace=out is None, hint=_("Name another folder with --out.") if out else ""
    )
    if not any(path.read_bytes() == chosen.old.der for path in paths):
        raise NotTrusted(
            _("The exported certificate does not read back as it is. Nothing was removed."), code="write_failed"
        )
    return paths


def _remove(context: Context, tokens: Tokens, chosen: Pruned, pin: PinSource) -> None:
    """Under the token's lock: log in, prove the newer certificate, remove the older one, look again."""
    from safetok.store.settings import authority_of
    from safetok.workflows.pins import log_in

    authority = authority_of(chosen.new, context.settings)
    context.prompter.say(
        _(
            "To be removed from token {token}: certificate {old} of {name}, until {until}. The newer one {new} and every key stay."
        ).format(
            token=chosen.token,
            old=chosen.old.serial,
            name=chosen.old.subject_name,
            until=show_date(chosen.old.not_after),
            new=chosen.new.serial,
        )
    )
    with no_token_once_pulled_out(), tokens.session(chosen.token) as session:
        log_in(context, session, pin, name=chosen.new.subject_name, authority=authority)
        _prove(context, session, chosen.new)
        before = {stored.certificate.sha256 for stored in session.certificates()}
        try:
            session.remove_certificate(chosen.old.der)
        except DriverFailed as error:
            error.hint = error.hint or _("Whether it was removed is not known: look with safetok certs list.")
            raise
        after = {stored.certificate.sha256 for stored in session.certificates()}
        if before - after != {chosen.old.sha256}:
            raise NotTrusted(
                _(
                    "The token does not show what was to be expected after the removal. The file of the certificate is kept."
                ),
                code="write_failed",
                hint=_("Look with: safetok certs list"),
                token=chosen.token,
            )
        _prove(context, session, chosen.new)


def _prove(context: Context, session: Session, certificate: Certificate) -> None:
    """Raise NotTrusted (`key_missing`) unless the certificate is there and its key signs for it."""
    from safetok.tokens.proof import signs_for

    key, public = session.private_key(certificate.spki), certificate.x509().public_key()
    if not signs_for(key, public, random=context.random) or session.find_certificate(certificate.der) is None:
        raise NotTrusted(
            _("The newer certificate {serial} could not be proven on the token. The old one stays.").format(
                serial=certificate.serial
            ),
            code="key_missing",
            token=session.serial,
        )
