"""`certs check`: what the CAs say now of certificates on tokens, in files and in lists, beside the path to the anchors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safetok.cli.globals import flags
from safetok.cli.run import Outcome, run
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import ExitStatus, SafetokError, first_that_holds
from safetok.locale import _, later
from safetok.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safetok.cli.commands import Commands
    from safetok.cli.render import Screen, Tone
    from safetok.workflows.check_entries import Entry, Meant, Resolved
    from safetok.workflows.checking import Checked
    from safetok.workflows.context import Context

Which = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SERIAL|FILE",
        help=later(
            "Serials of certificates, Token IDs, and files (.cer, .pem, .p7b), as many as wanted; without any, every "
            "current certificate."
        ),
    ),
]
From = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help=later(
            "A list (CSV, text or XLSX): a serial or a file on each line, files beside the list; may be repeated."
        ),
    ),
]
_MANY = 5  # certificates from which on a person is told that it takes a while


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Each certificate's answer, in the order they were named, and what could not be looked up."""

    checked: Sequence[Checked]
    refused: Sequence[SafetokError]


def register(app: Commands) -> None:
    """Add the command to the group `certs`."""
    app.command("check", help=later("Ask the CA now whether certificates are revoked or suspended. No PIN."))(check)


def check(*, which: Which = None, lists: From = None) -> None:
    """OCSP and revocation lists, asked now and remembered for `status`."""

    def work(context: Context) -> Outcome[Found]:
        from safetok.workflows.check_entries import Resolver
        from safetok.workflows.checking import Checking

        resolver = Resolver(context)
        refused: list[SafetokError] = []
        resolved: list[Resolved] = []
        if which or lists:
            resolved = list(resolver.resolve(_entries(context, which or (), lists or (), refused)))
            refused += [one.error for one in resolved if one.error]
            meant = [meant for one in resolved for meant in one.meant]
            if not meant and len(refused) == 1:
                raise refused[0]
        else:
            meant = list(resolver.on_tokens())
        single = _once(meant)
        if len(single) > _MANY:
            context.prompter.say(_("Asking about {n} certificates…").format(n=len(single)))
        checking = Checking(context)
        checked = [checking.check(one) for one in single]
        drivers = resolver.failures()
        status = first_that_holds({error.exit_status for error in [*drivers, *_bad(checked)]})
        if refused:  # part of what was asked for could not even be looked up
            status = ExitStatus.PARTLY if checked else first_that_holds({error.exit_status for error in refused})
        data = {"certificates": [one.data() for one in checked], "entries": [_entry(one) for one in resolved]}
        # A person reads each error beside its certificate: only a program is told in `errors`.
        told = [*refused, *drivers, *(_named(checked) if flags().json else [])]
        return Outcome(Found(checked=checked, refused=refused), data=data, errors=told, exit_status=status)

    run(["certs", "check"], work, show)


def _entries(context: Context, which: Sequence[str], lists: Sequence[Path], refused: list[SafetokError]) -> list[Entry]:
    """What was named, in its order; a list that cannot be read is put in `refused` and stops no other."""
    from safetok.workflows.check_entries import Entry, listed

    entries = [Entry(value=one) for one in which]
    for path in lists:
        try:
            entries += listed(path, context.prompter.warn)
        except SafetokError as error:
            refused.append(error)
    return entries


def _once(meant: Sequence[Meant]) -> list[Meant]:
    found: dict[str, Meant] = {}
    for one in meant:
        found.setdefault(one.certificate.sha256, one)
    return list(found.values())


def _bad(checked: Sequence[Checked]) -> list[SafetokError]:
    return [error for one in checked if (error := one.error)]


def _named(checked: Sequence[Checked]) -> list[SafetokError]:
    """The same for a program, which does not read them under a heading."""
    errors = []
    for one in checked:
        if error := one.error:
            text = _("{certificate}: {message}").format(certificate=_heading(one), message=error.message)
            errors.append(type(error)(text, code=error.code, hint=error.hint, token=error.token))
    return errors


def _heading(one: Checked) -> str:
    return _("{name} · Serial {serial}").format(name=one.certificate.subject_name, serial=one.certificate.serial)


def _entry(one: Resolved) -> dict[str, Any]:
    entry = one.entry
    return {
        "value": entry.value,
        "list_file": str(entry.list) if entry.list else None,
        "line": entry.line,
        "certificates": [meant.certificate.serial for meant in one.meant],
        "error": one.error.code if one.error else None,
    }


