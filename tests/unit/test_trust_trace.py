from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from support_trust import DAY, NOW, ca, ca_true, issue, key, name, rsa_key, usage, with_sha1

from safetok.domain.certificates import Certificate, parse
from safetok.trust.trace import MOMENTS, Trace, moments, trace

ROOT = ca("Vietnam National Root CA")
ISSUING = ca("SAFE-CA", "Vietnam National Root CA")
LEAF = issue(name("CONG TY A", "MST:0106324653"), "SAFE-CA", key("leaf"), key("SAFE-CA"))


def traced(
    leaf: Certificate = LEAF, *pool: Certificate, anchors: tuple[Certificate, ...] = (ROOT,), now: object = NOW
) -> Trace:
    return trace(leaf, pool=[one.der for one in pool], anchors=anchors, now=now)  # type: ignore[arg-type]


def names(found: Trace) -> list[str]:
    return [link.subject_name for link in found.chain[1:]]


def test_a_path_ends_at_its_anchor() -> None:
    """Leaf first, anchor last, as of now."""
    found = traced(LEAF, ISSUING)
    assert (found.anchored, found.code, found.at) == (True, "", NOW)
    assert names(found) == ["SAFE-CA", "Vietnam National Root CA"]


@pytest.mark.parametrize(
    ("pool", "anchors", "code", "reached"),
    [
        ((ISSUING,), (), "no_anchors", ["SAFE-CA"]),
        ((), (ROOT,), "no_issuer", []),
        ((ca("SUB", "SAFE-CA"),), (ROOT,), "no_issuer", []),
        ((ca("SAFE-CA", "Vietnam National Root CA", who="thief"),), (ROOT,), "not_its_issuer", []),
        ((ISSUING, ROOT), (ca("Other Root"),), "other_root", ["SAFE-CA", "Vietnam National Root CA"]),
        (
            (ISSUING, ROOT),
            (ca("Vietnam National Root CA", who="G2", by="G2"),),
            "other_root",
            ["SAFE-CA", "Vietnam National Root CA"],
        ),
        (
            (ca("SAFE-CA", "Vietnam National Root CA", ends=NOW - DAY),),
            (ROOT,),
            "link_not_in_force",
            ["SAFE-CA", "Vietnam National Root CA"],
        ),
        (
            (ca("SAFE-CA", "Vietnam National Root CA", extensions=()),),
            (ROOT,),
            "not_its_issuer",
            [],
        ),
    ],
    ids=[
        "no anchor",
        "no issuer",
        "a stranger",
        "forged",
        "another root",
        "a root of the same name",
        "an expired CA",
        "no CA by BasicConstraints",
    ],
)
def test_without_a_path_it_says_why_and_how_far_it_came(
    pool: tuple[Certificate, ...], anchors: tuple[Certificate, ...], code: str, reached: list[str]
) -> None:
    """Each obstacle has its code and a sentence, and the CAs at hand are named."""
    found = traced(LEAF, *pool, anchors=anchors)
    assert (found.anchored, found.code, names(found)) == (False, code, reached)
    assert found.reason


def test_a_root_of_the_same_name_is_told_from_another_root() -> None:
    """That the name is right and the certificate is not is said in its own words."""
    twin = traced(LEAF, ISSUING, ROOT, anchors=(ca("Vietnam National Root CA", who="G2", by="G2"),))
    other = traced(LEAF, ISSUING, ROOT, anchors=(ca("Other Root"),))
    assert twin.reason != other.reason


def test_a_link_signed_with_an_outdated_hash_is_named() -> None:
    """SHA-1 or SHA-224 on the way is no path, and the certificate that bears it is named."""
    signer = rsa_key("old root")
    root = issue("OLD ROOT", "OLD ROOT", signer, signer, [ca_true()], ends=NOW + 900 * DAY)
    extensions = [ca_true(), usage("key_cert_sign")]
    middle = issue("OLD CA", "OLD ROOT", key("OLD CA"), signer, extensions)
    by_sha1 = parse(with_sha1(middle.der, middle.x509().tbs_certificate_bytes, signer))
    by_sha224 = issue("OLD CA", "OLD ROOT", key("OLD CA"), signer, extensions, algorithm=hashes.SHA224())
    leaf = issue("X", "OLD CA", key("leaf"), key("OLD CA"))
    assert traced(leaf, middle, anchors=(root,)).anchored
    for weak in (by_sha1, by_sha224):
        found = traced(leaf, weak, anchors=(root,))
        assert (found.anchored, found.code) == (False, "weak_link")
        assert "OLD CA" in found.reason


