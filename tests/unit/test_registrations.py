"""Registrations: a person's words move them, the clock alone only says that 24 hours are over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_store import NOW, certificate

from safetok.domain import registrations as moves
from safetok.domain.agencies import Agency, Registration, RegistrationState, standing
from safetok.domain.times import VIETNAM, show_instant
from safetok.errors import UsageError
from safetok.knowledge import load
from safetok.store.database import Database
from safetok.store.registrations import Registrations

CUSTOMS = Agency(name="vnaccs", title="Hải quan (VNACCS)", wait_hours=24)
TAX = Agency(name="etax", title="Thuế")
SERVICES = Agency(name="etax", title="Thuế", wait_hours=24, parts=(("khai", "Khai"), ("nop", "Nộp")))
HOUR = timedelta(hours=1)
CERTIFICATE = certificate(1)


def _open(agency: Agency = CUSTOMS) -> Registration:
    (row,) = moves.registrations_for(CERTIFICATE, [agency], {}, NOW - timedelta(days=3))
    return row


def _vn(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=VIETNAM).astimezone(UTC)  # type: ignore[arg-type,misc]


def test_24_hours_run_from_the_moment_of_the_update() -> None:
    """Customs waits exactly 24 hours from the moment given, then is due to be checked; nothing accepts by itself."""
    at = NOW - timedelta(hours=2)
    row = moves.done(_open(), CUSTOMS, at=at, now=NOW).registration
    assert row.until == at + timedelta(hours=24)
    assert standing(row, row.until - timedelta(seconds=1)) == "waiting"
    assert standing(row, row.until) == "due_check"
    assert standing(row, row.until + timedelta(days=365)) == "due_check"


def test_only_customs_and_invoices_wait() -> None:
    """Of the notice's seven, three wait 24 hours; an added one waits when it was added so."""
    waiting = [one.name for one in load.agencies() if one.wait_hours]
    assert waiting == ["ixhd", "vnaccs", "v5"]
    row = moves.done(_open(TAX), TAX, at=NOW, now=NOW).registration
    assert (row.until, standing(row, NOW + timedelta(days=9))) == (None, "updated")


def test_a_future_update_is_refused() -> None:
    """The clock cannot start before the update was made."""
    with pytest.raises(UsageError) as refused:
        moves.done(_open(), CUSTOMS, at=NOW + timedelta(minutes=1), now=NOW)
    assert refused.value.code == "future_time"


def test_an_update_before_the_issue_is_taken_with_a_warning() -> None:
    """By less than a day the person may know better; safetok says what looks wrong."""
    issued = NOW - timedelta(days=1)
    moved = moves.done(_open(), CUSTOMS, at=issued - timedelta(hours=1), now=NOW, issued_at=issued)
    assert moved.registration.state is RegistrationState.UPDATED
    assert show_instant(issued) in moved.warning


def test_an_update_long_before_the_issue_cannot_be() -> None:
    """A year's slip would call the 24 hours over: it is refused."""
    issued = NOW - timedelta(days=1)
    with pytest.raises(UsageError) as refused:
        moves.done(_open(), CUSTOMS, at=issued - timedelta(days=365), now=NOW, issued_at=issued)
    assert refused.value.code == "before_issue"


def test_a_day_before_the_issue_is_the_earliest() -> None:
    """Exactly a day is still taken with a warning; a second more cannot be."""
    issued = NOW - timedelta(days=1)
    assert moves.done(_open(), CUSTOMS, at=issued - moves.EARLIEST, now=NOW, issued_at=issued).warning
    with pytest.raises(UsageError):
        moves.done(_open(), CUSTOMS, at=issued - moves.EARLIEST - timedelta(seconds=1), now=NOW, issued_at=issued)
    assert not moves.done(_open(), CUSTOMS, at=issued, now=NOW, issued_at=issued).warning


