"""Which objects of a token may be destroyed: what safetok made or began to write, and never a key that a certificate needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from safetok.domain.certificates import parse
from safetok.errors import SafetokError
from safetok.tokens.pairing import KeyObject

Shown = Mapping[str, Any]  # what the worker's look at the objects gave: `certificates` and `keys`


def needed(shown: Shown, spki: bytes | None, but: bytes) -> bool:
    """Whether a certificate other than the one with the DER `but` is for this public key."""
    return bool(spki) and any(der and der != but and _spki(der) == spki for der, *_rest in shown["certificates"])


def pair(
    shown: Shown, cka_id: bytes, *, label: str | None, spki: bytes, but: bytes, of: Callable[[bytes], int | None]
) -> list[KeyObject]:
    """The key objects with this CKA_ID (and this label, where one is given) that may go. None while a certificate needs `spki`.

    Where one that a certificate needs shares the CKA_ID: only those of the public key `spki`, whose private half `of` finds by
    proof; without `spki` those with the label.
    """
    if needed(shown, spki, but):
        return []
    keys = [key for key in shown["keys"] if key["id"] == cka_id and (label is None or key["label"] == label)]
    by_id = any(der != but and other == cka_id for der, other, *_rest in shown["certificates"])
    if not by_id and not any(needed(shown, key["spki"], but) for key in keys):
        return keys
    free = [key for key in keys if not needed(shown, key["spki"], but)]
    if not spki:
        return free if label is not None else []
    proven = of(spki)
    return [key for key in free if key["spki"] == spki or key["handle"] == proven]


def _spki(der: bytes) -> bytes:
    try:
        return parse(der).spki
    except SafetokError:
        return b""
