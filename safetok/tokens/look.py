"""What the worker sees of a token without a PIN, as plain values for a frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from safetok.tokens import cryptoki as ck
from safetok.tokens.der import ec_spki, rsa_spki

CKF_TOKEN_INITIALIZED = 0x400
UNLIMITED_32 = 0xFFFFFFFF  # what drivers built for 32 bits say where they mean CK_UNAVAILABLE_INFORMATION


def _text(field: Any) -> str:
    return bytes(field).decode("utf-8", "replace").rstrip(" \0")


def _number(value: int) -> int | None:
    return None if value in {ck.UNAVAILABLE, UNLIMITED_32} else int(value)


def token(info: ck.TokenInfo) -> dict[str, Any]:
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


def objects(module: ck.Module, session: int) -> dict[str, Any]:
    """Certificates and keys that `session` may see: `certificates` [der or None, id, label], `keys` as `_keys` says."""
    certificates = []
    for handle in module.find(session, ck.CKO_CERTIFICATE):
        try:
            read = module.attributes(session, handle, (ck.CKA_VALUE, ck.CKA_ID, ck.CKA_LABEL))
        except ck.CryptokiError:
            read = {}
        certificates.append([read.get(ck.CKA_VALUE) or None, read.get(ck.CKA_ID, b""), _label(read), handle])
    return {"certificates": certificates, "keys": [*_keys(module, session, private=False), *_keys(module, session)]}


def _label(read: dict[int, bytes]) -> str:
    return read.get(ck.CKA_LABEL, b"").decode("utf-8", "replace").rstrip("\0")


def _keys(module: ck.Module, session: int, *, private: bool = True) -> Iterator[dict[str, Any]]:
    """Each key object: `private`, `handle`, `id`, `label`, `type` (CKK or None), `spki` or None, `ec_params`, and `asks`
    (CKA_ALWAYS_AUTHENTICATE).
    """
    try:
        handles = module.find(session, ck.CKO_PRIVATE_KEY if private else ck.CKO_PUBLIC_KEY)
    except ck.CryptokiError:
        return
    for handle in handles:
        read = module.attributes(session, handle, (ck.CKA_KEY_TYPE, ck.CKA_ID, ck.CKA_LABEL))
        kind = int.from_bytes(read[ck.CKA_KEY_TYPE], ck.BYTE_ORDER) if ck.CKA_KEY_TYPE in read else None
        key: dict[str, Any] = {
            "private": private,
            "handle": handle,
            "id": read.get(ck.CKA_ID, b""),
            "label": _label(read),
            "type": kind,
            "spki": None,
            "ec_params": b"",
            "asks": False,
        }
        if kind == ck.CKK_RSA:
            more = module.attributes(session, handle, (ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT))
            if more.get(ck.CKA_MODULUS):
                key["spki"] = rsa_spki(more[ck.CKA_MODULUS], more.get(ck.CKA_PUBLIC_EXPONENT) or b"\1\0\1")
        elif kind == ck.CKK_EC:
            more = module.attributes(
                session, handle, (ck.CKA_EC_PARAMS,) if private else (ck.CKA_EC_PARAMS, ck.CKA_EC_POINT)
            )
            key["ec_params"] = more.get(ck.CKA_EC_PARAMS, b"")
            if more.get(ck.CKA_EC_POINT):
                key["spki"] = ec_spki(key["ec_params"], more[ck.CKA_EC_POINT])
        if private:
            more = module.attributes(session, handle, (ck.CKA_ALWAYS_AUTHENTICATE,))
            key["asks"] = more.get(ck.CKA_ALWAYS_AUTHENTICATE, b"\0")[:1] == b"\1"
            if key["spki"] is None:
                info = module.attributes(session, handle, (ck.CKA_PUBLIC_KEY_INFO,))
                key["spki"] = info.get(ck.CKA_PUBLIC_KEY_INFO) or None
        yield key


def read(module: ck.Module) -> Iterator[dict[str, Any]]:
    """Each token with what it holds: `token`'s values, and `objects`' or `error`. One bad slot costs its own rows only."""
    for slot, about in tokens(module):
        shown = about
        if "error" not in shown:
            try:
                session = module.open_session(slot)
                try:
                    shown = about | objects(module, session)
                finally:
                    module.close_session(session)
            except ck.CryptokiError as error:
                shown = about | {"error": error.name}
        yield shown
