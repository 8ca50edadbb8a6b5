"""What the guard counts, refuses and says, for each answer that a token may give to a try."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from support_faults import Catalogue

from safetok import locale
from safetok.domain.tokens import PinState, TokenInfo
from safetok.errors import DriverFailed, NoToken, PersonNeeded, PinRefused, PinWrong, SafetokError, UsageError
from safetok.store.database import Database
from safetok.store.pins import PinLog
from safetok.tokens.pin_guard import PinGuard, refuse_locally

NOW = dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC)


def info(state: PinState | None = PinState.OK, *, least: int | None = 4, most: int | None = 8) -> TokenInfo:
    """A token's own account of itself."""
    texts = dict.fromkeys(("label", "manufacturer", "model", "firmware", "hardware"), "x")
    sizes = {"pin_min": least, "pin_max": most, "free_public": None, "free_private": None}
    return TokenInfo(
        **texts, **sizes, serial="T1", pin_state=state, pin_pad=False, write_protected=False, drivers=("d",)  # type: ignore[arg-type]
    )  # fmt: skip


class Door:
    """A session by a script: what each try comes to, and how the token shows itself before and after it."""

    serial = "T1"

    def __init__(
        self, log: PinLog, comes_to: SafetokError | None, after: PinState | SafetokError = PinState.OK
    ) -> None:
        self.log, self.comes_to, self.after = log, comes_to, after
        self.tried: list[tuple[str | None, ...]] = []
        self.reauthenticate: Callable[[Callable[[], bytes]], bytes] = lambda sign: sign()

    @property
    def info(self) -> TokenInfo:
        if not self.tried:
            return info()
        if isinstance(self.after, SafetokError):
            raise self.after
        return info(self.after)

    def login(self, pin: str | None) -> None:
        self._try(pin)

    def change_pin(self, old: str | None, new: str | None) -> None:
        self._try(old, new)

    def _try(self, *pins: str | None) -> None:
        assert self.log.count("T1") == 1, "the try is counted before it is made"
        self.tried.append(pins)
        if self.comes_to is not None:
            raise self.comes_to


@pytest.fixture(autouse=True)
def complete() -> Iterator[None]:
    """The catalogue that lacks nothing the guard says."""
    catalogue = Catalogue(locale._catalogue("vi"))
    with patch("safetok.locale._catalogue", lambda _code: catalogue):
        yield


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PinLog]:
    """A log of this test's own."""
    with Database(tmp_path / "state.db") as database:
        yield PinLog(database)


def guard(log: PinLog, *, tries: int = 3, force: bool = False, unlock: str = "") -> PinGuard:
    return PinGuard(log, lambda: NOW, tries_assumed=tries, force_last_try=force, unlock=unlock)


def rows(log: PinLog) -> list[tuple[str, str, str | None]]:
    """Purpose, beginning and outcome of every try."""
    found = log._db.rows("SELECT purpose, began_at, outcome FROM pin_attempts ORDER BY number")
    return [(row["purpose"], row["began_at"], row["outcome"]) for row in found]


OUTCOMES = [
    (None, "ok", 0),
    (PinWrong("w"), "wrong", 1),
    (PinRefused("l"), "locked", 1),
    (PinRefused("l", code="pin_expired"), "untried", 0),
    (PinRefused("l", code="pin_not_set"), "untried", 0),
    (PinRefused("l", code="of_another_kind"), "unknown", 1),
    (PersonNeeded("c", code="pin_cancelled"), "untried", 0),
    (PersonNeeded("c", code="of_another_kind"), "unknown", 1),
    (DriverFailed("d"), "doubtful", 1),
    (DriverFailed("d", code="crashed"), None, 1),
    (KeyboardInterrupt(), "unknown", 1),
]


