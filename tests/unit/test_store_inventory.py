"""The inventory: known certificates without parsing, and new ones named when they appear."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from support_store import NOW, certificate, reading, renewal, token_info

from safetok.domain.offers import PublicOffer
from safetok.domain.renewal import State
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.tokens import Kind, Reading
from safetok.store.answers import Answers
from safetok.store.appearances import Appearances
from safetok.store.database import Database
from safetok.store.inventory import SEEN_STEP, Inventory
from safetok.store.journal import Journal
from safetok.store.pins import PinLog

LATER = NOW + timedelta(days=1)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "home" / "state.db") as opened:
        yield opened


@pytest.fixture
def inventory(db: Database) -> Inventory:
    return Inventory(db)


OLD, NEW = certificate(1), certificate(2, days=390)


def test_a_certificate_comes_back_as_it_was_parsed(inventory: Inventory) -> None:
    """Every field of a recorded certificate is read back equal, and its bytes are recognised without parsing."""
    inventory.record(reading("T1", OLD), NOW)
    assert inventory.certificate(OLD.sha256) == OLD
    assert inventory.parse(OLD.der) == OLD  # these bytes are no certificate: a parser would have refused them
    assert inventory.current("T1") == OLD
    assert inventory.tokens()[0].info == token_info("T1")


def test_the_one_to_sign_with_is_the_one_issued_last(inventory: Inventory) -> None:
    """A top-up may end before an older certificate does: what counts is when it begins. A CA's is never signed with."""
    short = certificate(3, not_before=NOW - timedelta(days=1), not_after=OLD.not_after - timedelta(days=5))
    ca = certificate(4, not_before=NOW, is_ca=True)
    inventory.record(reading("T1", short, OLD, ca), NOW)
    assert inventory.current("T1") == short


def test_a_known_token_is_shown_without_cryptography(db: Database) -> None:
    """Reading the inventory back loads neither cryptography nor any other heavy library."""
    Inventory(db).record(reading("T1", OLD), NOW)
    code = (
        "import sys; from pathlib import Path\n"
        "from safetok.store.database import Database\nfrom safetok.store.inventory import Inventory\n"
        "from safetok.store.registrations import Registrations\nfrom safetok.store.answers import Answers\n"
        "with Database(Path(sys.argv[1])) as db:\n"
        "    assert Inventory(db).certificates('T1')[0].certificate.serial\n"
        "    Inventory(db).appeared(), Registrations(db).list(), Answers(db).offers(['x'])\n"
        "print([m for m in ('cryptography', 'asn1crypto', 'keyring', 'urllib3', 'msgspec', 'stdnum') if m in sys.modules])\n"
    )
    found = subprocess.run([sys.executable, "-c", code, str(db.path)], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_a_look_that_shows_nothing_new_writes_nothing(inventory: Inventory, db: Database) -> None:
    """A second look within the hour commits nothing; a later one keeps when it was seen."""
    inventory.record(reading("T1", OLD), NOW)
    changes = db.row("SELECT total_changes() AS n")["n"]
    inventory.record(reading("T1", OLD), NOW + SEEN_STEP / 2)
    assert db.row("SELECT total_changes() AS n")["n"] == changes
    inventory.record(reading("T1", OLD), NOW + SEEN_STEP)
    assert inventory.tokens()[0].last_seen == NOW + SEEN_STEP


def test_a_certificate_that_is_removed_stays_known(inventory: Inventory) -> None:
    """What a vendor's program removed is still there to export, marked as gone."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T1", NEW), LATER)
    kept = {one.certificate.serial: one for one in inventory.certificates("T1")}
    assert kept[OLD.serial].gone_at == LATER
    assert kept[NEW.serial].present
    assert [one.certificate for one in inventory.certificates("T1", gone=False)] == [NEW]
    inventory.record(reading("T1", NEW, OLD), LATER + timedelta(days=1))
    assert {one.present for one in inventory.certificates("T1")} == {True}


def test_an_unreadable_object_removes_nothing(inventory: Inventory) -> None:
    """A certificate that could not be read this time is not taken for gone."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T1", unreadable=1), LATER)
    assert inventory.certificates("T1")[0].present


def test_tokens_without_an_identity_are_left_out(inventory: Inventory) -> None:
    """A blank or doubled serial is never kept as a token."""
    blank, doubled = reading("", OLD).tokens[0], reading("T2", OLD).tokens[0]
    doubled = type(doubled)(info=token_info("T2", readable_only=True), certificates=())
    inventory.record(Reading(tokens=(blank, doubled)), NOW)
    assert inventory.tokens() == ()


