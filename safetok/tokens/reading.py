"""From what workers saw to one Reading: tokens seen twice are one, certificates parsed and paired, all in a settled order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from safetok.domain.certificates import Certificate, current, parse
from safetok.domain.companies import alphabetical
from safetok.domain.tokens import KeyPresence, PinState, StoredCertificate, TokenInfo, TokenReading
from safetok.errors import SafetokError
from safetok.records import dataclass
from safetok.tokens.pairing import presence

# lower-case hex SHA-256 of DERs -> of these, the certificates that were parsed before
Known = Callable[[Collection[str]], Mapping[str, Certificate]]
Parsed = dict[bytes, Certificate | None]  # by DER; None where these bytes are no certificate

_WRITE_PROTECTED, _PIN_SET, _PIN_PAD = 0x2, 0x8, 0x100  # CKF_*, PKCS#11 2.40 section 3.2 (CK_TOKEN_INFO)
_PIN_FLAGS = (
    (0x40000, PinState.LOCKED),
    (0x20000, PinState.FINAL_TRY),
    (0x10000, PinState.COUNT_LOW),
    (0x80000, PinState.TO_BE_CHANGED),
)
_SURENESS = (KeyPresence.PRESENT, KeyPresence.ABSENT, KeyPresence.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Seen:
    """One token as one driver showed it."""

    driver: str
    shown: dict[str, Any]


def token_info(shown: dict[str, Any], drivers: tuple[str, ...], *, readable_only: bool = False) -> TokenInfo:
    """A worker's plain values in safetok's words."""
    flags = shown["flags"]
    state = PinState.OK if flags & _PIN_SET else PinState.NOT_SET
    return TokenInfo(
        serial=shown["serial"],
        label=shown["label"],
        manufacturer=shown["manufacturer"],
        model=shown["model"],
        firmware=shown["firmware"],
        hardware=shown["hardware"],
        pin_state=next((named for flag, named in _PIN_FLAGS if flags & flag), state),
        pin_min=shown["pin_min"],
        pin_max=shown["pin_max"] or None,
        pin_pad=bool(flags & _PIN_PAD),
        write_protected=bool(flags & _WRITE_PROTECTED),
        free_public=shown["free_public"],
        free_private=shown["free_private"],
        drivers=drivers,
        readable_only=readable_only,
    )


def parse_all(seen: Iterable[Seen], parsed: Parsed, known: Known) -> None:
    """Add to `parsed` the certificates seen that are not in it yet."""
    import hashlib

    hashes = {
        hashlib.sha256(der).hexdigest(): der
        for one in seen
        for der, *_rest in one.shown.get("certificates", ())
        if der and der not in parsed
    }
    found = known(hashes) if hashes else {}
    for sha256, der in hashes.items():
        parsed[der] = found[sha256] if sha256 in found else _parsed(der)


def _parsed(der: bytes) -> Certificate | None:
    try:
        return parse(der)
    except SafetokError:
        return None


def merge(seen: Sequence[Seen], parsed: Parsed) -> tuple[TokenReading, ...]:
    """One entry a token. The same serial in two drivers is one token when manufacturer and certificates agree too; a serial
    that is blank, or that two different tokens carry, makes each of them readable only.
    """
    groups: dict[str, list[Seen]] = {}
    for one in seen:
        groups.setdefault(one.shown["serial"], []).append(one)
    readings: list[TokenReading] = []
    for serial, views in groups.items():
        if serial and _one_token(views):
            readings.append(_reading(views, parsed, readable_only=False))
        else:
            readings += [_reading([view], parsed, readable_only=True) for view in views]
    return tuple(sorted(readings, key=_order))


def _one_token(views: Sequence[Seen]) -> bool:
    drivers = [view.driver for view in views]
    if len(set(drivers)) < len(drivers):
        return False
    whole = [view.shown for view in views if "error" not in view.shown]
    return len({(s["manufacturer"], frozenset(c[0] for c in s["certificates"])) for s in whole}) <= 1


def _reading(views: Sequence[Seen], parsed: Parsed, *, readable_only: bool) -> TokenReading:
    best = next((view for view in views if "error" not in view.shown), views[0])
    drivers = (best.driver, *(view.driver for view in views if view is not best))
    stored, unreadable = [], 0
    for der, cka_id, label, _handle in best.shown.get("certificates", ()):
        certificate = parsed.get(der) if der else None
        if certificate is None:
            unreadable += 1
            continue
        answers = [
            presence(certificate.spki, cka_id, view.shown["keys"]) for view in views if "error" not in view.shown
        ]
        key, by_id = min(answers, key=lambda answer: (_SURENESS.index(answer[0]), answer[1]))
        stored.append(
            StoredCertificate(certificate=certificate, cka_id=cka_id, label=label, key=key, key_by_id_only=by_id)
        )
    return TokenReading(
        info=token_info(best.shown, drivers, readable_only=readable_only),
        certificates=tuple(stored),
        unreadable=unreadable,
        unread="error" in best.shown,
    )


def _order(reading: TokenReading) -> tuple[bool, str, str]:
    newest = current(_all(reading.certificates))
    name = newest.subject_name if newest else ""
    return not name, alphabetical(name), reading.info.serial


def _all(stored: Iterable[StoredCertificate]) -> Iterable[Certificate]:
    return (one.certificate for one in stored)
