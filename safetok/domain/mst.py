"""The tax code (MST) in a certificate's UID, and whether its check digit holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

_PERSONAL = ("CCCD:", "CMND:", "HC:", "CC:")
_PERSONAL_DIGITS = 12

MstVerdict = Literal["valid", "bad_length", "bad_check_digit", "no_check_digit"]


def find_mst(uids: Iterable[str]) -> str | None:
    """The value behind `MST:` in a certificate's UIDs (0.9.2342.19200300.100.1.1 may occur twice); None when there is none."""
    for uid in uids:
        prefix, colon, value = uid.partition(":")
        if colon and prefix.strip().upper() == "MST" and value.strip():
            return value.strip()
    return None


def find_personal_id(uids: Iterable[str]) -> str | None:
    """The UID that names a person (`CCCD:…`, `CMND:…`, `HC:…`), with its prefix; None when there is none."""
    return next((uid for uid in uids if uid.upper().startswith(_PERSONAL)), None)


def verdict(mst: str) -> MstVerdict:
    """What the check digit says of a tax code, by python-stdnum's `stdnum.vn.mst`.

    `no_check_digit`: twelve digits, the personal number that individuals use as tax code since 2025; it carries none.
    """
    from stdnum.exceptions import InvalidFormat, InvalidLength, ValidationError
    from stdnum.vn import mst as stdnum_mst

    digits = mst.replace("-", "").replace(" ", "")
    if digits.isdigit() and len(digits) == _PERSONAL_DIGITS:
        return "no_check_digit"
    try:
        stdnum_mst.validate(mst)
    except (InvalidLength, InvalidFormat):  # ten letters are no ten digits
        return "bad_length"
    except ValidationError:
        return "bad_check_digit"
    return "valid"
