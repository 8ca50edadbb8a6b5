import datetime as dt
import hashlib
import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from support_tokens import MadeToken, SoftHsm, add_certificate, run, usual_id

from safetok.domain.certificates import Certificate, parse
from safetok.domain.tokens import KeyPresence, PinState
from safetok.tokens.drivers import DriverFile
from safetok.tokens.tokens import Deadlines, Tokens

Make = Callable[..., MadeToken]
Certify = Callable[..., x509.Certificate]


def files(folder: Path) -> dict[str, str]:
    """Every file under a folder with its hash."""
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_a_look_shows_the_token_its_certificates_and_their_keys(
    tokens: Tokens,
    make_token: Make,
    make_certificate: Certify,
    rsa_key: rsa.RSAPrivateKey,
    ec_key: ec.EllipticCurvePrivateKey,
) -> None:
    """Without a PIN: who the token is, what PIN it takes, each certificate as it is, and its key by the public key object."""
    certificates = [make_certificate(rsa_key, name="CÔNG TY A"), make_certificate(ec_key, name="CÔNG TY B")]
    made = make_token("Tủ A3", certificates=certificates, keys=[rsa_key, ec_key])
    reading = tokens.read()
    assert (reading.failed, len(reading.drivers), len(reading.tokens)) == ((), 1, 1)
    (token,) = reading.tokens
    info = token.info
    assert (info.serial, info.label, info.manufacturer, info.model) == (
        made.serial,
        "Tủ A3",
        "SoftHSM project",
        "SoftHSM v2",
    )
    assert (info.pin_state, info.pin_min, info.pin_max, info.pin_pad) == (PinState.OK, 4, 255, False)
    assert (info.write_protected, info.readable_only, info.drivers) == (False, False, reading.drivers)
    assert info.free_private is None
    stored = {one.certificate.subject_name: one for one in token.certificates}
    for certificate, name in zip(certificates, ("CÔNG TY A", "CÔNG TY B"), strict=True):
        assert stored[name].certificate == parse(certificate.public_bytes(Encoding.DER))
        assert (stored[name].cka_id, stored[name].key) == (usual_id(certificate), KeyPresence.PRESENT)
        assert not stored[name].key_by_id_only


