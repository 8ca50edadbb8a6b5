"""The tokens that are in: one look at them without a PIN, waiting for one, and what a person says of one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from safetok.domain.tokens import Kind, PinState
from safetok.errors import DriverFailed, NoToken, SafetokError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.tokens import DriverFailure, Reading, TokenInfo
    from safetok.workflows.certs import CertificateView
    from safetok.workflows.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """One token and everything known of it. `tries` are PIN tries since the last good one that failed or whose end is unknown."""

    info: TokenInfo
    kind: Kind
    kind_reason: str
    note: str
    tries: int
    certificates: tuple[CertificateView, ...]
    unreadable: int
    unread: bool = False

    @property
    def empty(self) -> bool:
        """Whether the look has shown that no certificate is on it."""
        return not (self.certificates or self.unreadable or self.unread)

    @property
    def company(self) -> str:
        """Whose token it is, by its first current certificate; empty without one."""
        return self.certificates[0].certificate.subject_name if self.certificates else ""

    @property
    def mst(self) -> str:
        return (self.certificates[0].certificate.mst or "") if self.certificates else ""

    @property
    def companies(self) -> tuple[tuple[str, str], ...]:
        """Name and MST of each company whose certificate it carries; mostly one."""
        from safetok.domain.companies import company_of

        found: dict[str, tuple[str, str]] = {}
        for view in self.certificates:
            one = view.certificate
            found.setdefault(company_of(one), (one.subject_name, one.mst or ""))
        return tuple(found.values())

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        info = self.info
        return {
            "serial": info.serial,
            "label": info.label,
            "company": self.company,
            "mst": self.mst or None,
            "kind": self.kind,
            "kind_reason": self.kind_reason,
            "note": self.note,
            "manufacturer": info.manufacturer,
            "model": info.model,
            "firmware": info.firmware,
            "hardware": info.hardware,
            "drivers": info.drivers,
            "pin_state": info.pin_state,
            "pin_tries_spent": self.tries,
            "pin_pad": info.pin_pad,
            "write_protected": info.write_protected,
            "readable_only": info.readable_only,
            "unreadable": self.unreadable,
            "unread": self.unread,
            "certificates": [view.data() for view in self.certificates],
        }


def look(context: Context) -> Reading:
    """What is in now, kept in the inventory. No login, no PIN, no network."""
    with context.tokens() as tokens:
        return _kept(context, tokens.read())


def wait(context: Context, seconds: float) -> Reading:
    """As `look`, but an empty answer is given only after `seconds`: the first token that appears ends the wait."""
    until = context.now() + timedelta(seconds=seconds)
    context.prompter.say(_("Waiting for a USB token, up to {n} seconds…").format(n=f"{seconds:g}"))
    with context.tokens() as tokens:
        reading = None
        for reading in tokens.insertions(until=until):
            if reading.tokens:
                break
        return _kept(context, reading if reading is not None else tokens.read())


def _kept(context: Context, reading: Reading) -> Reading:
    from safetok.store.inventory import Inventory

    if not context.dry_run:
        Inventory(context.database).record(reading, context.now())
    return reading


def views(context: Context, reading: Reading) -> tuple[TokenView, ...]:
    """Every token of a reading with its kind, note and certificates."""
    from safetok.domain.kinds import decide
    from safetok.store.inventory import Inventory
    from safetok.store.pins import PinLog
    from safetok.workflows.certs import Views

    serials = [token.info.serial for token in reading.tokens]
    words, tries = Inventory(context.database).words(serials), PinLog(context.database).counts(serials)
    found = []
    for token, certificates in zip(reading.tokens, Views(context).of_tokens(reading.tokens), strict=True):
        serial = token.info.serial
        said, note = words.get(serial, (None, ""))
        kind, reason = decide(token.info, context.settings.kind_rules, said)
        found.append(
            TokenView(
                info=token.info,
                kind=kind,
                kind_reason=reason,
                note=note,
                tries=tries.get(serial, 0),
                certificates=certificates,
                unreadable=token.unreadable,
                unread=token.unread,
            )
        )
    return tuple(found)


def problems(reading: Reading) -> list[SafetokError]:
    """What a look could not give: `failures`, and NoToken when no token is in."""
    found = failures(reading)
    if not reading.tokens:
        found.append(no_token(reading))
    return found


def failures(reading: Reading) -> list[SafetokError]:
    """A DriverFailed for each driver that failed. One that nobody named and that cannot be used is none where tokens are seen:
    see `notes`.
    """
    return [driver_failed(failure, reading) for failure in reading.failed if failure.named or not reading.tokens]


def notes(reading: Reading) -> list[str]:
    """Drivers that safetok found by itself and could not use, while others showed tokens (OpenSC without its service)."""
    text = _("Driver not used: {driver} ({why}). A token that needs it is not shown.")
    return [
        text.format(driver=failure.driver, why=failure.detail)
        for failure in reading.failed
        if reading.tokens and not failure.named
    ]


def driver_failed(failure: DriverFailure, reading: Reading) -> DriverFailed:
    """A driver's failure as an error; that others went on is said where any did."""
    text = _("The driver {driver} failed: {why}.")
    if reading.drivers:
        text = _("The driver {driver} failed ({why}); the others went on.")
    return DriverFailed(
        text.format(driver=failure.driver, why=failure.detail),
        code=failure.code,
        hint=driver_step(failure.code),
    )