def test_an_agency_of_several_services_is_updated_with_the_last_of_them() -> None:
    """Whichever is told last: its wait runs from the latest moment."""
    row = moves.done(_open(SERVICES), SERVICES, at=NOW - HOUR, now=NOW, part="khai").registration
    assert (row.state, row.updated_at, row.until) == (RegistrationState.OPEN, None, None)
    row = moves.done(row, SERVICES, at=NOW - 3 * HOUR, now=NOW, part="nop").registration
    assert (row.state, row.updated_at, row.until) == (RegistrationState.UPDATED, NOW - HOUR, NOW + 23 * HOUR)


def test_after_a_rejection_every_service_is_updated_anew() -> None:
    """What was updated before it counts no more, and no wait goes on from it."""
    whole = moves.done(_open(SERVICES), SERVICES, at=NOW - HOUR, now=NOW).registration
    no = moves.rejected(whole).registration
    row = moves.done(no, SERVICES, at=NOW, now=NOW, part="nop").registration
    assert (row.state, row.parts) == (RegistrationState.OPEN, (("nop", NOW),))
    assert (row.updated_at, row.until) == (None, None)


def test_another_time_of_one_service_leaves_the_others_as_they_are() -> None:
    """The agency stays updated, with the latest of them; one that was skipped in between starts over."""
    row = moves.done(_open(SERVICES), SERVICES, at=NOW - 3 * HOUR, now=NOW).registration
    moved = moves.done(row, SERVICES, at=NOW - HOUR, now=NOW, part="nop")
    row = moved.registration
    assert (row.state, row.updated_at, row.until) == (RegistrationState.UPDATED, NOW - HOUR, NOW + 23 * HOUR)
    assert row.parts == (("khai", NOW - 3 * HOUR), ("nop", NOW - HOUR))
    assert moved.replaced
    row = moves.done(moves.accepted(row, now=NOW).registration, SERVICES, at=NOW, now=NOW, part="khai").registration
    assert (row.state, row.updated_at) == (RegistrationState.UPDATED, NOW)
    row = moves.done(moves.skipped(row).registration, SERVICES, at=NOW, now=NOW, part="khai").registration
    assert (row.state, row.parts) == (RegistrationState.OPEN, (("khai", NOW),))


def test_accepted_and_rejected_follow_an_update() -> None:
    """Neither can be recorded of a system that was never updated; an early acceptance is taken with a warning."""
    for move in (lambda: moves.accepted(_open(), now=NOW), lambda: moves.rejected(_open())):
        with pytest.raises(UsageError) as refused:
            move()
        assert refused.value.code == "not_updated"
    row = moves.done(_open(), CUSTOMS, at=NOW, now=NOW).registration
    assert moves.accepted(row, now=NOW).warning
    late = moves.accepted(row, now=NOW + timedelta(days=1))
    assert (late.registration.state, late.warning) == (RegistrationState.ACCEPTED, "")
    no = moves.rejected(row, reason=" sai MST ").registration
    assert (no.state, no.reason) == (RegistrationState.REJECTED, "sai MST")
    assert moves.done(no, CUSTOMS, at=NOW, now=NOW).registration.reason == ""