def test_a_look_changes_no_byte(
    open_tokens: Callable[..., Tokens],
    softhsm: SoftHsm,
    make_token: Make,
    make_certificate: Certify,
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    """Neither a reading nor a dry run's session writes to the token or makes a lock."""
    made = make_token(certificates=[make_certificate(rsa_key)], keys=[rsa_key])
    before = files(softhsm.folder.parent)
    with open_tokens(dry_run=True) as tokens:
        assert tokens.read().tokens
        with tokens.session(made.serial) as session:
            assert session.certificates()
    assert files(softhsm.folder.parent) == before


def test_a_certificate_without_any_key_object_leaves_its_key_unknown(
    tokens: Tokens, make_token: Make, make_certificate: Certify, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Private keys hide before a login: nothing seen is nothing known."""
    make_token(certificates=[make_certificate(rsa_key)])
    assert tokens.read().tokens[0].certificates[0].key is KeyPresence.UNKNOWN


def test_a_certificate_whose_key_is_not_among_those_shown_has_none(
    tokens: Tokens,
    make_token: Make,
    make_certificate: Certify,
    rsa_key: rsa.RSAPrivateKey,
    other_rsa_key: rsa.RSAPrivateKey,
) -> None:
    """The token shows its public keys, and this certificate's is not among them, though the CKA_ID is the same."""
    make_token(certificates=[make_certificate(rsa_key)], keys=[(other_rsa_key, usual_id(rsa_key))])
    assert tokens.read().tokens[0].certificates[0].key is KeyPresence.ABSENT


def test_a_certificate_without_cka_id_is_read_and_paired(
    tokens: Tokens, make_token: Make, make_certificate: Certify, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Pairing goes by the public key, so an empty CKA_ID takes nothing away."""
    make_token(certificates=[(make_certificate(rsa_key), b"", "no id")], keys=[rsa_key])
    (stored,) = tokens.read().tokens[0].certificates
    assert (stored.cka_id, stored.label, stored.key) == (b"", "no id", KeyPresence.PRESENT)


def test_an_object_that_is_no_certificate_is_counted_and_costs_nothing_else(
    tokens: Tokens, softhsm: SoftHsm, make_token: Make, make_certificate: Certify, rsa_key: rsa.RSAPrivateKey
) -> None:
    """One object of nonsense does not hide the good one beside it."""
    made = make_token(certificates=[make_certificate(rsa_key), make_certificate(rsa_key, name="broken")])
    for file in made.folder.glob("*.object"):
        content = file.read_bytes()
        if b"broken" in content:
            file.write_bytes(content.replace(b"\x30\x82", b"\x31\x82"))
    (token,) = tokens.read().tokens
    assert (len(token.certificates), token.unreadable) == (1, 1)


def test_a_certificate_with_odd_names_stops_no_look(
    tokens: Tokens, make_token: Make, make_certificate: Certify, rsa_key: rsa.RSAPrivateKey
) -> None:
    """An alternative name of a form that `cryptography` does not know, on one token: it is shown, and so are all the others."""
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3002a300"))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder(name, name, rsa_key.public_key(), 7, now, now + dt.timedelta(days=9), [])
    certificate = builder.add_extension(odd, critical=False).sign(rsa_key, hashes.SHA256())
    make_token("odd", certificates=[certificate])
    make_token("good", certificates=[make_certificate(rsa_key)])
    reading = tokens.read()
    assert [len(token.certificates) for token in reading.tokens] == [1, 1]
    assert reading.failed == ()


def test_tokens_come_by_company_then_by_serial(
    tokens: Tokens, make_token: Make, make_certificate: Certify, rsa_key: rsa.RSAPrivateKey
) -> None:
    """The order is the company's name, whatever slots they are in; a token without a certificate comes last."""
    make_token("empty")
    for name in ("b", "C", "a"):
        make_token(name, certificates=[make_certificate(rsa_key, name=name)])
    assert [token.info.label for token in tokens.read().tokens] == ["a", "b", "C", "empty"]


def test_a_blank_serial_is_read_only(tokens: Tokens, make_token: Make) -> None:
    """A token without identity is shown and not opened."""
    make_token("blank", serial=" " * 16)
    (token,) = tokens.read().tokens
    assert (token.info.serial, token.info.readable_only) == ("", True)


def test_one_token_through_two_drivers_is_one_token(
    open_tokens: Callable[..., Tokens],
    softhsm: SoftHsm,
    make_token: Make,
    make_certificate: Certify,
    rsa_key: rsa.RSAPrivateKey,
    tmp_path: Path,
) -> None:
    """The same serial, manufacturer and certificates seen by two drivers is one entry that names both."""
    made = make_token(certificates=[make_certificate(rsa_key)], keys=[rsa_key])
    copy = tmp_path / "second.so"
    copy.write_bytes(Path(softhsm.module).read_bytes())
    drivers = [DriverFile(path=str(path), name="x", source="flag") for path in (softhsm.module, copy)]
    tokens = open_tokens(drivers=drivers)
    (token,) = tokens.read().tokens
    assert (token.info.drivers, token.info.readable_only) == ((softhsm.module, str(copy)), False)
    with tokens.session(made.serial) as session:
        assert session.info.serial == made.serial


def test_a_file_that_is_no_driver_costs_its_own_rows_only(
    open_tokens: Callable[..., Tokens], softhsm: SoftHsm, make_token: Make, tmp_path: Path
) -> None:
    """A broken file, a missing one and a library that is no driver are reported by name; the good driver's tokens are shown."""
    make_token("good")
    (tmp_path / "broken.so").write_bytes(b"\x7fELF")
    libc = next(
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "/libc.so" in line or "/libc-" in line
    )
    paths = [str(tmp_path / "broken.so"), str(tmp_path / "missing.so"), libc, softhsm.module]
    reading = open_tokens(drivers=[DriverFile(path=p, name="x", source="flag") for p in paths]).read()
    assert [(failed.driver, failed.code) for failed in reading.failed] == [
        (paths[0], "no_library"),
        (paths[1], "not_loadable"),
        (paths[2], "not_loadable"),
    ]
    assert reading.drivers == (softhsm.module,)
    assert [token.info.label for token in reading.tokens] == ["good"]


def test_a_known_certificate_is_not_parsed_again(
    open_tokens: Callable[..., Tokens], make_token: Make, make_certificate: Certify, rsa_key: rsa.RSAPrivateKey
) -> None:
    """What the store remembers by its hash is taken from there."""
    certificate = parse(make_certificate(rsa_key).public_bytes(Encoding.DER))
    make_token(certificates=[certificate.x509()])
    asked: list[list[str]] = []

    def known(hashes: Collection[str]) -> dict[str, Certificate]:
        asked.append([*hashes])
        return {certificate.sha256: certificate}

    reading = open_tokens(known=known).read()
    assert reading.tokens[0].certificates[0].certificate is certificate
    assert asked == [[certificate.sha256]]


def test_certificates_are_looked_up_together_while_the_driver_reads_on(
    monkeypatch: pytest.MonkeyPatch,
    open_tokens: Callable[..., Tokens],
    make_token: Make,
    make_certificate: Certify,
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    """Of five tokens two at a time, the last by itself; one certificate on two tokens is looked up once."""
    monkeypatch.setattr("safetok.tokens.tokens._PARSED_TOGETHER", 2)
    certificates = [make_certificate(rsa_key) for _ in range(4)]
    for number, certificate in enumerate([*certificates, certificates[0]]):
        make_token(str(number), certificates=[certificate])
    asked: list[str] = []

    def known(hashes: Collection[str]) -> dict[str, Certificate]:
        assert len(hashes) <= 2
        asked.extend(hashes)
        return {}

    reading = open_tokens(known=known).read()
    there = sorted(stored.certificate.sha256 for token in reading.tokens for stored in token.certificates)
    assert there == sorted(parse(one.public_bytes(Encoding.DER)).sha256 for one in [*certificates, certificates[0]])
    assert sorted(asked) == sorted({*there})


def test_every_reading_sees_what_came_since(
    tokens: Tokens, softhsm: SoftHsm, make_token: Make, make_certificate: Certify, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Tokens and certificates that appear between two readings of one run are in the second."""
    first = make_token("first")
    assert len(tokens.read().tokens) == 1
    make_token("second")
    add_certificate(softhsm, first, make_certificate(rsa_key))
    assert sorted((t.info.label, len(t.certificates)) for t in tokens.read().tokens) == [("first", 1), ("second", 0)]


def test_insertions_yield_once_at_once_and_then_only_changes(tokens: Tokens, make_token: Make) -> None:
    """The one insertion generator: the state now, then one reading for each change of the set, until its time is over."""
    start = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    now = [start]
    tokens._clock = lambda: now[0]
    made: list[MadeToken] = []

    def sleep(seconds: float) -> None:
        now[0] += dt.timedelta(seconds=seconds)
        if now[0] == start + dt.timedelta(seconds=2):
            made.append(make_token("came"))
        if now[0] == start + dt.timedelta(seconds=5):
            run("softhsm2-util", "--delete-token", "--serial", made[0].serial)

    seen = tokens.insertions(sleep=sleep, until=start + dt.timedelta(seconds=8))
    assert [[token.info.label for token in reading.tokens] for reading in seen] == [[], ["came"], []]


def test_no_driver_and_no_token_are_an_empty_reading(open_tokens: Callable[..., Tokens], tokens: Tokens) -> None:
    """Nothing to see is no failure here: the command says what to do next."""
    assert open_tokens(drivers=[]).read().tokens == ()
    reading = tokens.read()
    assert (reading.tokens, reading.failed, len(reading.drivers)) == ((), (), 1)


def test_a_driver_that_hangs_is_reported_and_the_next_reading_starts_afresh(
    open_tokens: Callable[..., Tokens], make_token: Make
) -> None:
    """A worker that does not answer within its deadline is ended by name; a new one serves the next reading."""
    make_token("good")
    tokens = open_tokens()
    tokens.read()
    tokens._deadlines = Deadlines(look=0.3)
    (worker,) = next(iter(tokens._idle.values()))
    os.kill(worker.pid, 19)  # SIGSTOP
    reading = tokens.read()
    assert [(failed.code, failed.driver) for failed in reading.failed] == [("timed_out", worker.driver)]
    again = open_tokens().read()
    assert (again.failed, len(again.tokens)) == ((), 1)


def test_a_driver_that_crashes_is_reported_with_how_it_ended(tokens: Tokens, make_token: Make) -> None:
    """A worker that dies says so in the report, by the signal's name; the next reading is good again."""
    make_token("good")
    tokens.read()
    (worker,) = next(iter(tokens._idle.values()))
    os.kill(worker.pid, 11)  # SIGSEGV
    (failed,) = tokens.read().failed
    assert (failed.code, failed.detail) == ("crashed", "SIGSEGV")
    assert len(tokens.read().tokens) == 1
