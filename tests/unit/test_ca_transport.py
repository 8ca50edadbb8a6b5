from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support_ca import ENDPOINT, Server, answered, granted, issuer, opening

from safetok.ca.cmp.endpoint import Endpoint, endpoint_of
from safetok.ca.cmp.transport import send
from safetok.domain.authorities import Authority
from safetok.errors import CaUnreachable, CaWait, NoAnswer, PersonNeeded, UsageError

TO = opening()
KUP = granted(TO)


def ask(status: int = 200, body: bytes = KUP, endpoint: Endpoint = ENDPOINT, label: str = "", **headers: str) -> Any:
    wire = answered(status, body, **headers)
    return send(wire, endpoint, TO.der, label=label), wire  # type: ignore[arg-type]


def test_a_message_is_posted_as_it_is() -> None:
    """POST, application/pkixcmp (RFC 9811), the stored bytes, the authority's own TLS roots, a bound on the answer."""
    endpoint = replace(ENDPOINT, tls_ca=Path("/roots.pem"))
    raw, wire = ask(endpoint=endpoint)
    assert raw == KUP
    ((method, url, how),) = wire.sent
    assert (method, url) == ("POST", ENDPOINT.url)
    assert how["body"] == TO.der
    assert how["headers"]["Content-Type"] == "application/pkixcmp"
    assert (how["tls_ca"], how["limit"]) == (Path("/roots.pem"), 1 << 20)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500, 503])
def test_a_pki_message_counts_whatever_the_http_status(status: int) -> None:
    """Error bodies of a CA are protected messages like any other, also beside Retry-After."""
    error = Server().answer(TO, "error", {"pKIStatusInfo": {"status": 2}})
    assert ask(status, error, retry_after="60")[0] == error


@pytest.mark.parametrize(("status", "retry", "seconds"), [(503, "120", 120), (429, "0", 0)])
def test_a_busy_server_says_when_to_come_back(status: int, retry: str, seconds: int) -> None:
    """503 and 429 with Retry-After and no message: wait, that long."""
    with pytest.raises(CaWait) as error:
        ask(status, b"<html>busy</html>", retry_after=retry)
    assert error.value.data == {"retry_after": seconds}


@pytest.mark.parametrize("status", [500, 502, 503, 429, 404, 204, 200])
def test_no_message_is_no_answer(status: int) -> None:
    """A web page, nothing at all, or half a message: nothing follows from it, whatever the status."""
    for body in (b"", b"<html>", KUP[:-1]):
        with pytest.raises(CaUnreachable) as error:
            ask(status, body)
        assert isinstance(error.value, NoAnswer) is (status < 500)


@pytest.mark.parametrize(
    ("url", "kind", "label", "expected"),
    [
        ("https://ca.vn/.well-known/cmp", "kur", "", "https://ca.vn/.well-known/cmp/keyupdate"),
        ("https://ca.vn/.well-known/cmp/", "cr", "", "https://ca.vn/.well-known/cmp/certification"),
        ("https://ca.vn/.well-known/cmp/p/bu", "p10cr", "", "https://ca.vn/.well-known/cmp/p/bu/pkcs10"),
        ("https://ca.vn/.well-known/cmp", "p10cr", "p10", "https://ca.vn/.well-known/cmp/pkcs10"),
        ("https://ca.vn/.well-known/cmp", "kur", "nested", "https://ca.vn/.well-known/cmp/nested"),
        ("https://ca.vn/.well-known/cmp/keyupdate", "kur", "", "https://ca.vn/.well-known/cmp/keyupdate"),
        ("https://ca.vn/ejbca/publicweb/cmp/bu?x=1", "kur", "kur", "https://ca.vn/ejbca/publicweb/cmp/bu?x=1"),
        ("https://ca.vn", "kur", "", "https://ca.vn"),
    ],
)
def test_the_well_known_address_gets_the_operation(url: str, kind: Any, label: str, expected: str) -> None:
    """RFC 9483 section 6.1: at /.well-known/cmp the operation is appended; any other address is used as it is."""
    _raw, wire = ask(endpoint=replace(ENDPOINT, url=url, request=kind), label=label)
    assert wire.sent[0][1] == expected


def test_an_endpoint_is_made_of_an_authority() -> None:
    """Settings arrive where they are used; the recipient is an RFC 4514 name."""
    authority = Authority(
        name="x",
        title="X",
        url="https://x.vn/",
        recipient="CN=X CMP,C=VN",
        profile="p",
        implicit_confirm=True,
        request="cr",
    )
    made = endpoint_of(authority, (issuer(),), issuer())
    assert made.recipient
    assert replace(made, recipient=b"") == Endpoint(
        url="https://x.vn/", signer=issuer(), issuers=(issuer(),), profile="p", implicit_confirm=True, request="cr"
    )


def test_an_authority_without_address_needs_a_person() -> None:
    """SAFE-CA's and LCS-CA's addresses are not public; a recipient that is no name is a setting to correct."""
    with pytest.raises(PersonNeeded) as error:
        endpoint_of(Authority(name="safe-ca", title="SAFE-CA"), (), None)
    assert error.value.code == "no_endpoint"
    with pytest.raises(UsageError) as usage:
        endpoint_of(Authority(name="x", title="X", url="https://x/", recipient="not a name"), (), None)
    assert usage.value.code == "bad_recipient"
