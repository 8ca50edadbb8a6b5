import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from support_tokens import MadeToken, SoftHsm, run, spki_of, usual_id

from safetok.domain.tokens import KeyPresence, PinState
from safetok.errors import (
    DriverFailed,
    NoToken,
    NotTrusted,
    PersonNeeded,
    PinWrong,
    SafetokError,
    TokenHeld,
    UsageError,
)
from safetok.tokens import locks as token_locks
from safetok.tokens.process import Worker
from safetok.tokens.tokens import Session, Tokens

Make = Callable[..., MadeToken]
Certify = Callable[..., x509.Certificate]


def objects(softhsm: SoftHsm, made: MadeToken) -> str:
    """What another program lists on the token, logged in."""
    return run(
        "pkcs11-tool", "--module", softhsm.module, "--token-label", made.label, "--login", "--pin", made.pin, "-O"
    )


# --- the life of a session -----------------------------------------------------------------------------------------


def test_a_session_is_not_logged_in_until_asked(tokens: Tokens, made: MadeToken) -> None:
    """Opening a session costs no try and shows no private key; the login shows them."""
    with tokens.session(made.serial) as session:
        assert not session.logged_in
        assert not any(key.private for key in (*session.keys(),))
        session.login(made.pin)
        assert session.logged_in
        assert all(key.private and key.public for key in (*session.keys(),))
        session.logout()
        assert not any(key.private for key in (*session.keys(),))


def test_a_wrong_pin_is_said_and_shown_by_the_token(tokens: Tokens, made: MadeToken) -> None:
    """The token's refusal is PinWrong, its own flags are read afresh, and the session can still log in with the right one."""
    with tokens.session(made.serial) as session:
        with pytest.raises(PinWrong) as raised:
            session.login("000000")
        assert raised.value.token == made.serial
        assert session.info.pin_state is PinState.COUNT_LOW
        session.login(made.pin)
        assert session.info.pin_state is PinState.OK


def test_a_login_truly_tries_the_pin_though_one_is_in_force(session: Session) -> None:
    """A second login on a session that is logged in checks the PIN again instead of taking the first one's word."""
    with pytest.raises(PinWrong):
        session.login("000000")


def test_a_token_that_is_not_in_is_no_token(tokens: Tokens, made: MadeToken) -> None:
    """A serial that nobody shows ends with NoToken; the blank one too."""
    for serial in ("ffffffffffffffff", ""):
        with pytest.raises(NoToken):
            tokens.session(serial)


def test_a_readable_only_token_is_never_opened(tokens: Tokens, made: MadeToken, locks: Path) -> None:
    """No session, no lock, no login where a serial names two tokens."""
    reading = tokens.read()
    (token,) = reading.tokens
    doubled = dataclasses.replace(token, info=dataclasses.replace(token.info, readable_only=True))
    tokens._last = dataclasses.replace(reading, tokens=(doubled, doubled))
    with pytest.raises(PersonNeeded) as raised:
        tokens.session(made.serial)
    assert raised.value.code == "doubled_serial"
    assert not locks.exists()


def test_a_token_that_came_after_the_reading_is_found(tokens: Tokens, make_token: Make) -> None:
    """A session sees a token that was plugged in since, though its driver shows new ones only after a fresh start."""
    tokens.read()
    late = make_token("late")
    with tokens.session(late.serial) as session:
        assert session.info.label == "late"


def test_a_dry_run_has_no_login(open_tokens: Callable[..., Tokens], made: MadeToken, locks: Path) -> None:
    """Whoever tries to log in during a dry run meets an error before any PIN goes out; no lock is taken."""
    with open_tokens(dry_run=True).session(made.serial) as session:
        with pytest.raises(SafetokError) as raised:
            session.login(made.pin)
        assert raised.value.code == "dry_run"
        assert session.certificates()
    assert not locks.exists()


