"""Which certificates are the same company's: by tax code, else by the whole subject; and the order of their names."""

from __future__ import annotations

from safetok.domain.certificates import Certificate


def plain_mst(mst: str) -> str:
    """A tax code as it is compared: without spaces, a branch with its dash (`0301519977-029`)."""
    digits = "".join(mst.split()).replace("-", "").upper()
    return f"{digits[:10]}-{digits[10:]}" if len(digits) == 13 and digits.isdigit() else digits  # noqa: PLR2004  (10 + branch)


def company_of(certificate: Certificate) -> str:
    """The key that a company's certificates share."""
    if mst := certificate.mst:
        return f"mst:{plain_mst(mst)}"
    import hashlib

    return f"subject:{hashlib.sha256(certificate.subject_der).hexdigest()}"


def other_person(one: Certificate, other: Certificate) -> bool:
    """Whether two certificates of one company are two people's, or one the company's own: none of them takes the other's place.

    An identity number alone may change (CMND, then CCCD).
    """
    return one.personal_id != other.personal_id and one.subject_name != other.subject_name


def company_key(company: str) -> str:
    """The key of what a caller has: a key as it is, else a tax code."""
    return company if ":" in company else f"mst:{plain_mst(company)}"


def alphabetical(name: str) -> str:
    """What names are sorted by, as a Vietnamese list has them: marks count for nothing at first, Đ comes after D."""
    import unicodedata

    plain = unicodedata.normalize("NFD", name.casefold().replace("đ", "dz"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))
