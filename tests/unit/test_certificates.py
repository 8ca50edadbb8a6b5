"""Certificates as they come: whatever a CA, or a liar, has put into one, it is read or it is none, and nothing else happens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from support_trust import ca_false, issue, key

from safetok.ca.offers import cert_id
from safetok.domain.certificates import LONGEST_SERIAL, Certificate, parse
from safetok.errors import UsageError
from safetok.store.pem import LARGEST, load_pem

ALT_NAMES = x509.ObjectIdentifier("2.5.29.17")
FOREIGN_FORM = bytes.fromhex("3002a300")  # an x400Address (RFC 5280 4.2.1.6), which `cryptography` has no word for


def odd(*, serial: int = 5) -> Certificate:
    """One whose extensions cannot be read, for the sake of one name."""
    extensions = [ca_false(), (x509.UnrecognizedExtension(ALT_NAMES, FOREIGN_FORM), False)]
    return issue("CÔNG TY A", "CA", key("odd"), key("ca"), extensions, serial=serial)


def test_a_name_of_an_unknown_form_costs_the_extensions_only() -> None:
    """It is the certificate that it is, a subscriber's; the CA cannot be asked for an offer by it, and that is said."""
    found = odd()
    assert (found.subject_name, found.is_ca) == ("CÔNG TY A", False)
    with pytest.raises(UsageError) as refused:
        cert_id(found)
    assert refused.value.code == "no_authority_key_id"


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize(("content", "shown"), [("05", "05"), ("85", "85"), ("80", "80"), ("00", "00")])
def test_a_serial_is_its_bytes(content: str, shown: str) -> None:
    """Also a negative one, or none at all: RFC 5280 4.1.2.2 wants users to get along with both."""
    found = parse(_with_serial(int.from_bytes(bytes.fromhex(content), "big", signed=True)))
    assert (found.serial, found.serial_decimal) == (shown, str(int(shown, 16)))


def test_a_serial_that_no_ca_gives_makes_it_no_certificate() -> None:
    """Up to a bound it is shown, in decimal too; a longer one, of thousands of digits, Python would not write so."""
    longest = int("7f" * LONGEST_SERIAL, 16)
    assert int(parse(_with_serial(longest)).serial_decimal) == longest
    with pytest.raises(UsageError) as refused:
        parse(_with_serial(longest << 8))
    assert refused.value.code == "bad_certificate"


def _with_serial(number: int) -> bytes:
    """`cryptography` itself makes none that is negative, or long."""
    bent = asn1.Certificate.load(issue("A", "CA", key("odd"), key("ca")).der)
    bent["tbs_certificate"]["serial_number"] = number
    return bytes(bent.dump(force=True))


def test_what_only_begins_to_be_der_is_no_certificate(tmp_path: Path) -> None:
    """A length that says nothing, and then the end."""
    file = tmp_path / "cut.cer"
    file.write_bytes(bytes.fromhex("3083000000"))
    with pytest.raises(UsageError) as refused:
        load_pem(file)
    assert refused.value.code == "bad_certificate_file"


@pytest.mark.parametrize("line", [b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN A-----\n", b"-----BEGIN PKCS7-----\n"])
def test_blocks_that_never_end_are_looked_through_once(tmp_path: Path, line: bytes) -> None:
    """As many beginnings as a file may hold: refused at once, not after hours."""
    file = tmp_path / "endless.pem"
    file.write_bytes(line * (LARGEST // len(line)))
    begun = time.process_time()
    with pytest.raises(UsageError) as refused:
        load_pem(file)
    assert refused.value.code == "bad_certificate_file"
    assert time.process_time() - begun < 10


def test_certificates_between_other_things_are_found(tmp_path: Path) -> None:
    """Words, a key and a block without its end stand around them, as a CA's mail has them."""
    one, two = odd(), odd(serial=6)
    pem = [found.x509().public_bytes(Encoding.PEM) for found in (one, two)]
    key_block = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    file = tmp_path / "mail.txt"
    file.write_bytes(b"Kinh gui\n" + pem[0] + key_block + pem[1] + b"-----BEGIN PKCS7-----\nAAAA\n")
    assert load_pem(file) == (one, two)
