"""`doctor`: looks at everything a renewal needs, and says for each thing that is not right the one next step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.times import show_instant
from safetok.domain.tokens import KeyPresence, PinState
from safetok.errors import ExitStatus, SafetokError
from safetok.locale import _
from safetok.log import note
from safetok.records import dataclass
from safetok.workflows import doctor_state as state
from safetok.workflows import machine_clock
from safetok.workflows.doctor_findings import Finding

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.domain.tokens import Reading, TokenReading
    from safetok.tokens.drivers import DriverFile
    from safetok.workflows.context import Context
    from safetok.workflows.doctor_findings import Grade
    from safetok.workflows.pins import PinSource


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the operating system tells of itself; tests name others."""

    sysfs: Path = Path("/sys")
    run: Path = Path("/run")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything found, the gravest first, and the drivers that were tried."""

    findings: tuple[Finding, ...]
    drivers: tuple[DriverFile, ...]
    reading: Reading | None

    @property
    def exit_status(self) -> ExitStatus:
        """11 where something keeps safetok from working; remarks and warnings alone are 0."""
        return ExitStatus.ACT if any(one.grade == "bad" for one in self.findings) else ExitStatus.DONE

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "findings": [one.data() for one in self.findings],
            "drivers": [{"path": one.path, "source": one.source} for one in self.drivers],
        }


_GRAVITY = ("bad", "warn", "info", "good")


def examine(
    context: Context,
    *,
    serial: str | None = None,
    pin: PinSource | None = None,
    offline: bool = False,
    places: Places | None = None,
) -> Examination:
    """Look at everything. A check that fails is itself a finding and stops no other.

    With `serial` that token is logged in to with `pin`, and its keys are looked at; what logging in raises is raised.
    """
    places = places or Places()
    found: list[Finding] = []

    def check(what: Callable[[], Iterator[Finding]]) -> None:
        try:
            found.extend(what())
        except SafetokError as error:
            found.append(Finding(code=error.code, grade="bad", text=error.message, step=error.hint))
        except Exception as error:  # noqa: BLE001  (the one thing that must not end an examination)
            note("doctor", detail=True, error=error)
            text = _("One check could not be made ({kind}).").format(kind=type(error).__name__)
            step = _("Run it again with --log-file FILE and send that file to the developers; it holds no PIN.")
            found.append(Finding(code="check_failed", grade="warn", text=text, step=step))

    files: list[DriverFile] = []
    readings: list[Reading] = []
    check(lambda: state.settings(context))
    check(lambda: state.language(places.environ))
    check(lambda: state.folder(context))
    check(lambda: _drivers(context, places, files, readings))
    reading = readings[0] if readings else None
    check(lambda: _usb(places, reading))
    if reading is not None:
        check(lambda: _tokens(context, reading))
    check(lambda: state.pins(context, reading))
    for look in (state.rules, state.journal, state.past, state.keyring, state.lists):
        check(lambda look=look: look(context))  # type: ignore[misc]
    authorities = _authorities(context, reading)
    check(lambda: _endpoints(authorities))
    if not offline:
        check(lambda: _clock(context, authorities))
    check(lambda: state.completions(places.environ))
    if serial is not None and pin is not None:
        found += _keys(context, serial, pin)
    elif reading is not None:
        found += _needs_pin(reading)
    told: dict[tuple[str, str], Finding] = {}  # the gravest of equals
    for one in sorted(found, key=lambda one: _GRAVITY.index(one.grade)):
        told.setdefault((one.code, one.text), one)
    return Examination(findings=tuple(told.values()), drivers=tuple(files), reading=reading)


def _drivers(context: Context, places: Places, files: list[DriverFile], readings: list[Reading]) -> Iterator[Finding]:
    """Each driver: whether it can be loaded here at all, and what it shows. Needs nothing of the state."""
    from safetok.knowledge import load
    from safetok.tokens.drivers import find_drivers
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.tokens import driver_step

    files += find_drivers(
        module=context.module, configured=context.settings.modules, known=load.drivers(), environ=places.environ
    )
    if not files:
        yield Finding(
            code="no_driver",
            grade="bad",
            text=_("No driver (PKCS#11) was found on this computer."),
            step=_("Install the token's own program, or name its driver: `safetok status --module FILE`."),
        )
        return
    with Tokens(files, locks=context.settings.home.locks, clock=context.clock) as tokens:
        reading = tokens.read()
    readings.append(reading)
    failed = {failure.driver for failure in reading.failed}
    for failure in reading.failed:
        words = {
            "timed_out": _("The driver {driver} hangs ({why})."),
            "crashed": _("The driver {driver} crashes ({why})."),
        }
        text = words.get(failure.code, _("The driver {driver} cannot be used: {why}."))
        yield Finding(
            code=f"driver_{failure.code}",
            grade="bad",
            text=text.format(driver=failure.driver, why=failure.detail),
            step=driver_step(failure.code),
            about=failure.driver,
        )
    for file in files:
        if file.path not in failed:
            count = sum(file.path in token.info.drivers for token in reading.tokens)
            text = _("Driver {driver}: {n} tokens").format(driver=file.path, n=count)
            yield Finding(code="driver", grade="good", text=text, about=file.path)
    if not reading.tokens and len(failed) < len(files):
        yield Finding(
            code="no_token",
            grade="warn",
            text=_("No USB token seen."),
            step=_("Plug the USB token into the computer and run it again, or `safetok tokens --wait 60`."),
        )


def _usb(places: Places, reading: Reading | None) -> Iterator[Finding]:
    from safetok.workflows.doctor_usb import devices, findings

    return findings(devices(places.sysfs), reading, places.run)


def _tokens(context: Context, reading: Reading) -> Iterator[Finding]:
    """What the tokens say of themselves, without a PIN."""
    for token in reading.tokens:
        yield from _token(token, came=_came(context, token) if token.empty else "")


def _came(context: Context, token: TokenReading) -> str:
    """What to do about a token without a certificate; a state that cannot be read is a finding of its own."""
    from safetok.workflows.dossier_choice import BEGIN, token_came

    try:
        return token_came(context, token.info.serial)
    except SafetokError:
        return BEGIN


def _token(token: TokenReading, *, came: str) -> Iterator[Finding]:
    info = token.info
    serial = info.serial or "?"
    if info.readable_only:
        text = _("More than one token says its Token ID is {serial}, or it is blank: safetok only reads such tokens.")
        step = _("Leave only one of them in, or name its driver with --module.")
        yield Finding(code="doubled_serial", grade="bad", text=text.format(serial=serial), step=step, about=serial)
    if info.pin_state is PinState.LOCKED:
        text = _("The PIN of the USB token is locked. Token ID {serial}.").format(serial=serial)
        yield Finding(code="pin_locked", grade="bad", text=text, step="safetok contacts", about=serial)
    elif info.pin_state is PinState.FINAL_TRY:
        text = _("THERE MAY BE ONLY ONE TRY LEFT for the PIN of token {serial}. One more wrong PIN locks it.")
        step = _("Ask the person who holds the PIN before the next try.")
        yield Finding(code="pin_final_try", grade="warn", text=text.format(serial=serial), step=step, about=serial)
    if token.empty:
        text = _(
            "The USB token {serial} holds no certificate. If it has just come from LCS, that is normal: do not type a PIN."
        )
        yield Finding(code="no_certificate", grade="info", text=text.format(serial=serial), step=came, about=serial)
    if info.write_protected:
        text = _("The USB token {serial} is write-protected.").format(serial=serial)
        step = _("A certificate cannot be written to it: ask its CA. See: safetok contacts")
        yield Finding(code="write_protected", grade="warn", text=text, step=step, about=serial)
    if token.unreadable:
        text = _("Token {serial} holds {n} certificate objects that cannot be read.")
        step = _("They are left alone. If a certificate is missing, ask its CA: safetok contacts")
        text = text.format(serial=serial, n=token.unreadable)
        yield Finding(code="unreadable_certificates", grade="warn", text=text, step=step, about=serial)
    for stored in token.certificates:
        if stored.key is KeyPresence.ABSENT and not stored.certificate.is_ca:
            yield _without_key(stored.certificate, serial)


def _without_key(certificate: Certificate, serial: str, grade: Grade = "warn") -> Finding:
    text = _("The key of certificate {cert} is not on token {serial}: it cannot sign there.")
    text = text.format(cert=certificate.serial, serial=serial)
    step = _("Sign with the token that holds the key; nothing needs to be removed.")
    return Finding(code="certificate_without_key", grade=grade, text=text, step=step, about=serial)


def _authorities(context: Context, reading: Reading | None) -> dict[str, tuple[Authority | None, Certificate]]:
    """The CAs of the certificates at hand, by name (an unknown one by its issuer's), with one certificate of each."""
    from safetok.store.settings import authority_of

    found: dict[str, tuple[Authority | None, Certificate]] = {}
    for token in reading.tokens if reading else ():
        for stored in token.certificates:
            if stored.certificate.is_ca:
                continue
            try:
                authority = authority_of(stored.certificate, context.settings)
            except SafetokError:  # a file of the settings that cannot be read: told by whoever needs it
                authority = None
            found.setdefault(
                authority.name if authority else stored.certificate.issuer_name, (authority, stored.certificate)
            )
    return found


def _endpoints(authorities: dict[str, tuple[Authority | None, Certificate]]) -> Iterator[Finding]:
    from safetok.knowledge import load

    for authority, certificate in authorities.values():
        if authority is None:
            text = _("safetok does not know the CA {issuer}: a certificate it sends could not be checked.")
            step = _(
                "Name it in settings.toml: [authorities.NAME] with `issuers` and `anchors`; or renew in its own program."
            )
            text = text.format(issuer=certificate.issuer_name)
            yield Finding(code="authority_unknown", grade="info", text=text, step=step, about=certificate.issuer_name)
        elif not authority.has_endpoint:
            text = _(
                "No address of {ca}'s top-up server is configured (it is not public): safetok cannot renew there itself."
            )
            step = load.notices()["manager"].text if authority.name == "safe-ca" else "safetok renew --csr FILE"
            text = text.format(ca=authority.title)
            yield Finding(code="endpoint_not_configured", grade="info", text=text, step=step, about=authority.name)


def _clock(context: Context, authorities: dict[str, tuple[Authority | None, Certificate]]) -> Iterator[Finding]:
    """The CA's own Date header (RFC 9110 section 6.6.1) against this computer's clock; any answer will do."""
    for authority, _certificate in authorities.values():
        url = authority and (authority.offers_url or authority.url)
        if not authority or not url:
            continue
        try:
            answer = context.http.ca("GET", url, tls_ca=authority.tls_ca)
        except SafetokError as error:
            step = error.hint or _("Look at the network, the proxy (HTTPS_PROXY) and the address in settings.toml.")
            yield Finding(code=error.code, grade="warn", text=error.message, step=step, about=url)
            continue
        there, now = answer.date, context.now()
        if there is None:
            continue
        if abs(now - there) > machine_clock.AHEAD:
            text = _("The computer's clock says {now}, {ca} says {there}.")
            yield state.clock_wrong(
                text.format(now=show_instant(now), ca=authority.title, there=show_instant(there)), about=url
            )
        else:
            text = _("{ca} answers, and its clock agrees with this computer's.").format(ca=authority.title)
            yield Finding(code="clock", grade="good", text=text, about=url)


def _needs_pin(reading: Reading) -> Iterator[Finding]:
    """Orphan keys; not of tokens without a certificate, which are never asked a PIN."""
    serials = [token.info.serial for token in reading.tokens if token.certificates and not token.info.readable_only]
    if not serials:
        return
    yield Finding(
        code="keys_need_pin",
        grade="info",
        text=_("Keys that belong to no certificate can only be seen with the PIN; it was not asked for."),
        step=f"safetok doctor --serial {serials[0]}",
    )


def _keys(context: Context, serial: str, pin: PinSource) -> Iterator[Finding]:
    """After a login: certificates without their private key (that of one to sign with keeps safetok from working), keys that no
    certificate on the token uses, and halves without their other half.
    """
    from safetok.store.journal import Journal
    from safetok.store.settings import authority_of
    from safetok.workflows.certs import current_ones
    from safetok.workflows.pins import log_in

    with context.tokens() as tokens, tokens.session(serial) as session:
        before = [stored.certificate for stored in session.certificates() if not stored.certificate.is_ca]
        if not before:  # one that has just come from its CA looks so: nobody types a PIN into it
            return
        newest = max(before, key=lambda one: one.not_before, default=None)
        authority = authority_of(newest, context.settings) if newest else None
        log_in(context, session, pin, name=newest.subject_name if newest else serial, authority=authority)
        certificates, keys = session.certificates(), session.keys()
    spkis = {stored.certificate.spki for stored in certificates}
    ids = {stored.cka_id for stored in certificates if stored.cka_id}
    running = {renewal.key_label for renewal in Journal(context.database).unfinished(serial)}
    quiet = True
    signing = current_ones(before)
    for certificate in before:
        ids_of_it = {stored.cka_id for stored in certificates if stored.certificate == certificate}
        if not any(
            key.private and (key.spki == certificate.spki or (key.spki is None and key.cka_id in ids_of_it))
            for key in keys
        ):
            quiet = False
            yield _without_key(certificate, serial, "bad" if certificate.sha256 in signing else "warn")
    for key in keys:
        if key.spki in spkis or (key.spki is None and key.cka_id in ids) or key.label in running:
            continue
        quiet = False
        name = key.label or key.cka_id.hex() or "?"
        text = _("Token {serial}: the key {name} ({kind}) belongs to no certificate on it.")
        if not (key.private and key.public):
            text = _("Token {serial}: the key {name} ({kind}) stands alone, without its other half or a certificate.")
        step = _(
            "It does no harm and takes some room; safetok leaves it alone. Its certificate may be on its way: safetok history"
        )
        text = text.format(serial=serial, name=name, kind=key.key_type)
        yield Finding(code="orphan_key", grade="info", text=text, step=step, about=serial)
    if quiet:
        text = _("Token {serial}: every key belongs to a certificate or to a renewal under way.").format(serial=serial)
        yield Finding(code="keys", grade="good", text=text, about=serial)