def test_an_eddsa_link_is_a_path_and_not_outdated() -> None:
    """A CA signed with Ed25519 is on the path; where the path breaks elsewhere, it is not what is blamed."""
    signer = ed25519.Ed25519PrivateKey.generate()
    root = issue("ED ROOT", "ED ROOT", signer, signer, [ca_true()], ends=NOW + 900 * DAY)
    middle = issue("ED CA", "ED ROOT", key("ED CA"), signer, [ca_true(), usage("key_cert_sign")])
    leaf = issue("X", "ED CA", key("leaf"), key("ED CA"))
    assert traced(leaf, middle, anchors=(root,)).anchored
    forged = issue("ED CA", "ED ROOT", key("ED CA"), ed25519.Ed25519PrivateKey.generate(), [ca_true()])
    assert traced(leaf, forged, anchors=(root,)).code == "not_its_issuer"


def test_a_broken_rule_is_told_as_one() -> None:
    """Every link is there and signed, and the path length forbids it."""
    short = ca("SAFE-CA", "Vietnam National Root CA", extensions=(ca_true(0), usage("key_cert_sign")))
    leaf = issue("X", "SUB", key("leaf"), key("SUB"))
    assert traced(leaf, ca("SUB", "SAFE-CA"), short).code == "rules_broken"


@pytest.mark.parametrize("critical", [True, False])
def test_an_old_ca_s_basic_constraints_need_not_be_critical(critical: bool) -> None:
    """Old Vietnamese CAs have BasicConstraints that are not critical, and no KeyUsage: they are CAs all the same."""
    bare = [(x509.BasicConstraints(ca=True, path_length=None), critical)]
    old_root = ca("MIC National Root CA", extensions=bare)
    old_ca = ca("OLD-CA", "MIC National Root CA", extensions=bare)
    leaf = issue("X", "OLD-CA", key("leaf"), key("OLD-CA"), algorithm=hashes.SHA512())
    assert traced(leaf, old_ca, anchors=(old_root,)).anchored


def test_an_expired_certificate_s_path_is_of_its_own_time() -> None:
    """Long after the end of the certificate and its CA: the path as of the certificate's end, and the moment is told."""
    end = NOW - 60 * DAY
    ended = ca("SAFE-CA", "Vietnam National Root CA", ends=end)
    leaf = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"), begins=end - 400 * DAY, ends=end)
    found = traced(leaf, ended)
    assert (found.anchored, found.at) == (True, end)


def test_an_expired_certificate_that_outlived_its_ca() -> None:
    """A certificate whose CA ended before it: the path as of the CA's end, when both were in force."""
    end = NOW - 60 * DAY
    ended = ca("SAFE-CA", "Vietnam National Root CA", ends=end - 30 * DAY)
    leaf = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"), begins=end - 400 * DAY, ends=end)
    found = traced(leaf, ended)
    assert (found.anchored, found.at) == (True, end - 30 * DAY)


def test_a_certificate_in_force_is_asked_about_now_only() -> None:
    """A CA that has ended makes no path for a certificate that has not; one that has not begun is asked about at its start."""
    assert moments(LEAF, [ca("SAFE-CA", ends=NOW - DAY).der], (ROOT,), NOW) == (NOW,)
    early = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"), begins=NOW + DAY)
    found = traced(early, ISSUING)
    assert (found.anchored, found.at) == (True, NOW + DAY)


def test_the_moments_tried_are_bounded() -> None:
    """Sixty CAs with as many ends cost eight tries."""
    end = NOW - 60 * DAY
    leaf = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"), begins=end - 400 * DAY, ends=end)
    pool = [ca("SAFE-CA", "Nowhere", who="SAFE-CA", ends=end - n * DAY).der for n in range(1, 61)]
    assert len(moments(leaf, pool, (ROOT,), NOW)) == MOMENTS


def test_what_cannot_be_read_in_the_pool_is_passed_over() -> None:
    """Rubbish beside the issuer neither hides the path nor raises."""
    found = trace(LEAF, pool=[b"\x30\x00", b"", ISSUING.der], anchors=(ROOT,), now=NOW)
    assert found.anchored
