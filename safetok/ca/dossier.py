"""What papers the CA holds for one certificate, asked with the token's proof."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, get_args

import msgspec

from safetok.ca.offers import Random, ask_with_proof, decode, nothing_changed
from safetok.domain.authorities import Authority
from safetok.domain.certificates import Certificate
from safetok.domain.offers import DossierAnswer, DossierState

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from safetok.net import Http

_KNOWN: dict[str, DossierState] = {state: state for state in get_args(DossierState)}
_Paper = Annotated[str, msgspec.Meta(max_length=500)]


class _Dossier(msgspec.Struct):
    state: str
    since: date | None = None
    missing: Annotated[tuple[_Paper, ...], msgspec.Meta(max_length=50)] = ()


@nothing_changed()
def ask(
    http: Http,
    authority: Authority,
    certificate: Certificate,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    random: Random,
) -> DossierAnswer:
    """The dossier's state; a word safetok does not know is `unknown`. Raises as `offers.private_offer` does."""
    response = ask_with_proof(
        http, authority, certificate, key, path="/v1/dossiers", purpose="dossier", now=now, random=random
    )
    answer = decode(response.body, _Dossier)
    return DossierAnswer(state=_KNOWN.get(answer.state, "unknown"), since=answer.since, missing=answer.missing)