def show(found: Found) -> None:
    """Each certificate with what was said of it, its path, and a line that counts them."""
    from safetok.cli.render import screen

    out = screen()
    for one in found.checked:
        _show_one(out, one)
    if len(found.checked) > 1:
        out.line()
        out.line(_counted(found.checked))
    if found.checked and found.refused:
        out.line(_("{n} entries could not be looked up; why is said below.").format(n=len(found.refused)))


def _show_one(out: Screen, one: Checked) -> None:
    error = one.error
    tone: Tone = "good"
    if error is not None:
        tone = "warn" if one.answer.answer is RevocationAnswer.UNKNOWN else "bad"
    out.notice(_heading(one), tone)
    lines = [error.message, error.hint] if error else [_("Not revoked.")]
    for line in (*lines, _reason(one), _asked(one), _path(one)):
        if line:
            out.line(f"  {line}")


def _reason(one: Checked) -> str:
    """Why it was revoked, as the CA has it; a suspension's reason is the suspension."""
    if one.answer.answer is not RevocationAnswer.REVOKED:
        return ""
    reasons = {
        "keyCompromise": _("the key was disclosed"),
        "cACompromise": _("the CA's own key was disclosed"),
        "aACompromise": _("the authority's key was disclosed"),
        "affiliationChanged": _("the subscriber's particulars changed"),
        "superseded": _("another certificate has taken its place"),
        "cessationOfOperation": _("it is no longer used"),
        "privilegeWithdrawn": _("the right to it was withdrawn"),
    }
    told = reasons.get(one.answer.reason)
    if told is None:
        return _("The CA names no reason for it.")
    return _("The CA's reason: {reason} ({code}).").format(reason=told, code=one.answer.reason)


def _asked(one: Checked) -> str:
    """Who said so, and when."""
    from safetok.domain.times import show_instant

    if one.answer.answer is RevocationAnswer.UNKNOWN and one.said is RevocationAnswer.GOOD:
        text = _("The answer of {when} was “not revoked”; with that doubt it proves nothing.")
        return text.format(when=show_instant(one.answer.checked_at))
    sources = {
        "ocsp": _("The CA answered by OCSP at {when}."),
        "crl": _("By the CA's revocation list (CRL) of {of}, looked at {when}."),
    }
    told = sources.get(one.answer.source)
    if told is None or (one.answer.answer is RevocationAnswer.UNKNOWN and one.answer.checked_at == one.asked_at):
        return ""
    of = show_instant(one.answer.produced_at) if one.answer.produced_at else "?"
    text = told.format(when=show_instant(one.answer.checked_at), of=of)
    nobody = _("Now nobody answers.")
    return f"{text} {nobody}" if one.answer.checked_at < one.asked_at else text


def _path(one: Checked) -> str:
    """The CAs up to the anchor; else as far as they are at hand, and why no further."""
    from safetok.domain.times import show_instant

    path, names = one.path, [ca.subject_name for ca in one.path.chain[1:]]
    above = " → ".join(names)
    if not path.anchored:
        if path.reason in one.answer.reason:  # said already
            return _("Path: none; at hand: {path}.").format(path=above) if names else _("Path: none.")
        if names:
            return _("Path: {path} → none: {why}.").format(path=above, why=path.reason)
        return _("Path: none: {why}.").format(why=path.reason)
    anchor = path.chain[-1]
    if not names:
        text = _("Path: it is itself a root that safetok trusts.")
    elif anchor.subject_der == anchor.issuer_der:
        text = _("Path: {path} (a root that safetok trusts).").format(path=above)
    else:
        text = _("Path: {path} (trusted by the settings; no root is named there).").format(path=above)
    if one.in_force:
        return text
    built = _("Built as of {when}, when the certificate was in force.")
    if path.at > one.asked_at:
        built = _("Built as of {when}, when the certificate begins.")
    return f"{text} {built.format(when=show_instant(path.at))}"


def _counted(checked: Sequence[Checked]) -> str:
    count = {answer: sum(one.answer.answer is answer for one in checked) for answer in RevocationAnswer}
    return _(
        "{n} certificates: {good} not revoked, {suspended} suspended, {revoked} revoked, {unknown} could not be checked."
    ).format(n=len(checked), **{str(answer): number for answer, number in count.items()})