def test_who_holds_a_lock_is_told_on_windows_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a byte far behind the note is locked, and reading would go on from that place."""

    def like_windows(fd: int) -> None:
        os.lseek(fd, token_locks._FAR, os.SEEK_SET)
        raise PermissionError

    token_locks.TokenLock(str(tmp_path), "T1", "4711").release()
    (file,) = tmp_path.iterdir()
    file.write_text("4711 1795392000\n")
    monkeypatch.setattr(token_locks, "_lock", like_windows)
    with pytest.raises(token_locks.Held) as held:
        token_locks.TokenLock(str(tmp_path), "T1", "4712")
    assert str(held.value) == "4711 1795392000"


def test_two_runs_never_hold_one_token(open_tokens: Callable[..., Tokens], made: MadeToken, make_token: Make) -> None:
    """The second run is told who holds the token before any login; other tokens are free; the end of the first frees it."""
    other = make_token("Other")
    first, second = open_tokens(), open_tokens()
    with first.session(made.serial):
        with pytest.raises(TokenHeld) as raised:
            second.session(made.serial)
        assert raised.value.data == {"pid": os.getpid()}
        with pytest.raises(TokenHeld):
            first.session(made.serial)
        with second.session(other.serial):
            pass
    with second.session(made.serial) as session:
        session.login(made.pin)


def test_sessions_of_one_run_are_apart(tokens: Tokens, made: MadeToken, make_token: Make) -> None:
    """Two tokens open at once do not disturb each other, and a reading between them does not log them out."""
    other = make_token("Other", pin="11223344")
    with tokens.session(made.serial) as one, tokens.session(other.serial) as two:
        one.login(made.pin)
        two.login(other.pin)
        assert len(tokens.read().tokens) == 2
        assert all(key.private for key in (*one.keys(),))
        with pytest.raises(PinWrong):
            two.login(made.pin)
        assert all(key.private for key in (*one.keys(),))


def test_nothing_works_after_the_end(tokens: Tokens, made: MadeToken, rsa_key: rsa.RSAPrivateKey) -> None:
    """A key object that outlives its session signs nothing."""
    with tokens.session(made.serial) as session:
        session.login(made.pin)
        key = session.private_key(spki_of(rsa_key))
        assert isinstance(key, rsa.RSAPrivateKey)
    with pytest.raises(DriverFailed):
        key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
    session.close()


def test_a_worker_that_dies_within_a_session_is_a_failed_driver(
    session: Session, tokens: Tokens, made: MadeToken
) -> None:
    """The session ends with `crashed`; the lock is free for the next one at once."""
    os.kill(session._worker.pid, 9)
    with pytest.raises(DriverFailed) as raised:
        session.keys()
    assert raised.value.code == "crashed"
    session.close()
    with tokens.session(made.serial) as again:
        again.login(made.pin)


def test_an_interrupt_leaves_no_answer_behind(
    open_tokens: Callable[..., Tokens], made: MadeToken, rsa_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C within a signature ends the session; the answer that still comes is never taken for another question's."""
    tokens = open_tokens()

    def interrupted_run() -> None:
        with tokens.session(made.serial) as session:
            session.login(made.pin)
            key = session.private_key(spki_of(rsa_key))
            assert isinstance(key, rsa.RSAPrivateKey)
            with monkeypatch.context() as patch:
                patch.setattr(Worker, "_frame", interrupted)
                key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    assert tokens.read().tokens[0].info.serial == made.serial
    assert all(not workers or not workers[0].busy for workers in tokens._idle.values())


def interrupted(*_arguments: object, **_more: object) -> None:
    """What Ctrl-C does to a wait."""
    raise KeyboardInterrupt


def test_the_pin_can_be_changed(tokens: Tokens, made: MadeToken) -> None:
    """C_SetPIN takes the old one and the new one; a wrong old one is PinWrong and changes nothing."""
    with tokens.session(made.serial) as session:
        with pytest.raises(PinWrong):
            session.change_pin("000000", "99887766")
        session.change_pin(made.pin, "99887766")
        session.login("99887766")


# --- keys and certificates -------------------------------------------------------------------------------------------