def driver_step(code: str) -> str:
    """What to do about a driver that failed in this way."""
    steps = {
        "wrong_bitness": _(
            "Install the maker's driver of the other bitness, or run safetok by a Python of that bitness."
        ),
        "wrong_system": _("Install the maker's driver for this operating system."),
        "wrong_processor": _("Install the maker's driver for this computer's processor."),
        "no_library": _(
            "Name the driver's own file (.so, .dll, .dylib) with --module, SAFETOK_MODULE or in settings.toml."
        ),
    }
    usual = _("Plug the token in again, or install the driver of its maker anew; another one is named with --module.")
    return steps.get(code, usual)


def no_token(reading: Reading) -> NoToken:
    """Nothing is in: the next step, another one where no driver was found at all."""
    if not reading.drivers and not reading.failed:
        return NoToken(
            _("No USB token seen: no driver (PKCS#11) was found on this computer."),
            code="no_driver",
            hint=_("Install the token's own program, or name its driver: `safetok status --module FILE`."),
        )
    return NoToken(
        _("No USB token seen."),
        hint=_(
            "Plug the USB token in and run it again, or `safetok tokens --wait 60`. Still not seen: `safetok doctor`."
        ),
    )


def set_kind(context: Context, serial: str, kind: Kind) -> TokenInfo:
    """Remember what a person sees. Returns the token as last seen. Raises NoToken for one that was never seen and is not in."""
    from safetok.store.inventory import Inventory

    info = _known(context, serial)
    Inventory(context.database).set_kind(info.serial, kind)
    return info


def set_note(context: Context, serial: str, note: str) -> TokenInfo:
    """Remember a note; an empty one forgets. Raises NoToken for a token that was never seen and is not in."""
    from safetok.store.inventory import Inventory

    info = _known(context, serial)
    Inventory(context.database).set_note(info.serial, note)
    return info


def _known(context: Context, serial: str) -> TokenInfo:
    from safetok.store.inventory import Inventory

    known = Inventory(context.database).token(serial.strip())
    if known is not None:
        return known.info
    reading = look(context)
    for token in reading.tokens:
        if token.info.serial == serial.strip() and not token.info.readable_only:
            return token.info
    raise NoToken(
        _("Token {serial} is not in, and was never seen on this computer.").format(serial=serial),
        code="unknown_token",
        hint=_("The Token ID is what `safetok tokens` shows."),
        token=serial,
    )


def pin_needs_care(state: PinState) -> bool:
    """Whether the token's flags say that its PIN is locked, or one wrong try from it."""
    return state in {PinState.FINAL_TRY, PinState.LOCKED}
