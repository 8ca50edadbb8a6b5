"""`renew --csr FILE`: a request for a CA that works by mail, made by the token's key; `certs install FILE` brings the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.renewal import Renewal, State
from safetok.domain.tokens import KeyPresence
from safetok.errors import CaWait, PersonNeeded, UsageError
from safetok.locale import _, why
from safetok.workflows.check import before_renewal
from safetok.workflows.context import free_space
from safetok.workflows.pins import log_in
from safetok.workflows.pulled_out import no_token_once_pulled_out
from safetok.workflows.renew.begun_with import kept
from safetok.workflows.renew.choose import Chosen, choose, unfinished_of
from safetok.workflows.renew.engine import carry_on
from safetok.workflows.renew.ready import nothing_meanwhile
from safetok.workflows.renew.request import RenewRequest, RenewResult, result_of
from safetok.workflows.renew.run import Run
from safetok.workflows.renew.start import run_of
from safetok.workflows.renew.unbegun import would_carry_on

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.store.settings import Settings
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.context import Context


def request_by_mail(context: Context, request: RenewRequest, file: Path) -> RenewResult:
    """Make a PKCS#10 request (PEM) for one certificate and write it to `file`; the renewal then waits in the journal.

    The same key unless `request.new_key`. Again for a token whose request waits: the same request is written again, without
    a PIN. Raises UsageError (`file_exists`, `file_not_written`), PersonNeeded (`authority_unknown`, `key_absent`,
    `renewal_running`), CertificateRevoked (13), and what choosing a token and logging in raise.
    """
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal

    with context.tokens() as tokens:
        reading = tokens.read(session_follows=True)
        if not context.dry_run:
            Inventory(context.database).record(reading, context.now())
        chosen = choose(context, reading, serial=request.serial, cert=request.cert, mst=request.mst)
        serial = chosen.token.info.serial
        waiting = unfinished_of(context, serial, chosen.certificate, ended_too=False)
        if waiting is not None:
            return _carried_on(context, _by_mail(waiting), request, file, tokens)
        _check_file(file, None)
        authority = authority_known(chosen.certificate, context.settings)
        before_renewal(context, chosen.certificate, authority)
        _check_token(chosen, authority)
        free_space(context)
        if context.dry_run:
            return _would_request(chosen)
        with no_token_once_pulled_out(), tokens.session(serial) as session:
            nothing_meanwhile(context, chosen)
            log_in(context, session, request.pin, name=chosen.certificate.subject_name, authority=authority)
            row = Journal(context.database).create(_row(context, chosen, authority, request))
            run = run_of(context, row, request, tokens)
            run.lend(session)
            return _written(run, file)


def authority_known(certificate: Certificate, settings: Settings) -> Authority:
    """The certificate's CA. Raises PersonNeeded (`authority_unknown`): what it sends could not be checked later."""
    from safetok.store.settings import authority_of

    authority = authority_of(certificate, settings)
    if authority is None:
        raise PersonNeeded(
            _("safetok does not know the CA {issuer}: a certificate it sends could not be checked.").format(
                issuer=certificate.issuer_name
            ),
            code="authority_unknown",
            hint=_(
                "Name it in {file}: [authorities.NAME] with `issuers` and `anchors` (files of its certificates)."
            ).format(file=settings.home.settings),
        )
    return authority


def _by_mail(renewal: Renewal) -> Renewal:
    if renewal.route != "csr":
        raise PersonNeeded(
            _("A renewal of this token is unfinished ({id}).").format(id=renewal.id),
            code="renewal_running",
            hint=_("First finish it: safetok renew --resume"),
            token=renewal.token_serial,
        )
    return renewal


def _carried_on(context: Context, renewal: Renewal, request: RenewRequest, file: Path, tokens: Tokens) -> RenewResult:
    _check_file(file, renewal.request)
    told = kept(renewal, request)
    if context.dry_run:
        return would_carry_on(renewal, told)
    context.prompter.say(
        _("A request of this token waits already ({id}): the same one is written again.").format(id=renewal.id)
    )
    if told:
        context.prompter.warn(told)
    return _written(run_of(context, renewal, request, tokens), file)