def test_a_new_key_is_made_on_the_token_and_can_never_leave_it(
    session: Session, softhsm: SoftHsm, made: MadeToken, rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """Of the old key's type and size, under the planned ID and label, and another program sees that it is protected."""
    for number, old in enumerate((rsa_key, ec_key)):
        spki = session.generate(spki_of(old), cka_id=bytes([number]) * 20, label=f"safetok {number}")
        new = session.private_key(spki)
        assert new.public_key().key_size == old.key_size
        assert (type(new.public_key()), spki) != (type(old.public_key()), spki_of(old))
    listed = objects(softhsm, made)
    assert listed.count("Access:     sensitive, always sensitive, never extractable, local") == 2
    assert listed.count("safetok 0") == listed.count("safetok 1") == 2


def test_only_the_named_keys_are_destroyed(
    session: Session, rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """The pair with this CKA_ID goes, both halves; the others stay; a second time there is nothing to destroy."""
    before = session.keys()
    session.generate(spki_of(ec_key), cka_id=b"n" * 20, label="safetok n")
    assert session.destroy_keys(b"n" * 20, label="somebody's") == 0
    assert session.destroy_keys(b"n" * 20, label="safetok n") == 2
    assert session.destroy_keys(b"n" * 20) == 0
    assert set(session.keys()) == set(before)
    with pytest.raises(UsageError):
        session.destroy_keys(b"")


def test_a_certificate_is_written_beside_the_old_one_and_reads_back(
    session: Session, softhsm: SoftHsm, made: MadeToken, rsa_key: rsa.RSAPrivateKey, make_certificate: Certify
) -> None:
    """Byte for byte, paired with its key, the old one untouched, and another program lists it with its subject and serial."""
    old = {stored.certificate.der for stored in session.certificates()}
    new = make_certificate(rsa_key, name="MỚI", serial=0x80AABBCC)
    der = new.public_bytes(Encoding.DER)
    assert session.find_certificate(der) is None
    session.place_certificate(der, cka_id=usual_id(rsa_key), label="safetok 1")
    stored = session.find_certificate(der)
    assert stored is not None
    assert (stored.certificate.der, stored.key, stored.label) == (der, KeyPresence.PRESENT, "safetok 1")
    assert {one.certificate.der for one in session.certificates()} == old | {der}
    listed = objects(softhsm, made)
    assert "CN=M" in listed
    assert "80AABBCC" in listed


def test_only_our_certificate_is_destroyed(
    session: Session,
    softhsm: SoftHsm,
    made: MadeToken,
    rsa_key: rsa.RSAPrivateKey,
    make_certificate: Certify,
    tmp_path: Path,
) -> None:
    """Bytes and label must both be the ones given: the same bytes under another label stay, and so does everything else."""
    before = {(one.certificate.sha256, one.label) for one in session.certificates()}
    der = make_certificate(rsa_key, name="ours").public_bytes(Encoding.DER)
    session.place_certificate(der, cka_id=b"1", label="safetok 1")
    (tmp_path / "theirs.der").write_bytes(der)
    run(
        *("pkcs11-tool", "--module", softhsm.module, "--token-label", made.label, "--login", "--pin", made.pin),
        *("--write-object", tmp_path / "theirs.der", "--type", "cert", "--label", "theirs"),
    )
    assert session.destroy_certificate(der, "safetok 1")
    assert not session.destroy_certificate(der, "safetok 1")
    assert session.destroy_certificate(der, "theirs")
    assert {(one.certificate.sha256, one.label) for one in session.certificates()} == before


def test_a_write_without_a_login_is_refused_and_named(
    tokens: Tokens, made: MadeToken, rsa_key: rsa.RSAPrivateKey, make_certificate: Certify
) -> None:
    """What the token does not allow is `write_failed`, with its own word for it."""
    der = make_certificate(rsa_key).public_bytes(Encoding.DER)
    with tokens.session(made.serial, read_write=False) as session, pytest.raises(NotTrusted) as raised:
        session.place_certificate(der, cka_id=b"1", label="x")
    assert raised.value.code == "write_protected"


def test_a_half_written_certificate_of_ours_is_destroyed(
    session: Session, rsa_key: rsa.RSAPrivateKey, make_certificate: Certify
) -> None:
    """An object with our label that holds only the beginning of the certificate goes; the same under another label stays."""
    der = make_certificate(rsa_key, name="cut").public_bytes(Encoding.DER)
    names = {"subject": b"0\0", "issuer": b"0\0", "serial": b"\2\1\1"}
    for label, length in (("safetok 1", 100), ("theirs", 99)):
        given = {"fields": {"value": der[:length], **names}, "cka_id": b"1", "label": label}
        session._call("write", "place_certificate", 60, **given)
    assert session.find_certificate(der) is None
    assert session.destroy_certificate(der, "safetok 1")
    assert not session.destroy_certificate(der, "safetok 1")
    assert [shown[2] for shown in session._objects()["certificates"] if shown[0] == der[:99]] == ["theirs"]


def test_a_key_is_looked_up_anew_where_a_write_renumbers_objects(
    session: Session, rsa_key: rsa.RSAPrivateKey, make_certificate: Certify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handles are a driver's own affair: after a write the old ones are used only where the keys still have them."""
    call = session._call
    shifts = iter((0, 1000))

    def renumbering(operation: Any, name: str, *more: Any, **given: Any) -> Any:
        answer = call(operation, name, *more, **given)
        if name == "place_certificate":
            shift = next(shifts)
            for shown in answer["keys"]:
                shown["handle"] += shift
        return answer

    monkeypatch.setattr(session, "_call", renumbering)
    key = session.private_key(spki_of(rsa_key))
    for number, same in enumerate((True, False)):
        der = make_certificate(rsa_key, name=f"no. {number}").public_bytes(Encoding.DER)
        session.place_certificate(der, cka_id=b"1", label=f"safetok {number}")
        assert (session.private_key(spki_of(rsa_key)) is key) is same


def test_a_driver_loaded_ahead_is_the_one_a_session_is_opened_with(tokens: Tokens, made: MadeToken) -> None:
    """One worker, nothing listed twice, and a driver that cannot be loaded is told with the session and not before."""
    tokens.load()
    ((loaded,),) = tokens._idle.values()
    seen = tokens.read().tokens
    assert made.serial in {token.info.serial for token in seen}
    with tokens.session(made.serial) as opened:
        assert opened._worker is loaded
    assert tokens._workers == [loaded]


def test_a_driver_that_cannot_be_loaded_ahead_is_no_failure_yet(
    open_tokens: Callable[..., Tokens], made: MadeToken, tmp_path: Path
) -> None:
    """Neither one that is none nor one of several."""
    none = tmp_path / "none.so"
    none.write_bytes(b"no driver")
    (good,) = open_tokens()._drivers
    bad = dataclasses.replace(good, path=str(none))
    alone, several = open_tokens(drivers=(bad,)), open_tokens(drivers=(good, bad))
    alone.load()
    assert [(one.driver, one.code) for one in alone.read().failed] == [(bad.path, "no_library")]
    several.load()
    assert several._workers == [], "nobody knows which of them a session will take"
    with several.session(made.serial) as opened:
        assert opened.serial == made.serial


def test_a_look_remembers_where_many_tokens_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many slots a session asks the one it knows; of few, and where another token is in it, all are listed anew."""
    from safetok.tokens import look
    from safetok.tokens.worker import Worker as Serving

    slots = {number: f"T{number}" for number in range(20)}
    listed: list[int] = []

    def tokens_in(_module: object) -> Any:
        listed.append(len(slots))
        yield from ((slot, {"serial": serial}) for slot, serial in slots.items())

    worker = Serving(lambda _frame: None)
    module = Mock(token_info=lambda slot: slots[slot])
    monkeypatch.setattr(look, "tokens", tokens_in)
    monkeypatch.setattr(look, "token", lambda shown: {"serial": shown})
    monkeypatch.setattr(look, "objects", lambda *_a, **_k: {})
    monkeypatch.setattr(worker, "_load", lambda *_a, **_k: module)
    worker.read("driver", refresh=False)
    assert worker._slots_of(module, "T7") == [7]
    assert listed == [20]
    slots[7], slots[20] = "other", "T7"
    assert worker._slots_of(module, "T7") == [20]
    assert listed == [20, 21]
    for slot in range(4, 21):
        slots.pop(slot, None)
    worker.infos("driver", refresh=False)
    assert worker._slots_of(module, "T3") == [3]
    assert listed == [20, 21, 4, 4]


def test_the_worker_reads_keys_after_a_write_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it answers to a write shows the objects by the handles they have then, whether it wrote or found it there."""
    from safetok.tokens import look
    from safetok.tokens.hands import Hands

    done: list[str] = []

    class Writing(Hands):
        def __init__(self, held: bytes) -> None:
            self._module, self._session, self._held = Mock(), Mock(), held

        def objects(self) -> dict[str, Any]:
            done.append("objects")
            return {"certificates": [[b"new", b"1", "safetok", 5]], "keys": ["as they are then"]}

        def info(self) -> dict[str, Any]:
            return {"serial": "1"}

        def destroy(self, handles: list[int], _object_class: int) -> int:
            done.append(f"destroy {handles}")
            return len(handles)

        def _write_certificate(self, fields: dict[str, bytes], _cka_id: bytes, _label: str) -> None:
            done.append(f"write {fields['value']!r}")

    for held, wanted in ((b"ne", ["destroy [7]", "write b'new'", "objects"]), (b"new", ["objects"])):
        monkeypatch.setattr(look, "certificates", lambda *_a, held=held: [[held, b"1", "safetok", 7]])
        done.clear()
        shown = Writing(held).place_certificate({"value": b"new"}, b"1", "safetok")
        assert done == wanted
        assert (shown["keys"], shown["info"]) == (["as they are then"], {"serial": "1"})


def test_a_private_key_alone_is_still_found(
    session: Session, softhsm: SoftHsm, made: MadeToken, rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """Without public key objects an RSA key is known by its modulus, and an EC key by its certificate's CKA_ID and a trial."""
    tool = ("pkcs11-tool", "--module", softhsm.module, "--token-label", made.label, "--login", "--pin", made.pin)
    for key in (rsa_key, ec_key):
        run(*tool, "--delete-object", "--type", "pubkey", "--id", usual_id(key).hex())
    assert {(key.key_type, key.spki, key.private, key.public) for key in (*session.keys(),)} == {
        ("RSA", spki_of(rsa_key), True, False),
        ("EC", None, True, False),
    }
    for key in (rsa_key, ec_key):
        assert spki_of(session.private_key(spki_of(key))) == spki_of(key)
    shown = {stored.certificate.key_type: stored for stored in session.certificates()}
    assert (shown["RSA"].key, shown["RSA"].key_by_id_only) == (KeyPresence.PRESENT, False)
    assert (shown["EC"].key, shown["EC"].key_by_id_only) == (KeyPresence.PRESENT, True)


def test_another_key_under_the_certificates_id_is_not_taken_for_its_own(
    tokens: Tokens, softhsm: SoftHsm, make_token: Make, make_certificate: Certify, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """A CKA_ID that points to a stranger's EC key is found out by the trial signature."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    made = make_token("Strange", certificates=[make_certificate(ec_key)], keys=[(stranger, usual_id(ec_key))])
    tool = ("pkcs11-tool", "--module", softhsm.module, "--token-label", made.label, "--login", "--pin", made.pin)
    run(*tool, "--delete-object", "--type", "pubkey", "--id", usual_id(ec_key).hex())
    with tokens.session(made.serial) as session:
        session.login(made.pin)
        with pytest.raises(NotTrusted) as raised:
            session.private_key(spki_of(ec_key))
        assert raised.value.code == "key_missing"


def test_locks_that_cannot_be_made_stop_before_the_login(
    open_tokens: Callable[..., Tokens], made: MadeToken, locks: Path
) -> None:
    """Without a lock there is no session: a file where the folder should be is a usage error with the system's reason."""
    locks.write_text("")
    with pytest.raises(UsageError) as raised:
        open_tokens().session(made.serial)
    assert raised.value.code == "locks_unusable"
