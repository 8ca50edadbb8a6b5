"""What the worker sees of a token without a PIN, as plain values for a frame."""

from __future__ import annotations

from safetok.tokens import cryptoki as ck
from safetok.tokens import standard as std
from safetok.tokens.der import ec_spki, rsa_spki

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


CKF_TOKEN_INITIALIZED = 0x400
UNLIMITED_32 = 0xFFFFFFFF  # what drivers built for 32 bits say where they mean CK_UNAVAILABLE_INFORMATION


def _text(field: Any) -> str:
    return bytes(field).decode("utf-8", "replace").rstrip(" \0")


def _number(value: int) -> int | None:
    return None if value in {std.UNAVAILABLE, UNLIMITED_32} else int(value)


def token(info: std.TokenInfo) -> dict[str, Any]:
    """CK_TOKEN_INFO as plain values."""
    return {
        "serial": _text(info.serial).strip(),
        "label": _text(info.label),
        "manufacturer": _text(info.manufacturer),
        "model": _text(info.model),
        "firmware": f"{info.firmware.major}.{info.firmware.minor}",
        "hardware": f"{info.hardware.major}.{info.hardware.minor}",
        "flags": int(info.flags),
        "pin_min": _number(info.min_pin),
        "pin_max": _number(info.max_pin),
        "free_public": _number(info.free_public),
        "free_private": _number(info.free_private),
    }


def tokens(module: ck.Module) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each slot's token; one that cannot be asked comes with `error` (and is blank). An uninitialised, nameless one is left out."""
    for slot in module.slots():
        try:
            info = module.token_info(slot)
        except ck.CryptokiError as error:
            if error.name not in {"TOKEN_NOT_PRESENT", "TOKEN_NOT_RECOGNIZED", "DEVICE_REMOVED", "SLOT_ID_INVALID"}:
                yield slot, {"error": error.name}
            continue
        shown = token(info)
        if shown["serial"] or info.flags & CKF_TOKEN_INITIALIZED:
            yield slot, shown


def objects(module: ck.Module, session: int, *, logged_in: bool = True) -> dict[str, Any]:
    """Certificates and keys that `session` may see: `certificates` [der or None, id, label, handle], `keys` as `_key` says.

    Without a login private keys are mostly hidden: they are searched for only where a certificate's key is not seen yet.
    """
    held = certificates(module, session)
    keys = _keys(module, session, private=False)
    if logged_in or not all(der and any(key["spki"] and key["spki"] in der for key in keys) for der, *_ in held):
        keys += _keys(module, session, private=True)
    return {"certificates": held, "keys": keys}


def certificates(module: ck.Module, session: int) -> list[list[Any]]:
    """Each certificate object: its value or None, CKA_ID, label and handle."""
    found: list[list[Any]] = []
    for handle in module.find(session, std.CKO_CERTIFICATE):
        read = module.attributes(session, handle, (std.CKA_VALUE, std.CKA_ID, std.CKA_LABEL))
        found.append([read.get(std.CKA_VALUE) or None, read.get(std.CKA_ID, b""), _label(read), handle])
    return found


def _label(read: dict[int, bytes]) -> str:
    return read.get(std.CKA_LABEL, b"").decode("utf-8", "replace").rstrip("\0")


def _keys(module: ck.Module, session: int, *, private: bool) -> list[dict[str, Any]]:
    try:
        handles = module.find(session, std.CKO_PRIVATE_KEY if private else std.CKO_PUBLIC_KEY)
    except ck.CryptokiError:
        return []
    return [_key(module, session, handle, private=private) for handle in handles]


_USUAL = (std.CKA_MODULUS, std.CKA_PUBLIC_EXPONENT, std.CKA_KEY_TYPE, std.CKA_ID, std.CKA_LABEL)


def _key(module: ck.Module, session: int, handle: int, *, private: bool) -> dict[str, Any]:
    """A key object: `private`, `handle`, `id`, `label`, `type` (CKK or None), `spki` or None, `ec_params`, and `asks`
    (CKA_ALWAYS_AUTHENTICATE). Asked as if it were RSA, which most are: one call.
    """
    read = module.attributes(session, handle, (*_USUAL, std.CKA_ALWAYS_AUTHENTICATE) if private else _USUAL)
    kind = int.from_bytes(read[std.CKA_KEY_TYPE], std.BYTE_ORDER) if std.CKA_KEY_TYPE in read else None
    spki, ec_params = None, b""
    if kind == std.CKK_RSA and read.get(std.CKA_MODULUS):
        spki = rsa_spki(read[std.CKA_MODULUS], read.get(std.CKA_PUBLIC_EXPONENT) or b"\1\0\1")
    elif kind == std.CKK_EC:
        more = module.attributes(
            session, handle, (std.CKA_EC_PARAMS,) if private else (std.CKA_EC_PARAMS, std.CKA_EC_POINT)
        )
        ec_params = more.get(std.CKA_EC_PARAMS, b"")
        if more.get(std.CKA_EC_POINT):
            spki = ec_spki(ec_params, more[std.CKA_EC_POINT])
    if private and spki is None:
        spki = module.attributes(session, handle, (std.CKA_PUBLIC_KEY_INFO,)).get(std.CKA_PUBLIC_KEY_INFO) or None
    return {
        "private": private,
        "handle": handle,
        "id": read.get(std.CKA_ID, b""),
        "label": _label(read),
        "type": kind,
        "spki": spki,
        "ec_params": ec_params,
        "asks": read.get(std.CKA_ALWAYS_AUTHENTICATE, b"\0")[:1] == b"\1",
    }


def read(module: ck.Module, listed: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Each token of `listed` (as `tokens`) with what it holds: `token`'s values, and `objects`' or `error`. One bad slot costs its
    own rows only.
    """
    for slot, about in listed:
        shown = about
        if "error" not in shown:
            try:
                session = module.open_session(slot)
                try:
                    shown = about | objects(module, session, logged_in=False)
                finally:
                    module.close_session(session)
            except ck.CryptokiError as error:
                shown = about | {"error": error.name}
        yield shown
