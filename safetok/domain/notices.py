"""What the notices say to the person at the keyboard, and which of it comes before a renewal."""

from __future__ import annotations

from collections.abc import Mapping

from safetok.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One sentence of a notice, in the language in force; `url` is whole, and inside the text where the text has it."""

    name: str
    text: str
    url: str = ""
    source: str = ""


def before_renewal(notices: Mapping[str, Notice], *, v1: bool, safe_ca: bool, expired: bool = False) -> tuple[str, ...]:
    """The heading and the notice's notes before a renewal: the third one for a V1 only, SAFEcert's own advice for its customers.
    Nothing more is signed with a certificate that has `expired`: nobody is told to.
    """
    notes = [notices["before_update"].text, notices["serial_changes"].text, notices["wait_24h"].text]
    if v1:
        notes.append(f"(3) {notices['v1'].text}")
    if not expired:
        notes.append(notices["sign_first"].text)
    if safe_ca:
        notes += [notices["bidding"].text, notices["one_place"].text]
    return tuple(notes)