def test_a_company_starts_with_what_it_uses() -> None:
    """Every agency of the notice is open unless the company said it does not use it; an added one only where it is used."""
    added = Agency(name="misa", title="meInvoice", wait_hours=24, added=True)
    rows = moves.registrations_for(CERTIFICATE, (*load.agencies(), added), {"v5": False}, NOW)
    assert [row.agency for row in rows] == ["tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5"]
    assert [row.agency for row in rows if row.state is RegistrationState.UNUSED] == ["v5"]
    assert moves.registrations_for(CERTIFICATE, [added], {"misa": True}, NOW)[0].state is RegistrationState.OPEN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16:05", _vn(2026, 11, 23, 16, 5)),
        ("9h", _vn(2026, 11, 23, 9, 0)),
        ("9h05", _vn(2026, 11, 23, 9, 5)),
        ("23/11 16:05", _vn(2026, 11, 23, 16, 5)),
        ("16:05 22/11", _vn(2026, 11, 22, 16, 5)),
        ("22/11/2026 16:05", _vn(2026, 11, 22, 16, 5)),
        ("16:05 ngày 22/11/2026", _vn(2026, 11, 22, 16, 5)),
        ("16:05 T2 23/11/2026", _vn(2026, 11, 23, 16, 5)),
        ("31/12 08:00", _vn(2026, 12, 31, 8, 0)),
        ("20/06 08:00", _vn(2026, 6, 20, 8, 0)),
        ("hôm qua 16:05", _vn(2026, 11, 22, 16, 5)),
        ("HOM QUA 16h05", _vn(2026, 11, 22, 16, 5)),
        ("16:05 hôm nay", _vn(2026, 11, 23, 16, 5)),
        ("yesterday 16:05", _vn(2026, 11, 22, 16, 5)),
        ("2026-11-23T16:05", _vn(2026, 11, 23, 16, 5)),
        ("2026-11-23 16:05:30", _vn(2026, 11, 23, 16, 5, 30)),
        ("2026-11-23T09:05:00Z", _vn(2026, 11, 23, 16, 5)),
        ("2026-11-23T16:05:00+07:00", _vn(2026, 11, 23, 16, 5)),
    ],
)
def test_moments_are_read_as_people_write_them(text: str, expected: datetime) -> None:
    """Vietnamese and ISO forms mean the same instant; without an offset it is Vietnamese time."""
    assert moves.parse_at(text, NOW) == expected


def test_in_january_december_is_last_years() -> None:
    """A day without a year is the nearest one."""
    assert moves.parse_at("31/12 16:05", _vn(2027, 1, 2, 9, 0)) == _vn(2026, 12, 31, 16, 5)
    assert moves.parse_at("29/02 10:00", _vn(2029, 1, 2, 9, 0)) == _vn(2028, 2, 29, 10, 0)


def test_a_second_update_says_what_it_takes_away() -> None:
    """The same command run twice moves the 24 hours, or takes an acceptance back: the earlier moment is told, and the way back."""
    first = moves.done(_open(), CUSTOMS, at=NOW - HOUR, now=NOW)
    assert first.replaced == ""
    again = moves.done(first.registration, CUSTOMS, at=NOW, now=NOW)
    assert show_instant(NOW - HOUR) in again.replaced
    assert f"agencies undo {CUSTOMS.name}" in again.replaced
    taken = moves.accepted(first.registration, now=NOW).registration
    assert "chấp nhận" in moves.done(taken, CUSTOMS, at=NOW, now=NOW).replaced
    assert "chấp nhận" in moves.done(taken, CUSTOMS, at=NOW - HOUR, now=NOW).replaced, "also at the same moment"
    assert moves.done(first.registration, CUSTOMS, at=NOW - HOUR, now=NOW).replaced == "", "that says nothing new"
    refused = moves.rejected(first.registration).registration
    assert moves.done(refused, CUSTOMS, at=NOW, now=NOW).replaced == "", (
        "after a rejection another update is what is wanted"
    )


