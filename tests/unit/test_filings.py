from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from support_store import NOW, certificate

from safetok.domain.acceptance import Acceptance
from safetok.domain.agencies import Registration, RegistrationState
from safetok.domain.filings import Signing, filing, sign_today
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.working_days import WorkingCalendar

NEW = certificate(2, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=400))
OLD = certificate(1, not_before=NOW - timedelta(days=400), not_after=NOW + timedelta(days=5))
CUSTOMS = Acceptance(rule="hours", amount=24)
HOUR = timedelta(hours=1)


def _row(state: str = "open", **changes: Any) -> Registration:
    row = Registration(
        agency="vnaccs",
        mst="0106324653",
        certificate=NEW.serial,
        certificate_sha256=NEW.sha256,
        state=RegistrationState(state),
        opened_at=NOW - timedelta(days=1),
    )
    return replace(row, **changes)


def _heard(answer: RevocationAnswer) -> Revocation:
    return Revocation(answer=answer, checked_at=NOW - HOUR, since=NOW - timedelta(days=3))


UPDATED = _row("updated", updated_at=NOW - 2 * HOUR, until=NOW + 22 * HOUR)
OVER = _row("updated", updated_at=NOW - 25 * HOUR, until=NOW - HOUR)


@pytest.mark.parametrize(
    ("row", "old", "heard", "answer"),
    [
        (_row(), OLD, RevocationAnswer.GOOD, "old"),
        (_row(), OLD, None, "unchecked"),
        (_row(), OLD, RevocationAnswer.UNKNOWN, "unchecked"),
        (_row(), OLD, RevocationAnswer.SUSPENDED, "neither"),
        (_row(), OLD, RevocationAnswer.REVOKED, "neither"),
        (_row(), replace(OLD, not_after=NOW), RevocationAnswer.GOOD, "neither"),
        (_row(), None, None, "neither"),
        (_row("rejected", updated_at=NOW), OLD, RevocationAnswer.GOOD, "old"),
        (UPDATED, OLD, RevocationAnswer.GOOD, "neither"),
        (OVER, OLD, RevocationAnswer.GOOD, "new"),
        (_row("updated", updated_at=NOW), OLD, None, "new"),
        (_row("accepted", updated_at=NOW), OLD, RevocationAnswer.REVOKED, "new"),
        (_row("unused"), OLD, None, "unused"),
    ],
)
def test_what_to_sign_with_today(row: Registration, old: Any, heard: Any, answer: str) -> None:
    """Old, new or neither, by the timer, the dates and the old one's revocation; not checked is never good."""
    found = sign_today(row, now=NOW, new=NEW, old=old, old_revocation=_heard(heard) if heard else None)
    assert found.answer == answer
    assert bool(found.why) is (answer != "unused")


@pytest.mark.parametrize(("minutes", "answer"), [(-6, "unchecked"), (-5, "old"), (60, "old")])
def test_a_list_from_before_the_new_one_says_nothing_of_the_old_one(minutes: int, answer: str) -> None:
    """Asked just now, the CA's list may be of yesterday: whether it took the old one back today is not in it."""
    row, made = _row(), _row().opened_at + timedelta(minutes=minutes)
    listed = replace(_heard(RevocationAnswer.GOOD), since=None, source="crl", produced_at=made)
    assert sign_today(row, now=NOW, new=NEW, old=OLD, old_revocation=listed).answer == answer


@pytest.mark.parametrize("answer", [RevocationAnswer.REVOKED, RevocationAnswer.SUSPENDED])
def test_a_new_one_that_is_revoked_signs_nothing(answer: RevocationAnswer) -> None:
    """Accepted by the agency or not: a revoked or suspended certificate is not to sign with."""
    accepted = _row("accepted", updated_at=NOW)
    assert sign_today(accepted, now=NOW, new=NEW, old=OLD, new_revocation=_heard(answer)).answer == "neither"


def test_a_new_one_before_its_first_instant_and_after_its_last_signs_nothing() -> None:
    """Its own dates count too."""
    accepted = _row("accepted", updated_at=NOW)
    for new in (replace(NEW, not_before=NOW + HOUR), replace(NEW, not_after=NOW)):
        assert sign_today(accepted, now=NOW, new=new, old=OLD).answer == "neither"


def _filing(row: Registration, need: datetime, signing: str = "old") -> Any:
    return filing(
        row,
        CUSTOMS,
        WorkingCalendar(),
        now=NOW,
        need=need,
        signing=Signing(answer=signing, why=""),  # type: ignore[arg-type]
    )


def test_in_time_until_the_last_second() -> None:
    """24 hours before the filing is the latest moment; at that very moment it is still in time, a second after it is not."""
    assert _filing(_row(), NOW + 30 * HOUR).latest == NOW + 6 * HOUR
    assert _filing(_row(), NOW + 24 * HOUR).answer == "in_time"
    late = _filing(_row(), NOW + 24 * HOUR - timedelta(seconds=1))
    assert (late.answer, late.accepted, late.old_first) == ("too_late", NOW + 24 * HOUR, True)
    assert _filing(_row(), NOW + HOUR, "unchecked").old_first is True


def test_too_late_and_the_old_one_gone_is_not_told_to_file_with_it() -> None:
    """Where the old certificate cannot sign, nobody is sent to file with it first."""
    assert _filing(_row(), NOW + HOUR, "neither").old_first is False


def test_what_is_updated_already() -> None:
    """A wait that ends in time, one that does not, and one that is over."""
    assert _filing(UPDATED, NOW + 22 * HOUR, "neither").answer == "waiting"
    assert _filing(UPDATED, NOW + 21 * HOUR, "neither").answer == "too_late"
    assert _filing(OVER, NOW + HOUR, "new").answer == "ready"
    assert _filing(_row("unused"), NOW + HOUR, "unused").answer == "unused"