def test_a_renewed_certificate_on_a_known_token_appears(inventory: Inventory) -> None:
    """A new serial with a later notBefore on a known token is named with the one it follows; nobody need be asked."""
    inventory.record(reading("T1", OLD), NOW)
    assert inventory.appeared() == ()
    inventory.record(reading("T1", OLD, NEW), LATER)
    (seen,) = inventory.appeared()
    assert (seen.sha256, seen.replaces, seen.replaced_token, seen.asked) == (NEW.sha256, OLD.sha256, None, False)
    inventory.mark_adopted(NEW.sha256, LATER)
    assert inventory.appeared() == ()


def test_it_appears_also_when_the_old_one_was_removed(inventory: Inventory) -> None:
    """The vendor's program may have replaced the old certificate: the new one is still recognised."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T1", NEW), LATER)
    assert [(one.replaces, one.asked) for one in inventory.appeared()] == [(OLD.sha256, False)]


def test_a_new_token_that_replaces_one_is_asked_about(inventory: Inventory) -> None:
    """The company's new certificate on a token never seen names the old token, flagged so that a person decides."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T2", NEW), LATER)
    (seen,) = inventory.appeared()
    assert (seen.token_serial, seen.replaced_token, seen.replaces, seen.asked) == ("T2", "T1", OLD.sha256, True)


@pytest.mark.parametrize(
    "newcomer",
    [
        certificate(2, mst="0312345678", days=390),  # another company
        certificate(2, days=-30),  # an earlier one, re-imported
        certificate(2, days=390, is_ca=True),  # a CA's
        certificate(2, days=390, serial=OLD.serial),  # the same serial
    ],
)
def test_what_is_no_renewal_does_not_appear(inventory: Inventory, newcomer: object) -> None:
    """Another company's, an older, a CA's certificate or one of the same serial is not taken for a renewal."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T1", OLD, newcomer), LATER)  # type: ignore[arg-type]
    assert inventory.appeared() == ()


def test_a_company_without_tax_code_is_known_by_its_subject(inventory: Inventory) -> None:
    """Certificates that carry no MST belong together when their whole subject is the same."""
    old, new = certificate(1, mst=None), certificate(2, mst=None, days=390)
    inventory.record(reading("T1", old), NOW)
    inventory.record(reading("T1", old, new), LATER)
    assert [one.sha256 for one in inventory.appeared()] == [new.sha256]


def test_old_and_new_at_the_first_look_are_asked_about_while_young(inventory: Inventory) -> None:
    """Somebody who topped up before installing safetok is asked; a change of long ago is not brought up."""
    inventory.record(reading("T1", OLD, NEW), NOW)
    assert [(one.sha256, one.asked) for one in inventory.appeared()] == [(NEW.sha256, True)]
    long_ago = certificate(5, mst="0312345678", days=-900), certificate(6, mst="0312345678", days=-300)
    inventory.record(reading("T2", *long_ago), NOW)
    assert [one.sha256 for one in inventory.appeared()] == [NEW.sha256]


def test_two_new_tokens_of_one_company_are_no_replacement(inventory: Inventory) -> None:
    """A company's two tokens seen first together say nothing about one following the other."""
    both = (*reading("T1", OLD).tokens, *reading("T2", NEW).tokens)
    inventory.record(Reading(tokens=both), NOW)
    assert inventory.appeared() == ()


def test_what_we_renewed_ourselves_does_not_appear(inventory: Inventory, db: Database) -> None:
    """A certificate that a renewal of ours is writing or wrote is not named as a stranger's."""
    inventory.record(reading("T1", OLD), NOW)
    Journal(db).create(renewal(state=State.VERIFIED, token_serial="T1", certificate=NEW.der))
    inventory.record(reading("T1", OLD, NEW), LATER)
    assert inventory.appeared() == ()
    assert Appearances(db).settled(NEW.sha256) == "renewed", "nobody has to look whose it was, each time anew"
    assert Appearances(db).replaced_by(NEW.sha256) == OLD.sha256


