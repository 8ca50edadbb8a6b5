from typing import Any

from safetok.domain.tokens import KeyPresence
from safetok.tokens.pairing import presence, private_key, token_keys

SPKI, OTHER, CURVE = b"spki with CURVE", b"another", b"CURVE"
_handles = iter(range(1, 10_000))


def key(
    *, private: bool, spki: bytes | None = None, cka_id: bytes = b"", ec_params: bytes = b"", kind: int = 0
) -> dict[str, Any]:
    """A key object as a worker reports it."""
    return {
        "private": private,
        "handle": next(_handles),
        "id": cka_id,
        "label": "k",
        "type": kind,
        "spki": spki,
        "ec_params": ec_params,
        "asks": False,
    }


def test_no_key_object_at_all_means_that_nothing_is_known() -> None:
    """Without a PIN an empty list says nothing of hidden private keys; after a login it says that there is none."""
    assert presence(SPKI, b"1", []) == (KeyPresence.UNKNOWN, False)
    assert presence(SPKI, b"1", [], logged_in=True) == (KeyPresence.ABSENT, False)


def test_a_public_key_object_stands_for_its_pair() -> None:
    """The same public key is a proof, whatever the CKA_IDs say; another public key under the same CKA_ID is none."""
    assert presence(SPKI, b"", [key(private=False, spki=SPKI, cka_id=b"9")]) == (KeyPresence.PRESENT, False)
    assert presence(SPKI, b"1", [key(private=False, spki=OTHER, cka_id=b"1")]) == (KeyPresence.ABSENT, False)


def test_a_cka_id_is_a_hint_and_marked_so() -> None:
    """Where the material cannot be read, the same CKA_ID makes the key present by ID only; an empty one hints at nothing."""
    assert presence(SPKI, b"1", [key(private=False, cka_id=b"1")]) == (KeyPresence.PRESENT, True)
    assert presence(SPKI, b"1", [key(private=True, cka_id=b"1")]) == (KeyPresence.PRESENT, True)
    assert presence(SPKI, b"", [key(private=True, cka_id=b"")])[0] is KeyPresence.ABSENT


def test_after_a_login_only_a_private_key_counts() -> None:
    """A public key left alone does not make the private one present."""
    assert presence(SPKI, b"1", [key(private=False, spki=SPKI)], logged_in=True) == (KeyPresence.ABSENT, False)
    assert presence(SPKI, b"1", [key(private=True, spki=SPKI)], logged_in=True) == (KeyPresence.PRESENT, False)


def test_an_ec_private_key_is_found_through_its_public_one() -> None:
    """An EC private key shows no point: the public object with its CKA_ID proves it, unless two keys share that ID."""
    public = key(private=False, spki=SPKI, cka_id=b"7", kind=3)
    mine = key(private=True, cka_id=b"7", ec_params=CURVE, kind=3)
    twin = key(private=True, cka_id=b"7", ec_params=CURVE, kind=3)
    foreign = key(private=True, cka_id=b"7", ec_params=b"another curve", kind=3)
    assert private_key(SPKI, (), [public, foreign, mine]) == [(mine, True)]
    assert private_key(SPKI, (), [public, mine, twin]) == [(mine, False), (twin, False)]


def test_a_certificates_cka_id_is_worth_a_try() -> None:
    """Without a public key object the certificate's CKA_ID names the candidates, none of them proven."""
    mine = key(private=True, cka_id=b"7", ec_params=CURVE, kind=3)
    assert private_key(SPKI, (b"7",), [mine]) == [(mine, False)]
    assert private_key(SPKI, (b"8",), [mine]) == []


def test_a_key_of_known_other_material_is_never_taken_by_its_id() -> None:
    """An RSA private key shows its modulus: the same CKA_ID does not make it ours."""
    assert private_key(SPKI, (b"7",), [key(private=True, spki=OTHER, cka_id=b"7")]) == []


def test_halves_are_joined_by_material_then_by_id() -> None:
    """A pair is one key; a half alone says which half it is."""
    rsa = [key(private=True, spki=SPKI, cka_id=b"1"), key(private=False, spki=SPKI, cka_id=b"2")]
    ec = [key(private=True, cka_id=b"3", kind=3), key(private=False, spki=OTHER, cka_id=b"3", kind=3)]
    alone = [key(private=True, spki=b"third", cka_id=b"4"), key(private=False, spki=b"fourth", cka_id=b"5")]
    shown = [(k.cka_id, k.key_type, k.spki, k.private, k.public) for k in token_keys([*rsa, *ec, *alone])]
    assert shown == [
        (b"1", "RSA", SPKI, True, True),
        (b"3", "EC", OTHER, True, True),
        (b"4", "RSA", b"third", True, False),
        (b"5", "RSA", b"fourth", False, True),
    ]
