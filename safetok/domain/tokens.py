"""A token as PKCS#11 shows it: its identity is the serial, never a slot number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum

from safetok.domain.certificates import Certificate
from safetok.records import dataclass


class Kind(StrEnum):
    """The generation of a SAFE-CA token; UNKNOWN is an honest answer."""

    V1 = "V1"  # grey
    V2 = "V2"  # white
    UNKNOWN = "UNKNOWN"


class PinState(StrEnum):
    """What the token's own flags say of its user PIN (CK_TOKEN_INFO); some drivers never set them."""

    OK = "ok"
    TO_BE_CHANGED = "to_be_changed"
    COUNT_LOW = "count_low"
    FINAL_TRY = "final_try"
    LOCKED = "locked"
    NOT_SET = "not_set"


class KeyPresence(StrEnum):
    """Whether the private key of a certificate is on the token, as far as can be told without a PIN."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown_without_pin"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """CK_TOKEN_INFO in safetok's words. Sizes are bytes; None where the driver does not tell."""

    serial: str  # Token ID, stripped; blank or doubled ones are read only
    label: str
    manufacturer: str
    model: str
    firmware: str  # "16.50"
    hardware: str
    pin_state: PinState
    pin_min: int | None
    pin_max: int | None
    pin_pad: bool  # CKF_PROTECTED_AUTHENTICATION_PATH
    write_protected: bool
    free_public: int | None
    free_private: int | None
    drivers: tuple[str, ...]  # real paths of the modules that show this token
    readable_only: bool = False  # blank or doubled serial: never logged in to


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCertificate:
    """One certificate object on a token."""

    certificate: Certificate
    cka_id: bytes
    label: str
    key: KeyPresence
    key_by_id_only: bool = False  # paired by CKA_ID alone: a hint, not a proof


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReading:
    """What one look at a token showed, without a PIN."""

    info: TokenInfo
    certificates: tuple[StoredCertificate, ...]
    unreadable: int = 0  # certificate objects that could not be read or parsed
    unread: bool = False  # its driver saw it and could not look into it: what it holds is not known

    @property
    def empty(self) -> bool:
        """Whether the look has shown that no certificate is on it."""
        return not (self.certificates or self.unreadable or self.unread)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFailure:
    """A driver that could not be used; the others went on."""

    driver: str
    code: (
        str  # not_loadable | wrong_bitness | wrong_system | wrong_processor | no_library | crashed | timed_out | pkcs11
    )
    detail: str
    named: bool = (
        True  # by the user or settings; False: safetok found the file itself, and nothing may be missing without it
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one look at every driver showed, ordered by company name, then serial."""

    tokens: tuple[TokenReading, ...]
    failed: tuple[DriverFailure, ...] = ()
    drivers: tuple[str, ...] = field(default=())  # modules that answered


def nearly(written: str, serials: Iterable[str]) -> str:
    """The token whose serial differs from what is written in no more than case, spaces, hyphens and leading zeros; "" for none."""

    def bare(serial: str) -> str:
        return "".join(letter for letter in serial.casefold() if letter.isalnum()).lstrip("0")

    wanted = bare(written)
    return next((serial for serial in serials if wanted and bare(serial) == wanted), "")
