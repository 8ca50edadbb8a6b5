"""Which key belongs to which certificate: by the public key itself, and where that cannot be seen by CKA_ID, as a hint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetok.domain.tokens import KeyPresence
from safetok.records import dataclass

KeyObject = Mapping[str, Any]  # as look._keys gives it
_TYPES = {0: "RSA", 3: "EC"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """One key on a token: the halves that carry one public key, or else one CKA_ID. `spki` None: not readable."""

    cka_id: bytes
    label: str
    key_type: str  # "RSA" | "EC" | "other"
    spki: bytes | None
    private: bool
    public: bool


def presence(
    spki: bytes, cka_id: bytes, keys: Sequence[KeyObject], *, logged_in: bool = False
) -> tuple[KeyPresence, bool]:
    """Whether the private key of a certificate is there, and whether only its CKA_ID says so.

    Without a login private keys are mostly hidden: then a public key object stands for its pair, and no object at all means
    that nothing is known. After a login only a private key counts.
    """
    if private_key(spki, (cka_id,), keys):
        return KeyPresence.PRESENT, not any(proven for _key, proven in private_key(spki, (cka_id,), keys))
    if logged_in:
        return KeyPresence.ABSENT, False
    if any(key["spki"] == spki for key in keys):
        return KeyPresence.PRESENT, False
    if cka_id and any(key["spki"] is None and key["id"] == cka_id for key in keys):
        return KeyPresence.PRESENT, True
    return (KeyPresence.ABSENT if keys else KeyPresence.UNKNOWN), False


def private_key(spki: bytes, cka_ids: Sequence[bytes], keys: Sequence[KeyObject]) -> list[tuple[KeyObject, bool]]:
    """Private key objects that may be the one for `spki`, the surest first, each with whether its material proves it.

    An EC private key shows no point: a public key object with the same CKA_ID and the right point proves it; the CKA_ID of a
    certificate (`cka_ids`), or being the only one on its curve where it has no CKA_ID, makes it worth a test signature.
    """
    private = [key for key in keys if key["private"]]
    proven = [key for key in private if key["spki"] == spki]
    if proven:
        return [(key, True) for key in proven]
    unknown = [key for key in private if key["spki"] is None and (not key["ec_params"] or key["ec_params"] in spki)]
    ids = {key["id"] for key in keys if not key["private"] and key["spki"] == spki and key["id"]}
    by_public = [key for key in unknown if key["id"] in ids]
    by_hint = [key for key in unknown if key["id"] and key["id"] in cka_ids and key not in by_public]
    if not by_public and not by_hint:
        nameless = [key for key in unknown if key["ec_params"] and not key["id"]]
        by_hint = nameless if len(nameless) == 1 else []
    return [(key, len(by_public) == 1) for key in by_public] + [(key, False) for key in by_hint]


def token_keys(keys: Sequence[KeyObject]) -> tuple[TokenKey, ...]:
    """The keys as pairs: halves with one public key together, else a private half with the public one of its CKA_ID."""
    public = [key for key in keys if not key["private"]]
    pairs: list[tuple[KeyObject | None, KeyObject | None]] = []
    used: set[int] = set()
    for key in (key for key in keys if key["private"]):
        mate = next(
            (
                other
                for other in public
                if other["handle"] not in used
                and other["type"] == key["type"]
                and (
                    (key["spki"] is not None and other["spki"] == key["spki"])
                    or ((key["spki"] is None or other["spki"] is None) and key["id"] and other["id"] == key["id"])
                )
            ),
            None,
        )
        if mate is not None:
            used.add(mate["handle"])
        pairs.append((key, mate))
    pairs += [(None, key) for key in public if key["handle"] not in used]
    return tuple(_token_key(private, shown) for private, shown in pairs)


def _token_key(private: KeyObject | None, public: KeyObject | None) -> TokenKey:
    either = private or public
    assert either is not None
    return TokenKey(
        cka_id=either["id"],
        label=either["label"] or (public["label"] if public else ""),
        key_type=_TYPES.get(either["type"], "other"),
        spki=either["spki"] or (public["spki"] if public else None),
        private=private is not None,
        public=public is not None,
    )
