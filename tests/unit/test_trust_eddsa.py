from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from support_trust import DAY, NOW, ca, ca_false, ca_true, issue, key, rsa_key, usage

from safetok.domain.certificates import Certificate
from safetok.errors import NotTrusted
from safetok.trust.path import build_path

ED_ROOT, ED_SUB = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
CA = (ca_true(), usage("key_cert_sign", "crl_sign"))
ROOT = issue("ED ROOT", "ED ROOT", ED_ROOT, ED_ROOT, CA, begins=NOW - 900 * DAY, ends=NOW + 900 * DAY)
SUB = issue("ED SUB", "ED ROOT", ED_SUB, ED_ROOT, CA, ends=NOW + 800 * DAY)
LEAF = issue("CONG TY A", "ED SUB", key("leaf"), ED_SUB, [ca_false()])


def names(leaf: Certificate, *helping: Certificate, anchor: Certificate = ROOT) -> list[str]:
    chain = build_path(leaf, intermediates=[c.der for c in helping], anchors=[anchor], at=NOW)
    return [link.subject_name for link in chain[1:]]


def test_a_hierarchy_of_eddsa_is_walked() -> None:
    """Root, CA and subscriber all signed with Ed25519 make a path, whatever the order they come in."""
    assert names(LEAF, ca("STRANGER"), SUB) == ["ED SUB", "ED ROOT"]


def test_an_eddsa_ca_under_another_root_is_walked() -> None:
    """An EdDSA CA may stand under an EC root: one link of it is enough."""
    root = ca("EC ROOT")
    sub = issue("ED SUB", "EC ROOT", ED_SUB, key("EC ROOT"), CA)
    assert names(LEAF, sub, anchor=root) == ["ED SUB", "EC ROOT"]


@pytest.mark.parametrize(
    "sub",
    [
        issue("ED SUB", "ED ROOT", ED_SUB, ED_ROOT, CA, ends=NOW - DAY),
        issue("ED SUB", "ED ROOT", ED_SUB, ED_ROOT, CA, begins=NOW + DAY),
        issue("ED SUB", "ED ROOT", ED_SUB, ED_ROOT, [ca_false()]),
        issue("ED SUB", "ED ROOT", ED_SUB, ED_ROOT, [ca_true(), usage("crl_sign")]),
        issue("ED SUB", "ED ROOT", ED_SUB, ed25519.Ed25519PrivateKey.generate(), CA),
        issue("ED SUB", "ED ROOT", ED_SUB, ED_ROOT, [*CA, (x509.InhibitAnyPolicy(0), True)]),
    ],
    ids=["expired", "not yet", "no CA", "may not sign", "a stranger's", "critical and unknown"],
)
def test_each_rule_of_a_path_binds_alone(sub: Certificate) -> None:
    """A CA that is expired, early, no CA, not allowed to sign, signed by another or strange makes no path."""
    with pytest.raises(NotTrusted) as error:
        names(LEAF, sub)
    assert error.value.code == "no_path"


def test_the_path_length_binds() -> None:
    """A root that allows no CA below it has no path through one."""
    root = issue("ED ROOT", "ED ROOT", ED_ROOT, ED_ROOT, [ca_true(0), usage("key_cert_sign")])
    with pytest.raises(NotTrusted):
        names(LEAF, SUB, anchor=root)
    assert names(issue("X", "ED ROOT", key("leaf"), ED_ROOT, [ca_false()]), anchor=root) == ["ED ROOT"]


def test_a_weak_link_beside_an_eddsa_one_is_no_path() -> None:
    """RSA of 1024 bits above an EdDSA CA is as weak as anywhere else."""
    weak = rsa_key("weak", 1024)
    root = issue("WEAK ROOT", "WEAK ROOT", weak, weak, CA)
    sub = issue("ED SUB", "WEAK ROOT", ED_SUB, weak, CA)
    with pytest.raises(NotTrusted):
        names(LEAF, sub, anchor=root)


def test_the_anchor_itself_must_be_in_force() -> None:
    """An expired root is no anchor."""
    root = issue("ED ROOT", "ED ROOT", ED_ROOT, ED_ROOT, CA, begins=NOW - 90 * DAY, ends=NOW - DAY)
    with pytest.raises(NotTrusted):
        names(LEAF, SUB, anchor=root)