@pytest.mark.parametrize(("comes_to", "outcome", "count"), OUTCOMES)
@pytest.mark.parametrize("what", ["login", "change", "sign", "batch"])
def test_each_try_is_written_down(
    log: PinLog, what: str, comes_to: SafetokError | None, outcome: str | None, count: int
) -> None:
    """Its purpose, its time and what it came to: a login, another named purpose, a change, a signature that asks."""
    door = Door(log, None if what == "sign" else comes_to)
    kept = guard(log)
    with suppress(SafetokError, KeyboardInterrupt):
        if what == "change":
            kept.change(door, "1234", "5678")
        elif what == "batch":
            kept.login(door, "1234", purpose="batch")
        else:
            kept.login(door, "1234")
    if what != "sign":
        assert door.tried == [("1234", "5678") if what == "change" else ("1234",)]
        assert rows(log) == [(what, NOW.isoformat(), outcome)]
    else:

        def sign() -> bytes:
            assert log.count("T1") == 1
            if comes_to is not None:
                raise comes_to
            return b"signed"

        with suppress(SafetokError, KeyboardInterrupt):
            assert door.reauthenticate(sign) == b"signed"
        assert rows(log) == [("login", NOW.isoformat(), "ok"), ("sign", NOW.isoformat(), outcome)]
    assert log.count("T1") == count


@pytest.mark.parametrize(
    ("after", "count"),
    [(PinState.OK, 0), (NoToken("gone"), 0), (PinState.COUNT_LOW, 1), (PinState.FINAL_TRY, 1), (PinState.LOCKED, 1)],
)
def test_a_new_pin_that_the_token_does_not_accept_is_no_wrong_try(
    log: PinLog, after: PinState | SafetokError, count: int
) -> None:
    """It is not counted, unless the token's own flags say that a try was spent: then it was the old one that was wrong."""
    door = Door(log, UsageError("n", code="new_pin_refused"), after)
    with pytest.raises(UsageError if not count else PinRefused if after is PinState.LOCKED else PinWrong):
        guard(log).change(door, "1234", "5678")
    assert log.count("T1") == count
    assert [outcome for _purpose, _at, outcome in rows(log)] == ["wrong" if count else "untried"]


@pytest.mark.parametrize(
    ("after", "count"), [(PinState.TO_BE_CHANGED, 0), (PinState.COUNT_LOW, 1), (PinState.LOCKED, 1)]
)
def test_a_pin_that_wants_to_be_changed_is_no_wrong_try(log: PinLog, after: PinState, count: int) -> None:
    """CKR_PIN_EXPIRED costs nothing, so that `pin change` is not refused after it; unless the flags say that a try was spent."""
    door = Door(log, PinRefused("e", code="pin_expired"), after)
    with pytest.raises(PinWrong if count and after is not PinState.LOCKED else PinRefused):
        guard(log).login(door, "1234")
    assert log.count("T1") == count
    assert [outcome for _purpose, _at, outcome in rows(log)] == ["wrong" if count else "untried"]


@pytest.mark.parametrize("how", ["login", "change", "sign"])
@pytest.mark.parametrize("after", [PinState.OK, PinState.COUNT_LOW, NoToken("gone")])
def test_an_entry_cancelled_at_the_token_is_no_try(log: PinLog, how: str, after: PinState | SafetokError) -> None:
    """However often, it leaves the count as it was; unless the flags say that a wrong PIN was typed before the cancelling."""
    cancelled = PersonNeeded("c", code="pin_cancelled")
    spent = after is PinState.COUNT_LOW
    for _entry in range(1 if spent else 3):
        door = Door(log, None if how == "sign" else cancelled, after)
        kept = guard(log)
        if how == "sign":
            kept.login(door, "1234")
        with pytest.raises(PinWrong if spent else PersonNeeded):
            _use(kept, door, how)
        assert log.count("T1") == (1 if spent else 0)


def _use(kept: PinGuard, door: Door, how: str) -> None:
    if how == "login":
        kept.login(door, "1234")
    elif how == "change":
        kept.change(door, "1234", "5678")
    else:
        door.reauthenticate(_cancel)


def _cancel() -> bytes:
    raise PersonNeeded("c", code="pin_cancelled")


