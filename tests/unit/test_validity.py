from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from test_campaign import certificate

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import end_of_day
from safetok.domain.validity import Validity, days_left, validity

CERT = certificate("2024-06-01")  # to the end of 13/12/2026 in Vietnam
END = CERT.not_after
LAST_MIDNIGHT = END - timedelta(hours=23, minutes=59, seconds=59)


def known(answer: RevocationAnswer) -> Revocation:
    return Revocation(answer=answer, checked_at=datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (LAST_MIDNIGHT, 0),
        (END, 0),
        (END + timedelta(seconds=1), -1),
        (LAST_MIDNIGHT - timedelta(seconds=1), 1),
        (LAST_MIDNIGHT - timedelta(days=30), 30),
    ],
)
def test_days_left_are_vietnamese_days(now: datetime, left: int) -> None:
    """The last day counts as none left, whatever the hour, and days change at midnight in Vietnam."""
    assert days_left(CERT, now) == left


def test_a_certificate_that_ends_at_midnight_was_last_usable_the_day_before() -> None:
    """A notAfter of 00:00 in Vietnam names a day on which the certificate is of no use."""
    cert = certificate("2024-06-01", until=(END + timedelta(days=1)).date())
    assert days_left(cert, end_of_day(cert.not_after.date())) == 0


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (CERT.not_before - timedelta(seconds=1), Validity.NOT_YET),
        (CERT.not_before, Validity.VALID),
        (LAST_MIDNIGHT - timedelta(days=30, seconds=1), Validity.VALID),
        (LAST_MIDNIGHT - timedelta(days=30), Validity.EXPIRING),
        (END, Validity.EXPIRING),
        (END + timedelta(seconds=1), Validity.EXPIRED),
    ],
)
def test_the_state_at_every_boundary(now: datetime, state: Validity) -> None:
    """Valid from its first second to its last, expiring for its last thirty days."""
    assert validity(CERT, now, None) is state


@pytest.mark.parametrize("now", [CERT.not_before, END + timedelta(days=1)])
def test_revoked_and_suspended_come_before_dates(now: datetime) -> None:
    """What the CA took back is revoked, in time or not; a failed check changes nothing and is never good."""
    assert validity(CERT, now, known(RevocationAnswer.REVOKED)) is Validity.REVOKED
    assert validity(CERT, now, known(RevocationAnswer.SUSPENDED)) is Validity.SUSPENDED
    assert validity(CERT, now, known(RevocationAnswer.UNKNOWN)) is validity(CERT, now, None)