@pytest.mark.parametrize(
    "text", ["", "sáng nay", "25:00", "16:60", "31/02 10:00", "2026-11-23", "23/11/2026", "16.05", "99/99 1:00"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """A day alone, a word or an impossible time is asked for again, never guessed."""
    with pytest.raises(UsageError) as refused:
        moves.parse_at(text, NOW)
    assert refused.value.code == "bad_time"


@given(st.integers(min_value=-20_000_000, max_value=20_000_000))
def test_what_safetok_shows_can_be_typed_back(minutes: int) -> None:
    """A moment as shown is read as the same minute, whatever the day."""
    instant = NOW + timedelta(minutes=minutes)
    assert moves.parse_at(show_instant(instant), NOW) == instant.replace(second=0, microsecond=0)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is an instant or a UsageError."""
    with contextlib.suppress(UsageError):
        assert moves.parse_at(text, NOW).tzinfo is not None


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Registrations]:
    with Database(tmp_path / "home" / "state.db") as db:
        yield Registrations(db)


def test_opening_twice_changes_nothing(kept: Registrations) -> None:
    """A certificate's rows are opened once; repeating it keeps what a person recorded since."""
    first = kept.open_for(CERTIFICATE, load.agencies(), NOW)
    kept.change(first[0], moves.done(first[0], TAX, at=NOW, now=NOW).registration, now=NOW)
    again = kept.open_for(CERTIFICATE, load.agencies(), NOW + timedelta(days=1))
    assert len(again) == 7
    assert again[0].state is RegistrationState.UPDATED
    assert {row.opened_at for row in again} == {NOW}


def test_rows_come_back_as_they_went(kept: Registrations) -> None:
    """Every field of a row survives."""
    row = kept.open_for(CERTIFICATE, [CUSTOMS], NOW)[0]
    after = moves.rejected(moves.done(row, CUSTOMS, at=NOW, now=NOW).registration, reason="sai\nMST").registration
    kept.change(row, after, now=NOW)
    assert kept.list() == [after]


def test_undo_takes_changes_back_one_by_one(kept: Registrations) -> None:
    """Each undo restores what stood before the last word, and ends where nothing is left."""
    row = kept.open_for(CERTIFICATE, [CUSTOMS], NOW)[0]
    updated = kept.change(row, moves.done(row, CUSTOMS, at=NOW, now=NOW).registration, now=NOW, what="done")
    accepted = kept.change(updated, moves.accepted(updated, now=NOW).registration, now=NOW, what="accepted")
    assert kept.undo(accepted) == (updated, "accepted")
    assert kept.undo(updated) == (row, "done")
    with pytest.raises(UsageError) as refused:
        kept.undo(row)
    assert refused.value.code == "nothing_to_undo"
    assert kept.list() == [row]


def test_what_a_company_uses_is_remembered_by_its_tax_code(kept: Registrations) -> None:
    """Said once, it holds for the company's next certificate, however the code is written, and for no other company."""
    kept.set_used("0106324653", "v5", False)
    kept.set_used(" 0106 324653", "misa", True)
    assert kept.used("mst:0106324653") == {"v5": False, "misa": True}
    assert kept.used("0312345678") == {}
    kept.set_used("0106324653", "v5", None)
    assert kept.used("0106324653") == {"misa": True}


def test_rows_are_found_by_company_certificate_and_state(kept: Registrations) -> None:
    """Each selection gives its rows and no others."""
    other = certificate(2, mst="0312345678")
    kept.open_for(CERTIFICATE, [CUSTOMS, TAX], NOW)
    kept.open_for(other, [CUSTOMS], NOW)
    assert {row.certificate for row in kept.list(mst="0312345678")} == {other.serial}
    assert len(kept.list(certificate=CERTIFICATE.serial.lower())) == 2
    assert len(kept.list(state=RegistrationState.OPEN)) == 3
    assert kept.list(state=[RegistrationState.ACCEPTED, RegistrationState.UPDATED]) == []
    assert kept.list(token="T1") == []


def test_the_replaced_certificates_rows_step_back(kept: Registrations) -> None:
    """After a renewal the list shows the new certificate's rows; the old one's are there when asked for."""
    new = certificate(9, days=390)
    kept.open_for(CERTIFICATE, [CUSTOMS], NOW)
    kept.open_for(new, [CUSTOMS], NOW, replaces=CERTIFICATE.sha256)
    assert [row.certificate for row in kept.list()] == [new.serial]
    assert len(kept.list(superseded=True)) == 2


def test_added_agencies_are_kept_in_order(kept: Registrations) -> None:
    """What a person added comes back as it was said, marked as theirs."""
    kept.add_agency(Agency(name="misa", title="meInvoice", wait_hours=24, order=101))
    kept.add_agency(Agency(name="bank", title="Ngân hàng", order=100))
    assert [(one.name, one.wait_hours, one.added) for one in kept.agencies_added()] == [
        ("bank", 0, True),
        ("misa", 24, True),
    ]
