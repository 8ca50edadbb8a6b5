"""The worker's hands: one session on one token, by python-pkcs11 for everything that changes the token.

Imported only when a session is opened, so that a look costs nothing of it.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache, partial
from typing import Any, cast

import pkcs11
from pkcs11 import Attribute, CertificateType, KeyType, Mechanism, MechanismFlag, ObjectClass, _pkcs11
from pkcs11.constants import DEFAULT

from safetok.tokens import cryptoki as ck
from safetok.tokens import look
from safetok.tokens import standard as std
from safetok.tokens.begun import begun
from safetok.tokens.der import DIGEST_INFO

_HASHED_RSA = {
    "sha1": Mechanism.SHA1_RSA_PKCS,
    "sha256": Mechanism.SHA256_RSA_PKCS,
    "sha384": Mechanism.SHA384_RSA_PKCS,
    "sha512": Mechanism.SHA512_RSA_PKCS,
}
_HASHED_ECDSA = {
    "sha256": Mechanism.ECDSA_SHA256,
    "sha384": Mechanism.ECDSA_SHA384,
    "sha512": Mechanism.ECDSA_SHA512,
}
_HASHES = {
    "sha1": (Mechanism.SHA_1, 1),
    "sha224": (Mechanism.SHA224, 5),
    "sha256": (Mechanism.SHA256, 2),
    "sha384": (Mechanism.SHA384, 3),
    "sha512": (Mechanism.SHA512, 4),
}  # CKM_*, CKG_MGF1_* (PKCS#11 2.40 section 2.1.8)


class Wrong(Exception):
    """An answer in the standard's words, or in ours where the standard has none."""


def name_of(error: Exception) -> str:
    """`PIN_INCORRECT` of python-pkcs11's PinIncorrect or of a CryptokiError; a bare PKCS11Error keeps its text (`rv=0x…`)."""
    if isinstance(error, ck.CryptokiError):
        return error.name
    kind = type(error).__name__
    if kind == "PKCS11Error":
        return str(error)[:80] or "unnamed"
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in kind).lstrip("_").upper()


@lru_cache(maxsize=1)
def _library(path: str) -> Any:
    """The driver as python-pkcs11 knows it: initialised already, with locking, which that cannot do (pinned by a test)."""
    library = cast("Any", _pkcs11.lib)
    return library.__new__(library, path)


_places: dict[int, Any] = {}  # slots by id, as last listed


def _place(library: Any, slot: int) -> Any:
    """python-pkcs11's slot of this id, which is no more than its number. They are made for all slots at once only, which with
    a thousand of them takes longer than a session: so they are kept. Raises Wrong (`TOKEN_NOT_PRESENT`).
    """
    if slot not in _places:
        _places.clear()
        _places.update((place.slot_id, place) for place in library.get_slots(token_present=True))
    if slot not in _places:
        raise Wrong("TOKEN_NOT_PRESENT")
    return _places[slot]


def _its_module(library: Any, module: ck.Module) -> ck.Module:
    """`module` over the function list that python-pkcs11 was given, so that both speak of the same sessions and objects.

    The list's address is the first field of the library object (`HasFuncList`; its three fields are pinned by a test). A
    build that lays it out otherwise is taken to share the one list, as all drivers but p11-kit's client do.
    """
    pointer = ctypes.sizeof(ctypes.c_void_p)
    head = object.__basicsize__
    if _pkcs11.lib.__mro__[-2].__basicsize__ != head + 3 * pointer:
        return module
    address = ctypes.c_void_p.from_address(id(library) + head).value
    return module.at(address) if address else module


def _digest(name: str, data: bytes) -> bytes:
    import hashlib

    return hashlib.new(name, data).digest()


