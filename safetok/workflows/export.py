"""The new and the old certificate as files, alone or with the agencies' whole kit; the inventory serves without the token."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.errors import NotTrusted, SafetokError, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import known
from safetok.workflows.known import Selection
from safetok.workflows.succession import check_news, predecessor, successor

if TYPE_CHECKING:
    from safetok.domain.agencies import RegistrationState
    from safetok.domain.certificates import Certificate
    from safetok.domain.renewal import Renewal
    from safetok.reports.einvoice import HThuc
    from safetok.reports.fields import Fields
    from safetok.reports.kit import Card, Kit
    from safetok.workflows.context import Context

FOLDER = "safetok-export"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Where the files are, and the fields to copy. `complete`: the chain reaches an anchor of the certificate's CA. `latest`: it
    has taken another's place and none has taken its own. `page` is the kit's page for the browser, where a kit was asked for.
    """

    folder: Path
    files: tuple[Path, ...]
    new: Fields
    old: Fields | None
    complete: bool
    latest: bool
    page: Path | None = None

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "folder": self.folder,
            "files": self.files,
            "new": self.new.data(),
            "old": self.old.data() if self.old else None,
            "chain_complete": self.complete,
            "page": self.page,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent to the client, and the fields it speaks of."""

    text: str
    new: Fields
    old: Fields | None

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {"text": self.text, "new": self.new.data(), "old": self.old.data() if self.old else None}


def export(
    context: Context,
    selection: Selection,
    *,
    out: Path | None = None,
    kit: bool = False,
    hthuc: HThuc | None = None,
    confirmed_by: str = "",
    force: bool = False,
) -> Exported:
    """Write the files of one company's certificate and of the one it followed; with `kit`, all that the agencies' update needs.

    A token that is in is read first; without it the inventory serves. With `--cert` that very certificate is the new one.
    Raises UsageError (`unknown_…`, `no_certificates`, `file_exists`, `folder_unusable`), SeveralTokens (`several_companies`),
    and for a kit what `message` raises.
    """
    _look(context)
    new = _chosen(context, selection)
    old = predecessor(context, new)
    if kit:
        check_news(context, new, old)
    files, complete = _files(context, new, old, ())
    if kit:
        files |= _kit_files(context, new, old, hthuc=hthuc, confirmed_by=confirmed_by)
    hint = (
        _("Name another folder with --kit, or replace it with --force.")
        if kit
        else _("Name another folder with --out, or replace it with --force.")
    )
    return _written(context, out or Path(FOLDER), files, new, old, complete=complete, force=force, hint=hint)


def message(context: Context, selection: Selection) -> Message:
    """The message for the client of one company, nothing written.

    Raises as `export` does for a choice; CertificateRevoked and PersonNeeded (`superseded`, `certificate_expired`, `nothing_new`)
    where agencies must not, or need not, learn this certificate.
    """
    from safetok.reports import kit as kits

    _look(context)
    new = _chosen(context, selection)
    old = predecessor(context, new)
    check_news(context, new, old)
    told = kit_of(context, new, old)
    return Message(text=kits.message(told), new=told.new, old=told.old)


def write_kit(context: Context, renewal: Renewal) -> Path:
    """The whole kit of a finished renewal, in safetok's own folder; repeatable. Returns the folder."""
    from safetok.domain.certificates import parse
    from safetok.reports.files import stem

    new, old = parse(renewal.certificate), parse(renewal.old_certificate)
    files, complete = _files(context, new, old, renewal.chain)
    files |= _kit_files(context, new, old)
    folder = context.settings.home.state / "export" / stem(new)
    return _written(context, folder, files, new, old, complete=complete, force=True).folder


def kit_of(
    context: Context,
    new: Certificate,
    old: Certificate | None,
    *,
    hthuc: HThuc | None = None,
    confirmed_by: str = "",
) -> Kit:
    """What is known of one certificate at its agencies, as the kit tells it."""
    from safetok.knowledge import load
    from safetok.reports.fields import fields_of, plain_line
    from safetok.reports.kit import Kit, Renewed
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal

    inventory = Inventory(context.database)
    renewal = Journal(context.database).renewed_from(new.sha256)
    on = next((one.token_serial for one in inventory.by_serial(new.serial) if one.token_serial), "")
    return Kit(
        new=fields_of(new),
        new_sha256=new.sha256,
        old=fields_of(old) if old else None,
        cards=_cards(context, new, old),
        contract_end=inventory.contract_end(new.sha256) or (renewal.contract_end if renewal else None),
        renewed=Renewed(
            id=renewal.id,
            started_at=renewal.created_at,
            received_at=renewal.received_at,
            contract_end_by=renewal.contract_end_by,
            contract_number=plain_line(renewal.contract_number),
        )
        if renewal
        else None,
        token_serial=plain_line(renewal.token_serial if renewal else on),
        hthuc=hthuc,
        confirmed_by=plain_line(confirmed_by.strip()),
        steps_recorded=load.steps_recorded(),
    )


def _cards(context: Context, new: Certificate, old: Certificate | None) -> tuple[Card, ...]:
    """The certificate's agencies as registered, each with the one it knows; where nothing is registered yet, those that its company
    uses.
    """
    from safetok.domain.companies import company_of
    from safetok.knowledge import load
    from safetok.reports.fields import fields_of
    from safetok.reports.kit import Card
    from safetok.store.registrations import Registrations
    from safetok.workflows.agency_names import all_agencies
    from safetok.workflows.agency_rules import known_at, rule_of

    store = Registrations(context.database)
    rows = {row.agency: row for row in store.list(certificate=new.sha256)}
    used = store.used(company_of(new))
    states: dict[str, dict[str, RegistrationState]] = {}

    def known_there(agency: str) -> Fields | None:
        found = known_at(context, agency, old, states) if old is not None else None
        return fields_of(found) if found is not None else None

    return tuple(
        Card(
            agency=agency,
            rule=rule_of(context, agency, new),
            guide=load.agency_guide(agency.name),
            registration=rows.get(agency.name),
            old=known_there(agency.name),
        )
        for agency in all_agencies(store).values()
        if agency.name in rows or (not rows and used.get(agency.name, not agency.added))
    )