def test_one_that_waits_is_found_among_those_of_others(inventory: Inventory, db: Database) -> None:
    """By its token, or by itself: whoever asks about one certificate does not read what waits of a thousand."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T1", OLD, NEW), LATER)
    other, newer = certificate(7, mst="0312345678"), certificate(8, mst="0312345678", days=390)
    inventory.record(reading("T2", other), NOW)
    inventory.record(reading("T2", other, newer), LATER)
    waiting = Appearances(db).waiting
    assert {one.sha256 for one in waiting()} == {NEW.sha256, newer.sha256}
    assert [one.sha256 for one in waiting(sha256=newer.sha256)] == [newer.sha256]
    assert [one.sha256 for one in waiting(token_serial="T1")] == [NEW.sha256]
    assert waiting(token_serial="T1", sha256=newer.sha256) == waiting(sha256=OLD.sha256) == ()


def test_a_certificate_copied_to_another_token_is_nothing_new(inventory: Inventory) -> None:
    """The same certificate seen on a second token was not issued again."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T1", OLD, NEW), LATER)
    inventory.mark_adopted(NEW.sha256, LATER)
    inventory.record(reading("T2", NEW), LATER)
    assert inventory.appeared() == ()


@pytest.mark.parametrize(
    "text",
    [OLD.serial, OLD.serial.lower(), OLD.serial_decimal, OLD.sha256, f"0x{OLD.serial}", "54:01" + OLD.serial[4:]],
)
def test_a_certificate_is_found_by_serial_however_written(inventory: Inventory, text: str) -> None:
    """Hex of any case, with separators, decimal, or the SHA-256."""
    inventory.record(reading("T1", OLD), NOW)
    assert [one.certificate for one in inventory.by_serial(text)] == [OLD]


def test_a_company_is_found_by_its_tax_code(inventory: Inventory) -> None:
    """Spaces and the dash of a branch make no difference, and a branch is not its head office."""
    branch = certificate(3, mst="0301519977-029")
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T2", branch), NOW)
    assert [one.certificate for one in inventory.by_mst(" 0301519977029 ")] == [branch]
    assert inventory.by_mst("0301519977") == ()


def test_a_persons_words_are_remembered(inventory: Inventory) -> None:
    """Kind, note and contract end stay until taken back, for tokens seen or not."""
    inventory.set_kind("T1", Kind.V1)
    inventory.set_note("T1", " Tủ A3 ")
    inventory.set_contract_end(OLD.sha256, date(2027, 12, 31), NOW)
    assert inventory.words(["T1"])["T1"] == (inventory.kind_of("T1"), "Tủ A3") == (Kind.V1, "Tủ A3")
    inventory.record(reading("T1", OLD), NOW)
    assert (inventory.tokens()[0].kind, inventory.tokens()[0].note) == (Kind.V1, "Tủ A3")
    assert inventory.contract_end(OLD.sha256) == date(2027, 12, 31)
    inventory.set_kind("T1", None)
    inventory.set_note("T1", "")
    inventory.set_contract_end(OLD.sha256, None)
    assert (*inventory.words(["T1"])["T1"], inventory.contract_end(OLD.sha256)) == (None, "", None)


def test_answers_come_back_with_their_age(db: Database) -> None:
    """Offers and revocation are kept with the moment they were asked; the last answer stands."""
    answers = Answers(db)
    assert (answers.offers(["x"]), answers.revocation("x")) == ({}, None)
    offer = PublicOffer(exists=True, window_start=NOW, retry_after=60)
    answers.put_offer("x", PublicOffer(exists=False), NOW)
    answers.put_offer("x", offer, LATER)
    assert answers.offers(["x"]) == {"x": (offer, LATER)}
    held = Revocation(
        answer=RevocationAnswer.SUSPENDED, checked_at=NOW, reason="certificateHold", since=NOW, source="ocsp"
    )
    answers.put_revocation("x", held)
    assert answers.revocation("x") == held


def test_a_pin_try_counts_before_it_is_made(db: Database, tmp_path: Path) -> None:
    """An attempt is durable at once and counts as wrong until its outcome is known; a good login starts anew."""
    log = PinLog(db)
    log.begin("T1", "login", NOW)
    with Database(db.path) as other:
        assert PinLog(other).count("T1") == 1
    log.finish(log.begin("T1", "login", NOW), "wrong")
    log.finish(log.begin("T1", "login", NOW), "unknown")
    assert (log.count("T1"), log.count("T2")) == (3, 0)
    log.finish(log.begin("T1", "login", NOW), "ok")
    assert log.count("T1") == 0
