from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from support_trust import DAY, NOW, ca, ca_false, ca_true, issue, key, name, rsa_key, usage

from safetok.domain.certificates import Certificate
from safetok.errors import NotTrusted
from safetok.trust.path import build_path, issuer_of, moment_of

ROOT = ca("Vietnam National Root CA")
ISSUING = ca("SAFE-CA", "Vietnam National Root CA", extensions=(ca_true(0), usage("key_cert_sign", "crl_sign")))
LEAF = issue(name("CONG TY A", "MST:0106324653"), "SAFE-CA", key("leaf"), key("SAFE-CA"), [usage("digital_signature")])


def path(
    leaf: Certificate, *helping: Certificate, anchors: tuple[Certificate, ...] = (ROOT,), at: datetime = NOW
) -> list[str]:
    chain = build_path(leaf, intermediates=[c.der for c in helping], anchors=anchors, at=at)
    assert chain[0] == leaf
    return [link.subject_name for link in chain[1:]]


def refused(*args: Certificate, **more: object) -> bool:
    with pytest.raises(NotTrusted) as error:
        path(*args, **more)  # type: ignore[arg-type]
    return error.value.code == "no_path"


def test_a_certificate_without_san_chains_through_its_ca() -> None:
    """A subscriber of a Vietnamese CA, with no SAN and no key identifiers, is accepted under its root."""
    assert path(LEAF, ISSUING) == ["SAFE-CA", "Vietnam National Root CA"]


def test_order_does_not_matter() -> None:
    """Intermediates come in any order, with strangers between them."""
    sub = ca("SUB", "TOP")
    leaf = issue("X", "SUB", key("leaf"), key("SUB"))
    for order in itertools.permutations([sub, ca("TOP", "Vietnam National Root CA"), ca("STRANGER")]):
        assert path(leaf, *order) == ["SUB", "TOP", "Vietnam National Root CA"]


def test_several_roots_carry_one_name() -> None:
    """With G1, G2 and G3 of one name as anchors, the one whose key signed is found, wherever it stands."""
    others = [ca("Vietnam National Root CA", who=f"root {n}", by=f"root {n}") for n in (2, 3)]
    for anchors in itertools.permutations([ROOT, *others]):
        chain = build_path(LEAF, intermediates=[ISSUING.der], anchors=anchors, at=NOW)
        assert chain[-1] == ROOT


def test_a_cross_signed_root_leads_to_the_other_anchor() -> None:
    """A new root, cross-signed by the old one, is a path for who only knows the old one."""
    old = ca("MIC National Root CA")
    cross = ca("Vietnam National Root CA", "MIC National Root CA")
    assert path(LEAF, ISSUING, cross, anchors=(old,)) == ["SAFE-CA", "Vietnam National Root CA", "MIC National Root CA"]


def test_an_old_ca_with_rsa_and_bare_extensions_is_accepted() -> None:
    """BasicConstraints alone make a CA: no KeyUsage, no key identifiers, RSA with SHA-512 all the way."""
    old, leaf_key = rsa_key("old ca"), rsa_key("leaf")
    root = issue("OLD", "OLD", old, old, [ca_true()], algorithm=hashes.SHA512())
    assert path(issue("X", "OLD", leaf_key, old), anchors=(root,)) == ["OLD"]


@pytest.mark.parametrize(
    "extensions",
    [(), (ca_false(),), (ca_true(), usage("digital_signature", "crl_sign"))],
    ids=["no BasicConstraints", "CA:FALSE", "no keyCertSign"],
)
def test_only_a_ca_issues(extensions: tuple[tuple[x509.ExtensionType, bool], ...]) -> None:
    """An issuer that is no CA, or may not sign certificates, makes no path."""
    assert refused(LEAF, ca("SAFE-CA", "Vietnam National Root CA", extensions=extensions))


def test_an_anchor_too_may_sign_certificates() -> None:
    """A configured root whose KeyUsage lacks keyCertSign, or that is no CA, anchors nothing."""
    for extensions in ((ca_true(), usage("crl_sign")), (ca_false(),), ()):
        assert refused(LEAF, ISSUING, anchors=(ca("Vietnam National Root CA", extensions=extensions),))


def test_path_length_binds() -> None:
    """A CA with pathLenConstraint 0 makes subscribers, not CAs."""
    sub = ca("SUB", "SAFE-CA")
    assert refused(issue("X", "SUB", key("leaf"), key("SUB")), sub, ISSUING)


def test_a_stranger_with_the_ca_s_name_is_no_issuer() -> None:
    """The right name with another key makes no path."""
    assert refused(LEAF, ca("SAFE-CA", "Vietnam National Root CA", who="thief"))
    assert refused(issue("X", "SAFE-CA", key("leaf"), key("thief")), ISSUING)


def test_no_anchor_no_trust() -> None:
    """A self-signed root that came along is not an anchor, and without anchors nothing is trusted."""
    assert refused(LEAF, ISSUING, ROOT, anchors=())
    assert refused(LEAF, ISSUING, ROOT, anchors=(ca("Other Root"),))


def test_expired_links_break_a_path() -> None:
    """A path counts only while every link is in force."""
    short = ca("SAFE-CA", "Vietnam National Root CA", ends=NOW + DAY)
    assert path(LEAF, short) == ["SAFE-CA", "Vietnam National Root CA"]
    assert refused(LEAF, short, at=NOW + 2 * DAY)
    assert refused(LEAF, ISSUING, at=LEAF.not_after + DAY)


def test_an_expired_certificate_is_judged_at_its_end() -> None:
    """An expired certificate under a CA that ended the same instant still has a path: at its notAfter."""
    end = NOW - 60 * DAY
    short = ca("SAFE-CA", "Vietnam National Root CA", ends=end)
    leaf = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"), begins=end - 400 * DAY, ends=end)
    assert refused(leaf, short)
    assert moment_of(leaf, NOW) == end
    assert path(leaf, short, at=moment_of(leaf, NOW)) == ["SAFE-CA", "Vietnam National Root CA"]
    assert moment_of(LEAF, NOW) == NOW


def test_a_poisoned_list_hides_nothing() -> None:
    """Sixty certificates of the CA's name that nobody trusts, and broken ones, do not hide the good path."""
    same_key = [ca("SAFE-CA", "Nowhere", who="SAFE-CA", ends=NOW + timedelta(days=n + 1)) for n in range(60)]
    chain = build_path(
        LEAF, intermediates=[b"\x30\x00", *(c.der for c in same_key), ISSUING.der], anchors=[ROOT], at=NOW
    )
    assert len(chain) == 3


def test_a_circle_of_cas_ends() -> None:
    """Two CAs that signed each other lead nowhere, in finite time."""
    one, two = ca("ONE", "TWO"), ca("TWO", "ONE")
    assert refused(issue("X", "ONE", key("leaf"), key("ONE")), one, two)


@pytest.mark.parametrize("extensions", [(ca_true(), usage("crl_sign")), (ca_false(), usage("key_cert_sign")), ()])
def test_whoever_may_not_sign_certificates_issued_none(extensions: tuple[tuple[x509.ExtensionType, bool], ...]) -> None:
    """The right name and key, but no CA, or one whose KeyUsage lacks keyCertSign: it is nobody's issuer."""
    assert issuer_of(LEAF.x509(), [ISSUING.x509()]) == ISSUING.x509()
    bent = ca("SAFE-CA", "Vietnam National Root CA", extensions=extensions)
    assert issuer_of(LEAF.x509(), [bent.x509()]) is None