def _look(context: Context) -> None:
    """Learn of what is in. Nothing in, or a driver that fails, is no reason not to export what is known."""
    from safetok.workflows import tokens

    with suppress(SafetokError):
        tokens.look(context)


def _chosen(context: Context, selection: Selection) -> Certificate:
    from safetok.domain.certificates import current
    from safetok.domain.companies import company_of

    kept = known.kept(context, selection)
    if not kept:
        raise UsageError(
            _("safetok knows no certificate yet."),
            code="no_certificates",
            hint=_("Plug the token in and run `safetok status` once; after that it is known without the token."),
        )
    if selection.cert:
        return known.one_only(context, (one.certificate for one in kept), data="certificates")
    groups: dict[tuple[str, str], list[Certificate]] = {}
    for one in kept:
        groups.setdefault((company_of(one.certificate), one.token_serial), []).append(one.certificate)
    newest = (current(group) for group in groups.values())
    return known.one_only(context, (one for one in newest if one is not None), data="certificates")


def _files(
    context: Context, new: Certificate, old: Certificate | None, sent: Sequence[bytes]
) -> tuple[dict[str, bytes], bool]:
    """Every file's name and content; `sent` are certificates the CA sent along, believed in nothing."""
    from safetok.reports.fields import text_of
    from safetok.reports.files import certificate_files, stem

    chain, complete = chain_of(context, new, sent)
    files = certificate_files(new, chain)
    if old is not None:
        files |= certificate_files(old, chain_of(context, old, sent)[0])
    # With a byte order mark: Notepad and old office programs show the Vietnamese right.
    files[f"{stem(new)}.txt"] = text_of(new, old, latest=_latest(context, new, old)).encode("utf-8-sig")
    return files, complete


def _latest(context: Context, new: Certificate, old: Certificate | None) -> bool:
    """Whether it may be called the new one: it follows another, and none follows it."""
    return old is not None and successor(context, new) is None


def _kit_files(
    context: Context,
    new: Certificate,
    old: Certificate | None,
    *,
    hthuc: HThuc | None = None,
    confirmed_by: str = "",
) -> dict[str, bytes]:
    """What the kit adds to the certificates; the calendar where something is registered."""
    from safetok.reports.files import stem
    from safetok.reports.kit_files import kit_files

    files = dict(kit_files(kit_of(context, new, old, hthuc=hthuc, confirmed_by=confirmed_by), stem(new)))
    if calendar := _calendar(context, new):
        files[f"{stem(new)}_lich.ics"] = calendar
    return files


def _calendar(context: Context, new: Certificate) -> bytes | None:
    """This certificate's to-dos and waits alone, stamped with the last change, so that the same state is the same file."""
    from safetok.reports import calendar
    from safetok.workflows.agencies import listing
    from safetok.workflows.reminders import agency_entries

    entries = agency_entries(context, listing(context, Selection(cert=new.sha256)))
    return calendar.write(entries, max(entry.changed for entry in entries)) if entries else None


def chain_of(context: Context, leaf: Certificate, sent: Sequence[bytes] = ()) -> tuple[tuple[Certificate, ...], bool]:
    """The chain to an anchor of the certificate's CA, and whether it reaches one; else what is known of it. `sent` are
    certificates the CA sent along, believed in nothing.
    """
    from safetok.store.journal import Journal
    from safetok.store.settings import authority_of, load_pem
    from safetok.trust.path import build_path, moment_of

    renewal = Journal(context.database).renewed_from(leaf.sha256)
    known_cas: list[bytes] = [*sent, *(renewal.chain if renewal else ())]
    try:
        authority = authority_of(leaf, context.settings)
        if authority is not None:
            known_cas += [one.der for path in authority.issuers for one in load_pem(path)]
            anchors = [one for path in authority.anchors for one in load_pem(path)]
            at = moment_of(leaf, context.now())
            return build_path(leaf, intermediates=known_cas, anchors=anchors, at=at), True
    except (NotTrusted, UsageError):
        pass
    return _climbed(leaf, known_cas), False


def _climbed(leaf: Certificate, known_cas: Sequence[bytes]) -> tuple[Certificate, ...]:
    """The leaf and those known CAs that signed it, one by one."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from safetok.domain.certificates import parse
    from safetok.trust.bundle import readable
    from safetok.trust.path import issuer_of

    chain, left = [leaf], readable(known_cas)
    while (found := issuer_of(chain[-1].x509(), left)) is not None:
        left.remove(found)
        chain.append(parse(found.public_bytes(Encoding.DER)))
    return tuple(chain)


def _written(
    context: Context,
    folder: Path,
    files: dict[str, bytes],
    new: Certificate,
    old: Certificate | None,
    *,
    complete: bool,
    force: bool,
    hint: str = "",
) -> Exported:
    from safetok.reports.fields import fields_of
    from safetok.reports.files import write_all
    from safetok.reports.kit import PAGE

    paths = [folder / name for name in files] if context.dry_run else write_all(folder, files, replace=force, hint=hint)
    return Exported(
        folder=folder.absolute(),
        files=tuple(path.absolute() for path in paths),
        new=fields_of(new),
        old=fields_of(old) if old else None,
        complete=complete,
        latest=_latest(context, new, old),
        page=next((path.absolute() for path in paths if path.name.endswith(PAGE)), None),
    )
