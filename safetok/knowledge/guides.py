"""The shapes of what knowledge states beyond domain's own: an agency's steps and forms, holidays."""

from __future__ import annotations

from datetime import date

from safetok.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step a person takes at an agency, and where it was read."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormColumn:
    """One column of the row a declaration wants for each certificate; `maximum` counts characters, 0 where none is stated."""

    column: str
    meaning: str = ""
    maximum: int = 0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyGuide:
    """What a person does at one agency, in the language in force."""

    name: str
    steps: tuple[Step, ...]
    parts: tuple[str, ...] = ()  # services that are updated one by one
    needs: tuple[str, ...] = ()
    effective: str = ""
    form: tuple[FormColumn, ...] = ()
    copy: tuple[
        str, ...
    ] = ()  # what is copied into its pages: account, mst, name, old_serial, serial, issuer, from, to


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday:
    """One day off. Not `certain`: a day that may be off, by a decision made each year."""

    day: date
    name: str
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierStep:
    """One step of a dossier: what to do, what to have in hand, whom to call; `record` is what its command takes beside its name."""

    name: str
    title: str
    do: str
    have: tuple[str, ...] = ()
    call: str = ""
    record: str = ""