def _written(run: Run, file: Path) -> RenewResult:
    """Carry on until the renewal waits for the CA's file; then write the request."""
    try:
        return result_of(carry_on(run))
    except CaWait as waits:
        if waits.code != "waits_for_mail":
            raise
    _write(file, run.renewal.request)
    return replace(
        result_of(run.renewal),
        reasons=(
            _(
                "The request is in {file}. Send it to the CA; when its certificate comes: safetok certs install FILE"
            ).format(file=file),
        ),
    )


def _row(context: Context, chosen: Chosen, authority: Authority, request: RenewRequest) -> Renewal:
    now, identity, old = context.now(), context.random(4).hex(), chosen.certificate
    return Renewal(
        id=identity,
        token_serial=chosen.token.info.serial,
        authority=authority.name,
        state=State.CONFIRMED,
        created_at=now,
        updated_at=now,
        route="csr",
        key_plan="new" if request.new_key else "same",
        old_certificate=old.der,
        old_serial=old.serial,
        mst=old.mst,
        contract_end=request.contract_end,
        contract_end_by="user" if request.contract_end else "",
        min_not_after=request.min_not_after,
        key_id=context.random(20) if request.new_key else chosen.stored.cka_id,
        key_label=f"safetok {identity}",
    )


def _check_token(chosen: Chosen, authority: Authority) -> None:
    serial = chosen.token.info.serial
    if chosen.token.info.readable_only:
        raise UsageError(
            _("This token has no serial of its own (Token ID {serial!r}): it is shown, never logged in to.").format(
                serial=serial
            ),
            code="token_without_serial",
            hint=_("Plug in this token alone, or ask its maker."),
        )
    if chosen.stored.key is KeyPresence.ABSENT:
        raise PersonNeeded(
            _("The key of this certificate is not on the token: it cannot be renewed here."),
            code="key_absent",
            hint=_("Plug in the token that holds the key, or ask {ca}.").format(ca=authority.title),
            token=serial,
        )


def _would_request(chosen: Chosen) -> RenewResult:
    return RenewResult(
        token=chosen.token.info.serial,
        state="WOULD_REQUEST",
        name=chosen.certificate.subject_name,
        old_serial=chosen.certificate.serial,
        not_after=chosen.certificate.not_after,
        reasons=(_("Dry run: a request would be made here. Nothing was written, no PIN was used."),),
    )


def _pem(request: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_der_x509_csr(request).public_bytes(Encoding.PEM)


def _check_file(file: Path, request: bytes | None) -> None:
    """Before a PIN is asked for: nothing of the user's is written over, and the folder is there."""
    try:
        taken = file.exists() and not (request and file.is_file() and file.read_bytes() == _pem(request))
        has_folder = file.absolute().parent.is_dir()
    except OSError as error:
        raise UsageError(
            _("{file} could not be written: {why}.").format(file=file, why=why(error)),
            code="file_not_written",
            hint=_("Name another file."),
        ) from error
    if taken:
        raise UsageError(
            _("{file} exists already, and is not written over.").format(file=file),
            code="file_exists",
            hint=_("Give another name, or move it aside."),
        )
    if not has_folder:
        raise UsageError(
            _("The folder of {file} does not exist.").format(file=file),
            code="file_not_written",
            hint=_("Give another name, or make the folder first."),
        )


def _write(file: Path, request: bytes) -> None:
    from safetok.reports.files import write_whole

    try:
        write_whole(file, _pem(request))
    except OSError as error:
        raise UsageError(
            _("{file} could not be written ({why}). The request is kept: run it again with another name.").format(
                file=file, why=why(error)
            ),
            code="file_not_written",
        ) from error
