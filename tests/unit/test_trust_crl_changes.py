from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding
from support_trust import CRL_URL, DAY, NOW, Web, ca, ca_true, issue, key, name, places, rsa_key
from test_trust_crl import HOLD, crl, entry, scope

from safetok.domain.certificates import Certificate
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import NotChecked
from safetok.trust.crl import ask, read

CHANGES_URL = "http://crl.example.vn/changes.crl"
ISSUER = ca("SAFE-CA")
LEAF = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), places(), serial=4711)
LIFTED = (x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)
FRESHEST = x509.DistributionPoint([x509.UniformResourceIdentifier(CHANGES_URL)], None, None, None)
GOOD, REVOKED, SUSPENDED = RevocationAnswer.GOOD, RevocationAnswer.REVOKED, RevocationAnswer.SUSPENDED


def whole(*entries: x509.RevokedCertificate, more: tuple[Any, ...] = (), **bent: Any) -> bytes:
    return crl(*entries, extensions=((x509.CRLNumber(7), False), (x509.FreshestCRL([FRESHEST]), False), *more), **bent)


def changes(
    *entries: x509.RevokedCertificate,
    since: int | None = 7,
    number: int | None = 9,
    more: tuple[Any, ...] = (),
    **bent: Any,
) -> bytes:
    extensions = [(x509.CRLNumber(number), False)] if number is not None else []
    if since is not None:
        extensions.append((x509.DeltaCRLIndicator(since), True))
    return crl(*entries, extensions=(*extensions, *more), **{"begins": NOW - timedelta(hours=1), **bent})


def asked(
    pages: dict[str, object], *, leaf: Certificate = LEAF, cache: Path | None = None, web: Web | None = None
) -> Revocation:
    return ask(leaf.x509(), ISSUER.x509(), CRL_URL, http=web or Web(pages), now=NOW, cache=cache)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "since", "expected"),
    [
        ([], [], GOOD),
        ([], [entry()], REVOKED),
        ([], [entry(HOLD)], SUSPENDED),
        ([entry(HOLD)], [], SUSPENDED),
        ([entry(HOLD)], [entry(LIFTED)], GOOD),
        ([entry(HOLD)], [entry()], REVOKED),
        ([entry()], [], REVOKED),
    ],
)
def test_changes_are_laid_over_the_list(before: list[Any], since: list[Any], expected: RevocationAnswer) -> None:
    """What has changed since counts: newly revoked, suspended, lifted; what has not stays as the list has it."""
    assert asked({CRL_URL: whole(*before), CHANGES_URL: changes(*since)}).answer is expected


def test_the_answer_is_as_old_as_the_changes() -> None:
    """The thisUpdate told is that of the changes."""
    assert asked({CRL_URL: whole(), CHANGES_URL: changes()}).produced_at == NOW - timedelta(hours=1)


def test_the_certificate_may_say_where_the_changes_are() -> None:
    """Where the list names no place for them, the certificate's own FreshestCRL does."""
    leaf = issue(
        "A", "SAFE-CA", key("leaf"), key("SAFE-CA"), [*places(), (x509.FreshestCRL([FRESHEST]), False)], serial=4711
    )
    plain = crl(extensions=((x509.CRLNumber(7), False),))
    assert asked({CRL_URL: plain, CHANGES_URL: changes(entry())}, leaf=leaf).answer is REVOKED


@pytest.mark.parametrize(
    "page",
    [
        None,
        404,
        b"nonsense",
        changes(entry(), signer=key("thief")),
        changes(entry(), issuer="OTHER-CA", signer=key("OTHER-CA")),
        changes(entry(), ends=NOW - timedelta(seconds=1)),
        changes(entry(), begins=NOW + DAY, ends=NOW + 2 * DAY),
        changes(entry(), since=8),
        changes(entry(), since=5, number=6),
        changes(entry(), number=None),
        changes(entry(), since=None),
        changes(entry(), more=(scope(only_contains_user_certs=True),)),
    ],
    ids=[
        "not reached", "error page", "nonsense", "forged", "another CA's", "past", "future", "of a later list",
        "older than the list", "without number", "a whole list", "another scope",
    ],
)  # fmt: skip
def test_changes_in_doubt_change_nothing(page: object) -> None:
    """The list stands as it is until its own nextUpdate; no doubtful change revokes or lifts anything."""
    assert asked({CRL_URL: whole(), CHANGES_URL: page}).answer is GOOD
    assert asked({CRL_URL: whole(entry(HOLD)), CHANGES_URL: page}).answer is SUSPENDED


def test_changes_of_the_list_s_own_number_count() -> None:
    """A CA that gives both out at once numbers them alike (RFC 5280 5.2.3)."""
    assert asked({CRL_URL: whole(), CHANGES_URL: changes(entry(), number=7)}).answer is REVOKED


def test_changes_to_a_list_without_number_are_not_used() -> None:
    """A list that has no number cannot be what changes belong to."""
    unnumbered = crl(extensions=((x509.FreshestCRL([FRESHEST]), False),))
    assert asked({CRL_URL: unnumbered, CHANGES_URL: changes(entry())}).answer is GOOD


def test_changes_cannot_stand_in_for_a_list() -> None:
    """A list that is out of date is not made current by its changes."""
    with pytest.raises(NotChecked) as error:
        asked({CRL_URL: whole(ends=NOW - timedelta(seconds=1), begins=NOW - DAY), CHANGES_URL: changes()})
    assert error.value.code == "crl_stale"


def test_changes_are_kept_to_their_own_next_update(tmp_path: Path) -> None:
    """Both lists come from the cache the second time; changes that are over are fetched anew beside the kept list."""
    listed = whole()
    web = Web({CRL_URL: listed, CHANGES_URL: changes()})
    asked({}, cache=tmp_path, web=web)
    asked({}, cache=tmp_path, web=web)
    assert [url for _method, url in web.asked] == [CRL_URL, CHANGES_URL]
    web = Web({CHANGES_URL: changes(entry(), number=10)})
    for kept in tmp_path.iterdir():
        if kept.read_bytes() != listed:
            kept.write_bytes(changes(ends=NOW - timedelta(seconds=1)))
    assert asked({}, cache=tmp_path, web=web).answer is REVOKED
    assert [url for _method, url in web.asked] == [CHANGES_URL]


@pytest.mark.parametrize(
    "signer",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        rsa_key("SAFE-CA RSA"),
    ],
    ids=["ECDSA", "Ed25519", "Ed448", "RSASSA-PSS"],
)
def test_lists_of_every_signature_are_understood(signer: Any) -> None:
    """ECDSA, EdDSA and RSASSA-PSS beside PKCS#1 v1.5; another key's is not believed."""
    issuer = issue("SAFE-CA", "SAFE-CA", signer, key("SAFE-CA"), [ca_true()])
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48) if issuer.key_type == "RSA" else None
    pure = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    body = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name("SAFE-CA"))
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_revoked_certificate(entry())
        .sign(signer, None if pure else hashes.SHA384(), rsa_padding=pss)
        .public_bytes(Encoding.DER)
    )
    assert read(body, LEAF.x509(), issuer.x509(), now=NOW).answer is REVOKED
    with pytest.raises(NotChecked) as error:
        read(body, LEAF.x509(), ISSUER.x509(), now=NOW)
    assert error.value.code == "crl_not_signed"