def test_another_refusal_before_a_try_stays_counted(log: PinLog) -> None:
    """A lock that could not be made, say: what the token heard is not known."""
    with pytest.raises(UsageError):
        guard(log).login(Door(log, UsageError("l", code="locks_unusable")), "1234")
    assert log.count("T1") == 1


@pytest.mark.parametrize("how", ["login", "change"])
@pytest.mark.parametrize(
    ("after", "tries", "words"),
    [
        (PinState.FINAL_TRY, 9, "USB Token báo CHỈ CÒN 1 LẦN"),
        (PinState.OK, 2, "CÓ THỂ CHỈ CÒN 1 LẦN"),
        (PinState.OK, 9, "không cho biết"),
        (PinState.OK, 3, "không cho biết"),
        (PinState.COUNT_LOW, 9, "không cho biết"),
        (NoToken("gone"), 9, "không cho biết"),
    ],
)
def test_after_a_wrong_pin_it_says_what_is_left(
    log: PinLog, how: str, after: PinState | SafetokError, tries: int, words: str
) -> None:
    """By the token's own flags read again, else by our count; no number is made up, and the error stays a wrong PIN."""
    wrong = PinWrong("w")
    door = Door(log, wrong, after)
    kept = guard(log, tries=tries)
    with pytest.raises(PinWrong) as raised:
        kept.login(door, "1234") if how == "login" else kept.change(door, "1234", "5678")
    assert raised.value is wrong
    assert words in raised.value.hint


def test_a_token_that_locked_says_whom_to_ask(log: PinLog) -> None:
    """The wrong try was the last: no longer a wrong PIN but a locked one, with the token's number and the way to unlock it."""
    door = Door(log, PinWrong("w"), PinState.LOCKED)
    with pytest.raises(PinRefused) as raised:
        guard(log, unlock="call the CA").login(door, "1234")
    error = raised.value
    assert (error.code, error.hint, error.token) == ("pin_locked", "call the CA", "T1")
    assert "T1" in error.message
    assert isinstance(error.__cause__, PinWrong)


@pytest.mark.parametrize(
    ("refusal", "hint"),
    [
        (PinRefused("l"), "call the CA"),
        (PinRefused("l", hint="its own"), "its own"),
        (PinRefused("l", code="pin_expired"), ""),
    ],
)
def test_the_way_to_unlock_goes_with_a_locked_pin(log: PinLog, refusal: PinRefused, hint: str) -> None:
    """A driver's own CKR_PIN_LOCKED gets it too; another refusal does not."""
    with pytest.raises(PinRefused) as raised:
        guard(log, unlock="call the CA").login(Door(log, PinRefused("l", code=refusal.code, hint=refusal.hint)), "1234")
    assert raised.value.hint == hint


@pytest.mark.parametrize(("code", "told"), [("pkcs11", True), ("token_removed", False)])
def test_an_error_that_says_nothing_may_have_been_the_pin(log: PinLog, code: str, told: bool) -> None:
    """Some drivers answer CKR_GENERAL_ERROR to a wrong PIN: it is counted, and said."""
    with pytest.raises(DriverFailed) as raised:
        guard(log).login(Door(log, DriverFailed("d", code=code)), "1234")
    assert bool(raised.value.hint) is told
    assert log.count("T1") == 1


def test_the_flags_refuse_before_any_try(log: PinLog) -> None:
    """LOCKED always; FINAL_TRY unless somebody is certain; neither costs a try, both name the token and the next step."""
    with pytest.raises(PinRefused) as locked:
        guard(log, force=True, unlock="call the CA").check(info(PinState.LOCKED))
    assert (locked.value.code, locked.value.hint, locked.value.token) == ("pin_locked", "call the CA", "T1")
    assert "T1" in locked.value.message
    with pytest.raises(PinRefused) as last:
        guard(log).check(info(PinState.FINAL_TRY))
    assert (last.value.code, last.value.token) == ("last_try", "T1")
    assert "CHỈ CÒN 1 LẦN THỬ" in last.value.message
    assert "--force-last-try" in last.value.hint
    guard(log, force=True).check(info(PinState.FINAL_TRY))
    assert rows(log) == []