class Hands:
    """A session with one token. Every method answers plain values; failures are CryptokiError, PKCS11Error or Wrong."""

    def __init__(self, module: ck.Module, path: str, slot: int, *, read_write: bool) -> None:
        library = _library(path)
        self._shared, self._module, self.slot = module, _its_module(library, module), slot
        self._session: Any = _place(library, slot).get_token().open(rw=read_write)
        self._mechanisms: frozenset[int] | None = None  # asked for when first needed: not within a login
        self.logged_in = False

    def info(self) -> dict[str, Any]:
        """CK_TOKEN_INFO, read now."""
        return look.token(self._module.token_info(self.slot))

    def login(self, pin: bytes | None) -> None:
        """C_Login on this session. An earlier login of this process is undone first, so that the PIN is truly tried."""
        try:
            self._module.login(self._session.handle, pin)
        except ck.CryptokiError as error:
            if error.name != "USER_ALREADY_LOGGED_IN":
                raise
            self._module.logout(self._session.handle)
            self._module.login(self._session.handle, pin)
        self.logged_in = True

    def logout(self) -> None:
        if self.logged_in:
            self.logged_in = False
            self._module.logout(self._session.handle)

    def close(self) -> None:
        """Log out and close; answers change nothing (python-pkcs11's close would hide the first error)."""
        self.logout()
        self._module.close_session(self._session.handle)
        if self._module is not self._shared:
            self._module.finalize()

    def objects(self) -> dict[str, Any]:
        """What this session sees now: private keys only after a login."""
        return look.objects(self._module, self._session.handle)

    def change_pin(self, old: bytes | None, new: bytes | None) -> None:
        """C_SetPIN for the user."""
        self._module.set_pin(self._session.handle, old, new)

    # --- signing -------------------------------------------------------------------------------------------------

    def sign(self, key: int, how: dict[str, Any], data: bytes, *, asks: bool, pin: bytes | None) -> bytes:
        """A signature by the private key with handle `key`. `how`: `scheme` (pkcs1, pss, ecdsa), `hash`, `digested`, and
        `salt` for pss. PSS and ECDSA data come digested. For ecdsa the answer is the token's (r||s).

        A token without the hash-and-sign mechanism signs the DigestInfo; one without plain ECDSA is given the data.
        """
        scheme, name = how["scheme"], how["hash"]
        ways: list[tuple[Mechanism, Any, bytes]] = []
        if scheme == "pss":
            mechanism, mgf = _HASHES[name]
            ways.append((Mechanism.RSA_PKCS_PSS, (mechanism, mgf, how["salt"]), data))
        elif scheme == "ecdsa":
            ways.append((Mechanism.ECDSA, None, data))
        else:
            digest = data if how["digested"] else None
            if digest is None and name in _HASHED_RSA:
                ways.append((_HASHED_RSA[name], None, data))
            ways.append((Mechanism.RSA_PKCS, None, DIGEST_INFO[name] + (digest or _digest(name, data))))
            if len(ways) > 1 and not self._offers(ways[0][0]):
                ways.pop(0)
        for way in ways[:-1]:
            try:
                return self._sign(key, *way, asks=asks, pin=pin)
            except ck.CryptokiError as error:
                if error.name != "MECHANISM_INVALID":
                    raise
        return self._sign(key, *ways[-1], asks=asks, pin=pin)

    def _offers(self, mechanism: Mechanism) -> bool:
        """Whether the token has it, or does not tell what it has."""
        if self._mechanisms is None:
            self._mechanisms = self._module.mechanisms(self.slot)
        return not self._mechanisms or int(mechanism) in self._mechanisms

    def _sign(
        self, key: int, mechanism: Mechanism, parameter: Any, data: bytes, *, asks: bool, pin: bytes | None
    ) -> bytes:
        """By the key's handle: python-pkcs11 would first read every private key of the token, attribute by attribute."""
        pss = std.PssParameters(*(int(part) for part in parameter)) if parameter else None
        login = partial(self._module.login, self._session.handle, pin, std.CKU_CONTEXT_SPECIFIC) if asks else None
        return self._module.sign(self._session.handle, key, int(mechanism), pss, data, login)

    # --- keys and certificates -----------------------------------------------------------------------------------

    def generate(self, key_type: str, bits: int, ec_params: bytes, cka_id: bytes, label: str) -> dict[str, Any]:
        """A new pair on the token, never extractable; `spki` read back from it. Destroyed again when the token cannot show
        that it was made there and never could leave it (Wrong `weak_protection`).
        """
        templates: dict[str, Any] = {
            "id": cka_id,
            "label": label,
            "store": True,
            "public_template": {
                Attribute.PRIVATE: False,
                Attribute.WRAP: DEFAULT,
            },
            "private_template": {
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.UNWRAP: DEFAULT,
                Attribute.DERIVE: DEFAULT,
            },
        }
        sign = MechanismFlag.SIGN | MechanismFlag.VERIFY
        if key_type == "RSA":
            both = sign | MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT  # certificates here also carry keyEncipherment
            public, private = self._session.generate_keypair(KeyType.RSA, bits, capabilities=both, **templates)
        else:
            templates["public_template"][Attribute.ENCRYPT] = DEFAULT
            templates["private_template"][Attribute.DECRYPT] = DEFAULT
            curve = self._session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: ec_params}, local=True)
            public, private = curve.generate_keypair(capabilities=sign, **templates)
        wanted = {std.CKA_LOCAL: 1, std.CKA_ALWAYS_SENSITIVE: 1, std.CKA_NEVER_EXTRACTABLE: 1, std.CKA_EXTRACTABLE: 0}
        shown = self._module.attributes(self._session.handle, private.handle, wanted)
        if any(shown.get(kind) != bytes((value,)) for kind, value in wanted.items()):
            private.destroy()
            public.destroy()
            raise Wrong("weak_protection")
        spki = next(
            (k["spki"] for k in self.objects()["keys"] if not k["private"] and k["handle"] == public.handle), None
        )
        if spki is None:
            raise Wrong("unreadable_public_key")
        return {"spki": spki}

    def place_certificate(self, fields: dict[str, bytes], cka_id: bytes, label: str) -> dict[str, Any]:
        """Write a certificate (`fields`: value, subject, issuer, serial as DER) unless it is there; one with this label that was
        only begun goes before. What is there then, as `objects` (keys too: a driver may number its objects anew), and `info`.
        """
        held, der = look.certificates(self._module, self._session.handle), fields["value"]
        if all(value != der for value, *_rest in held):
            self.destroy(begun({"certificates": held}, der, label), std.CKO_CERTIFICATE)
            self._write_certificate(fields, cka_id, label)
        return self.objects() | {"info": self.info()}

    def _write_certificate(self, fields: dict[str, bytes], cka_id: bytes, label: str) -> None:
        """A new certificate object beside whatever is there."""
        self._session.create_object(
            {
                Attribute.CLASS: ObjectClass.CERTIFICATE,
                Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: False,
                Attribute.LABEL: label,
                Attribute.ID: cka_id,
                Attribute.SUBJECT: fields["subject"],
                Attribute.ISSUER: fields["issuer"],
                Attribute.SERIAL_NUMBER: fields["serial"],
                Attribute.VALUE: fields["value"],
            }
        )

    def destroy(self, handles: list[int], object_class: int) -> int:
        """Destroy these objects of one class; how many are gone. One that is gone already is no failure."""
        gone = 0
        if not handles:
            return gone
        for found in list(self._session.get_objects({Attribute.CLASS: ObjectClass(object_class)})):
            if found.handle in handles:
                try:
                    found.destroy()
                except pkcs11.exceptions.ObjectHandleInvalid:
                    continue
                gone += 1
        return gone
