"""Which certificates are the same company's: by tax code, else by the whole subject."""

from __future__ import annotations

from safetok.domain.certificates import Certificate


def plain_mst(mst: str) -> str:
    """A tax code as it is compared: without spaces, a branch with its dash (`0301519977-029`)."""
    digits = "".join(mst.split()).replace("-", "").upper()
    return f"{digits[:10]}-{digits[10:]}" if len(digits) == 13 and digits.isdigit() else digits  # noqa: PLR2004  (10 + branch)


def company_of(certificate: Certificate) -> str:
    """The key that a company's certificates share."""
    if certificate.mst:
        return f"mst:{plain_mst(certificate.mst)}"
    import hashlib

    return f"subject:{hashlib.sha256(certificate.subject_der).hexdigest()}"


def company_key(company: str) -> str:
    """The key of what a caller has: a key as it is, else a tax code."""
    return company if ":" in company else f"mst:{plain_mst(company)}"