@pytest.mark.parametrize(("tries", "wrong", "refused"), [(3, 1, False), (3, 2, True), (5, 3, False), (5, 4, True)])
def test_our_own_count_refuses_the_try_that_could_lock(log: PinLog, tries: int, wrong: int, refused: bool) -> None:
    """Whatever the flags say, all but the last of the tries that are assumed may be wrong."""
    for _try in range(wrong):
        log.finish(log.begin("T1", "login", NOW), "wrong")
    if refused:
        with pytest.raises(PinRefused) as raised:
            guard(log, tries=tries).check(info())
        assert raised.value.code == "last_try"
    else:
        guard(log, tries=tries).check(info())
    guard(log, tries=tries, force=True).check(info())


def test_three_tries_are_assumed_and_nothing_is_forced(log: PinLog) -> None:
    """Without any knowledge of the token: the third try is refused."""
    for _try in range(2):
        log.finish(log.begin("T1", "login", NOW), "wrong")
    with pytest.raises(PinRefused):
        PinGuard(log, lambda: NOW).check(info())
    with pytest.raises(PinRefused) as locked:
        PinGuard(log, lambda: NOW).check(info(PinState.LOCKED))
    assert locked.value.hint == "", "no way to unlock is made up"


@pytest.mark.parametrize("what", ["login", "old", "new"])
def test_nothing_is_sent_that_the_token_cannot_take(log: PinLog, what: str) -> None:
    """A PIN outside the token's limits is refused here: no try is begun, none is counted."""
    door, kept = Door(log, None), guard(log)
    tries = {
        "login": lambda: kept.login(door, "123"),
        "old": lambda: kept.change(door, "123", "5678"),
        "new": lambda: kept.change(door, "1234", "567"),
    }
    with pytest.raises(UsageError):
        tries[what]()
    assert door.tried == []
    assert rows(log) == []


@pytest.mark.parametrize("how", ["login", "change"])
def test_a_refused_try_is_not_made(log: PinLog, how: str) -> None:
    """The check comes before the try, for a login as for a change."""
    for _try in range(2):
        log.finish(log.begin("T1", "login", NOW), "wrong")
    door = Door(log, None)
    with pytest.raises(PinRefused):
        guard(log).login(door, "1234") if how == "login" else guard(log).change(door, "1234", "5678")
    assert door.tried == []


@pytest.mark.parametrize(
    ("least", "most", "pin", "fits"),
    [
        (4, 8, "1234", True),
        (4, 8, "12345678", True),
        (4, 8, "123", False),
        (4, 8, "123456789", False),
        (4, 8, "", False),
        (None, None, "1", True),
        (None, None, "", False),
        (None, 8, "123456789", False),
        (4, None, "123", False),
        (4, None, "1" * 99, True),
        (0, 8, "", False),
        (4, 8, "ăăăă1", False),
        (4, 8, "1234\udcff", False),
    ],
)
def test_the_limits_of_a_pin(least: int | None, most: int | None, pin: str, fits: bool) -> None:
    """Text of the least to the most bytes that the token names, never empty; the sentence tells both, and the error the token."""
    if fits:
        refuse_locally(info(least=least, most=most), pin)
        return
    with pytest.raises(UsageError) as raised:
        refuse_locally(info(least=least, most=most), pin)
    error = raised.value
    assert (error.code, error.token) == ("pin_refused_locally", "T1")
    assert "PIN" in error.message
    if pin and "\udcff" not in pin:
        assert f" {least or 1} " in error.message
        assert f" {most or '∞'} " in error.message


def test_without_a_pin_pad_a_pin_must_be_given() -> None:
    """None is for a pad."""
    with pytest.raises(UsageError) as raised:
        refuse_locally(info(), None)
    assert (raised.value.code, raised.value.token) == ("pin_refused_locally", "T1")
    assert "PIN" in raised.value.message
