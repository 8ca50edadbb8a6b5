"""One session on one token, seen from the parent: what may be asked of it, and what each failure means."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from safetok.domain.certificates import Certificate, parse
from safetok.domain.tokens import KeyPresence, StoredCertificate, TokenInfo
from safetok.errors import NotTrusted, SafetokError, Unexpected, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.tokens import failures, removal
from safetok.tokens.begun import begun
from safetok.tokens.pairing import TokenKey, presence, private_key, token_keys
from safetok.tokens.process import Worker, WorkerFailure
from safetok.tokens.proof import signs_for
from safetok.tokens.reading import token_info

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

_CERTIFICATE, _PUBLIC, _PRIVATE = 1, 2, 3  # CKO_*


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds of silence after which an operation has failed."""

    look: float = 5
    sign: float = 30
    write: float = 60
    generate: float = 300
    pin_pad: float = 120


class Session:
    """A session on the token with one serial, its lock held. Ends with a logout, whatever happened within.

    Every method raises DriverFailed (`crashed`, `timed_out`, `token_removed`, `pkcs11`) besides what it says.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        serial: str,
        driver: str,
        drivers: tuple[str, ...],
        deadlines: Deadlines,
        shown: dict[str, Any],
        done: Callable[[Worker], None],
        dry_run: bool,
    ) -> None:
        self._worker, self._done, self._dry_run = worker, done, dry_run
        self.serial, self.driver, self._drivers, self._deadlines = serial, driver, drivers, deadlines
        self._info = token_info(shown, drivers)
        self._pin: str | None = None
        self._keys: dict[bytes, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {}
        self._seen: dict[str, Any] | None = (
            None  # what the last look showed; keys change by this session's own hand alone
        )
        self.logged_in = False
        self.reauthenticate: Callable[[Callable[[], bytes]], bytes] = lambda sign: sign()
        """Set by PinGuard: wraps each signature that is a PIN entry of its own (CKA_ALWAYS_AUTHENTICATE), so that it is counted."""

    # --- the life of a session -----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Log out, close, free the lock. Never raises: a driver that fails here is ended, or left to finish its writing."""
        self._pin, self.logged_in = None, False
        worker, self._worker = self._worker, _ENDED
        if worker is _ENDED:
            return
        if worker.busy:  # interrupted while it had something in hand: it ends that, then everything
            worker.abandon()
        elif worker.alive:
            try:
                worker.call("close", deadline=self._deadlines.sign, careful=True)
            except WorkerFailure:
                worker.abandon()
        self._done(worker)

    def _call(
        self, operation: failures.Operation, name: str, deadline: float, *, careful: bool = False, **given: Any
    ) -> Any:
        try:
            return self._worker.call(name, deadline=deadline, careful=careful, **given)
        except WorkerFailure as failure:
            raise failures.translate(failure, operation=operation, driver=self.driver, token=self.serial) from None

    # --- looking -------------------------------------------------------------------------------------------------

    @property
    def info(self) -> TokenInfo:
        """The token's own account of itself, asked for now: its PIN flags and free memory change. Another token in its place is
        `token_removed`: no driver's session is trusted to end with its token.
        """
        return self._informed(self._call("look", "info", self._deadlines.look))

    def _informed(self, told: dict[str, Any]) -> TokenInfo:
        shown = token_info(told, self._drivers)
        if shown.serial != self.serial:
            swapped = WorkerFailure("DEVICE_REMOVED", "another token")
            raise failures.translate(swapped, operation="look", driver=self.driver, token=self.serial)
        self._info = shown
        return shown

    @property
    def last_info(self) -> TokenInfo:
        """The same as it was when last asked for: as the session was opened, at the least."""
        return self._info

    def certificates(self) -> tuple[StoredCertificate, ...]:
        """The certificates on the token; those that cannot be read or parsed are left out."""
        return self._stored(self._objects())

    def _stored(self, shown: dict[str, Any]) -> tuple[StoredCertificate, ...]:
        stored = []
        for der, cka_id, label, _handle in shown["certificates"]:
            if (certificate := _parsed(der)) is not None:
                key, by_id = presence(certificate.spki, cka_id, shown["keys"], logged_in=self.logged_in)
                stored.append(
                    StoredCertificate(
                        certificate=certificate, cka_id=cka_id, label=label, key=key, key_by_id_only=by_id
                    )
                )
        return tuple(stored)

    def keys(self) -> tuple[TokenKey, ...]:
        """The keys on the token, halves joined. Private halves are seen after a login."""
        return token_keys(self._objects()["keys"])

    def key_id(self, spki: bytes) -> bytes:
        """The CKA_ID of the key with this public key, as this session last saw it; empty where there is none."""
        keys = token_keys((self._seen or self._objects())["keys"])
        return next((key.cka_id for key in keys if key.spki == spki and key.cka_id), b"")

    def find_certificate(self, der: bytes) -> StoredCertificate | None:
        """The object that holds exactly these bytes."""
        return next((stored for stored in self.certificates() if stored.certificate.der == der), None)

    def _objects(self) -> dict[str, Any]:
        shown = self._call("look", "objects", self._deadlines.look)
        assert isinstance(shown, dict)
        self._seen = shown
        return shown

    # --- the PIN -------------------------------------------------------------------------------------------------

    def login(self, pin: str | None) -> None:
        """Log in; None lets the token's PIN pad ask. Only PinGuard calls this: each call may cost a try. Nothing is read within it:
        a failure after a good login must not be taken for a try.

        Raises PinWrong, PinRefused, PersonNeeded (`pin_cancelled`), DriverFailed.
        """
        self._refuse_in_a_dry_run()
        deadline = self._deadlines.pin_pad if pin is None else self._deadlines.sign
        self._call("login", "login", deadline, careful=True, pin=None if pin is None else pin.encode())
        self.logged_in, self._seen = True, None
        self._pin = pin  # a key that wants it each time may be made later; forgotten with the logout

    def logout(self) -> None:
        """Log out and stay: a hold needs no open door."""
        self._pin, self.logged_in, self._seen = None, False, None
        self._keys.clear()
        self._call("look", "logout", self._deadlines.sign, careful=True)

    def change_pin(self, old: str | None, new: str | None) -> None:
        """C_SetPIN. Only PinGuard calls this: a wrong old PIN costs a try. Raises as `login`, and UsageError `new_pin_refused`."""
        self._refuse_in_a_dry_run()
        deadline = self._deadlines.pin_pad if old is None else self._deadlines.write
        given = {"old": None if old is None else old.encode(), "new": None if new is None else new.encode()}
        self._call("change", "change_pin", deadline, careful=True, **given)

    def _refuse_in_a_dry_run(self) -> None:
        if self._dry_run:
            raise Unexpected(_("A dry run does not log in."), code="dry_run", token=self.serial)

    # --- using ---------------------------------------------------------------------------------------------------

    def private_key(self, spki: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        """The private key of this public key, for `cryptography`'s builders; it works while the session is logged in.

        A key that only a CKA_ID points to is tried with one signature. Raises NotTrusted (`key_missing`).
        """
        from safetok.tokens.keys import token_key

        if spki in self._keys:
            return self._keys[spki]
        shown = self._seen or self._objects()
        ids = [cka_id for der, cka_id, _label, _handle in shown["certificates"] if der and spki in der]
        for found, proven in private_key(spki, ids, shown["keys"]):
            key = token_key(spki, partial(self._sign, found))
            if proven or signs_for(key, key.public_key()):
                self._keys[spki] = key
                return key
        raise NotTrusted(
            _("The key of this certificate is no longer on token {serial}.").format(serial=self.serial),
            code="key_missing",
            token=self.serial,
        )

    def _sign(self, key: Any, how: dict[str, Any], data: bytes) -> bytes:
        given = {"key": key["handle"], "how": how, "data": data, "asks": key["asks"]}
        if not key["asks"]:
            return bytes(self._call("sign", "sign", self._deadlines.sign, pin=None, **given))
        pin = None if self._pin is None else self._pin.encode()
        deadline = self._deadlines.pin_pad if pin is None else self._deadlines.sign
        return self.reauthenticate(lambda: bytes(self._call("login", "sign", deadline, careful=True, pin=pin, **given)))

    def generate(self, like: bytes, *, cka_id: bytes, label: str) -> bytes:
        """A new key pair of the type and size of the public key `like`, made on the token and never to leave it; its public
        key (SubjectPublicKeyInfo). Raises NotTrusted (`no_space`, `write_protected`, `weak_protection`, `write_failed`).
        """
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        old = serialization.load_der_public_key(like)
        if isinstance(old, rsa.RSAPublicKey):
            given: dict[str, Any] = {"key_type": "RSA", "bits": old.key_size, "ec_params": b""}
        elif isinstance(old, ec.EllipticCurvePublicKey):
            given = {"key_type": "EC", "bits": old.curve.key_size, "ec_params": _curve(like)}
        else:
            raise NotTrusted(_("The token's key is neither RSA nor EC."), code="unknown_key", token=self.serial)
        self._seen = None
        made = self._call(
            "generate", "generate", self._deadlines.generate, careful=True, cka_id=cka_id, label=label, **given
        )
        return bytes(made["spki"])

    def place_certificate(self, der: bytes, *, cka_id: bytes, label: str) -> tuple[StoredCertificate, ...]:
        """Write a certificate beside what is there, and read it back byte for byte: what the token holds then. One that is there
        is not written again, and a half-written one with this label goes before.

        Raises NotTrusted (`no_space`, `write_protected`, `write_failed`); a write that timed out is DriverFailed `timed_out`.
        """
        certificate = parse(der)
        fields = {
            "value": der,
            "subject": certificate.subject_der,
            "issuer": certificate.issuer_der,
            "serial": _serial(certificate),
        }
        given = {"fields": fields, "cka_id": cka_id, "label": label}
        shown = self._call("write", "place_certificate", self._deadlines.write, careful=True, **given)
        if self._seen is None or self._seen["keys"] != shown["keys"]:  # a driver may number its objects anew
            self._keys.clear()
        self._seen = shown
        self._informed(shown["info"])
        if all(value != der for value, *_rest in shown["certificates"]):
            raise NotTrusted(
                _("The certificate that was written does not read back as it is."),
                code="write_failed",
                token=self.serial,
            )
        return self._stored(shown)

    def destroy_keys(self, cka_id: bytes, *, label: str | None = None, spki: bytes = b"", but: bytes = b"") -> int:
        """Destroy the key pair with this CKA_ID (and this label, where one is given): private, then public; how many objects.

        A key that a certificate on the token needs is never among them (`but`: the DER of one that does not count). Where such a
        one shares the CKA_ID, only what is proven to be the pair of the public key `spki` goes, or else what has the label.
        """
        if not cka_id:
            raise UsageError(_("A key without an ID is never destroyed."), code="no_key_id")
        keys = removal.pair(self._objects(), cka_id, label=label, spki=spki, but=but, of=self._handle_of)
        return sum(
            self._destroy([key["handle"] for key in keys if key["private"] is (kind == _PRIVATE)], kind)
            for kind in (_PRIVATE, _PUBLIC)
        )

    def needs(self, spki: bytes, *, but: bytes = b"") -> bool:
        """Whether a certificate on the token, other than the one with the DER `but`, is for this public key."""
        return removal.needed(self._objects(), spki, but)

    def _handle_of(self, spki: bytes) -> int | None:
        """The private key object of this public key, by its material or a test signature."""
        from safetok.tokens.keys import token_key

        keys = (self._seen or self._objects())["keys"]
        for found, proven in private_key(spki, (), keys):
            key = token_key(spki, partial(self._sign, found))
            if (proven and found["spki"] == spki) or signs_for(key, key.public_key()):
                return int(found["handle"])
        return None

    def has_begun(self, der: bytes, label: str) -> bool:
        """Whether there is what `destroy_certificate` would destroy; needs no login."""
        return bool(begun(self._objects(), der, label))

    def destroy_certificate(self, der: bytes, label: str) -> bool:
        """Destroy the object with this label that holds these bytes, or only a part of them, or nothing readable (a write cut
        short). Whether there was one. Nothing else is touched.
        """
        return self._destroy(begun(self._objects(), der, label), _CERTIFICATE) > 0

    def remove_certificate(self, der: bytes) -> int:
        """Destroy every object that holds exactly these bytes; how many. Keys and all other objects stay."""
        handles = [handle for value, _id, _label, handle in self._objects()["certificates"] if value == der]
        return self._destroy(handles, _CERTIFICATE)

    def _destroy(self, handles: list[int], object_class: int) -> int:
        if not handles:
            return 0
        self._keys.clear()
        self._seen = None
        given = {"handles": handles, "object_class": object_class}
        return int(self._call("write", "destroy", self._deadlines.write, careful=True, **given))


def _parsed(der: bytes | None) -> Certificate | None:
    if not der:
        return None
    try:
        return parse(der)
    except SafetokError:
        return None


def _curve(spki: bytes) -> bytes:
    """The ECParameters in an EC SubjectPublicKeyInfo (RFC 5480 section 2.1.1): what follows id-ecPublicKey."""
    from asn1crypto.keys import PublicKeyInfo

    return bytes(PublicKeyInfo.load(spki)["algorithm"]["parameters"].dump())


def _serial(certificate: Certificate) -> bytes:
    from safetok.tokens.der import integer

    return integer(bytes.fromhex(certificate.serial))


class _Ended(Worker):
    """Stands where a closed session's worker was."""

    def __init__(self) -> None:
        self.alive = self.busy = False

    def call(self, name: str, *, deadline: float, careful: bool = False, **arguments: Any) -> Any:  # noqa: ARG002
        raise WorkerFailure("SESSION_CLOSED", "the session is over")


_ENDED = _Ended()
__all__ = ["Deadlines", "KeyPresence", "Session"]
