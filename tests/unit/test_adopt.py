"""Adoption: what came by other means is taken over as after a renewal; what only seems to replace another is asked about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from support_store import NOW, certificate, reading, renewal

from safetok.domain.renewal import State
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import CertificateRevoked, PersonNeeded, SafetokError, UsageError
from safetok.knowledge import load as knowledge
from safetok.store.answers import Answers
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.store.paths import home
from safetok.store.registrations import Registrations
from safetok.store.settings import load
from safetok.workflows import adopt, agencies
from safetok.workflows.context import Context
from safetok.workflows.known import Selection
from safetok.workflows.succession import predecessor

OLD, NEW = certificate(1), certificate(2, days=390)
EVERYTHING = Selection()
EVER = NOW + timedelta(days=9000)


@dataclass
class Person:
    """Answers every question the same, and remembers what was asked; nobody without an answer."""

    answer: bool | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def interactive(self) -> bool:
        return self.answer is not None

    def confirm(self, question: str, *, default: bool = False) -> bool:
        self.asked.append((question, default))
        assert self.answer is not None
        return self.answer


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def context(tmp_path: Path, person: Person) -> Iterator[Context]:
    settings = load(home({"SAFETOK_HOME": str(tmp_path / "home")}), {})
    made = Context(settings=settings, prompter=person, clock=lambda: NOW, random=bytes)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def inventory(context: Context) -> Inventory:
    return Inventory(context.database)


def _renewed_elsewhere(inventory: Inventory) -> None:
    inventory.record(reading("T1", OLD), NOW - timedelta(days=30))
    inventory.record(reading("T1", NEW), NOW)


def test_adoption_opens_the_registrations_as_a_renewal_does(context: Context, inventory: Inventory) -> None:
    """The new certificate has its seven rows, the old one's step back, and it is not named again."""
    inventory.record(reading("T1", OLD), NOW - timedelta(days=30))
    adopt.adopt_all(context, Selection(serial="T1"))
    inventory.record(reading("T1", NEW), NOW)
    (done,) = adopt.adopt_all(context, EVERYTHING, yes=True)
    assert (done.opened, done.agencies_open, done.old) == (True, 7, OLD)
    assert {row.certificate for row in Registrations(context.database).list()} == {NEW.serial}
    assert adopt.appeared(context) == ()
    assert adopt.adopt_all(context, EVERYTHING, yes=True) == ()


def test_the_old_certificate_stays_exportable(context: Context, inventory: Inventory) -> None:
    """Although the vendor's program removed it, it is known, and known as the one before."""
    _renewed_elsewhere(inventory)
    adopt.adopt_all(context, EVERYTHING, yes=True)
    assert inventory.certificate(OLD.sha256) == OLD
    assert predecessor(context, NEW) == OLD


def test_a_company_with_two_tokens_is_told_the_old_certificate_of_each(context: Context, inventory: Inventory) -> None:
    """What a renewal replaced is the one of its own token, also where another token's certificate is newer than that."""
    other = certificate(3, days=60)
    inventory.record(reading("T1", OLD), NOW - timedelta(days=30))
    inventory.record(reading("T2", other), NOW - timedelta(days=30))
    changed = {"token_serial": "T1", "old_serial": OLD.serial, "old_certificate": OLD.der, "certificate": NEW.der}
    Journal(context.database).create(renewal(state=State.DONE, **changed))
    inventory.put_certificate(NEW, NOW)
    listed = Registrations(context.database).open_for(NEW, knowledge.agencies(), NOW, replaces=OLD.sha256)
    assert {*agencies.listing(context, EVERYTHING).old.values()} == {OLD}
    assert len(listed) == 7


def test_nobody_there_is_no_yes(context: Context, inventory: Inventory) -> None:
    """Without --yes a script is told what a person must answer (11), and nothing is opened."""
    _renewed_elsewhere(inventory)
    with pytest.raises(PersonNeeded) as needed:
        adopt.adopt_all(context, EVERYTHING)
    assert needed.value.code == "adoption_unconfirmed"
    assert needed.value.data["new_serial"] == NEW.serial
    assert Registrations(context.database).list() == []


def test_a_token_that_replaces_another_is_never_assumed(context: Context, inventory: Inventory, person: Person) -> None:
    """A bare --yes does not answer for it; naming the certificate does, or a person asked with no as the default."""
    inventory.record(reading("T1", OLD), NOW - timedelta(days=30))
    inventory.record(reading("T2", NEW), NOW)
    with pytest.raises(PersonNeeded):
        adopt.adopt_all(context, EVERYTHING, yes=True)
    person.answer = False
    assert adopt.adopt_all(context, EVERYTHING)[0].opened is False
    assert person.asked[0][1] is False
    assert "T1" in person.asked[0][0]
    assert adopt.appeared(context) == ()  # denied: not brought up again
    assert predecessor(context, NEW) is None
    (done,) = adopt.adopt_all(context, Selection(cert=NEW.serial), yes=True)
    assert done.opened


def test_one_that_needs_an_answer_stops_no_other(context: Context, inventory: Inventory) -> None:
    """`--yes` takes over what followed on its own token, also behind one that may replace another token, which is named."""
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T3", certificate(8, mst="0312345678")), NOW)
    inventory.record(reading("T2", NEW), NOW + timedelta(hours=1))
    later = certificate(9, mst="0312345678", days=390)
    inventory.record(reading("T3", certificate(8, mst="0312345678"), later), NOW + timedelta(hours=2))
    waiting: list[SafetokError] = []
    (done,) = adopt.adopt_all(context, EVERYTHING, yes=True, unanswered=waiting)
    assert (done.new, done.opened) == (later, True)
    assert [(one.code, one.data["new_serial"]) for one in waiting] == [("adoption_unconfirmed", NEW.serial)]
    assert [one.new for one in adopt.appeared(context)] == [NEW]


def test_a_person_is_asked_with_yes_as_the_default_for_the_same_token(
    context: Context, inventory: Inventory, person: Person
) -> None:
    """On the same token the change is plain: Enter takes it over."""
    _renewed_elsewhere(inventory)
    person.answer = True
    assert adopt.adopt_all(context, EVERYTHING)[0].opened
    ((question, default),) = person.asked
    assert default
    assert OLD.serial in question
    assert NEW.serial in question


def test_old_and_new_first_seen_together_on_one_token_need_no_judgement(
    context: Context, inventory: Inventory, person: Person
) -> None:
    """On the same token the newer one follows the older: a person is asked with yes as the default, and --yes is enough."""
    inventory.record(reading("T1", OLD, NEW), NOW)
    assert adopt.appeared(context)[0].asked
    person.answer = False
    adopt.adopt_all(context, EVERYTHING)
    assert person.asked[0][1] is True
    person.answer = None
    inventory.record(reading("T2", certificate(3, mst="0312345678"), certificate(4, mst="0312345678", days=390)), NOW)
    (done,) = adopt.adopt_all(context, EVERYTHING, yes=True)
    assert done.opened


def test_a_no_keeps_the_certificate_named_until_its_list_is_opened(
    context: Context, inventory: Inventory, person: Person
) -> None:
    """What a person said no to is not asked again, but named as not opened, while it is in use and has no list."""
    _renewed_elsewhere(inventory)
    person.answer = False
    adopt.adopt_all(context, EVERYTHING)
    assert adopt.not_opened(context) == (NEW,)
    assert adopt.not_opened(context, Selection(serial="T1")) == (NEW,)
    for answer, named in ((RevocationAnswer.REVOKED, ()), (RevocationAnswer.GOOD, (NEW,))):
        Answers(context.database).put_revocation(NEW.sha256, Revocation(answer=answer, checked_at=NOW))
        assert adopt.not_opened(context) == named
    person.answer = None
    adopt.adopt_all(context, Selection(cert=NEW.serial))
    assert adopt.not_opened(context) == ()


def test_a_certificate_seen_from_the_start_can_be_taken_over_by_name(context: Context, inventory: Inventory) -> None:
    """Somebody who starts with safetok after the top-up names the token; its older certificate is the one followed."""
    long_ago = certificate(5, days=-900), certificate(6, days=-300, not_after=NOW + timedelta(days=100))
    inventory.record(reading("T1", *long_ago), NOW)
    assert adopt.appeared(context) == ()
    (done,) = adopt.adopt_all(context, Selection(serial="T1"))
    assert (done.new, done.old, done.agencies_open) == (long_ago[1], long_ago[0], 7)


def test_no_list_is_opened_for_a_certificate_that_agencies_cannot_take(context: Context, inventory: Inventory) -> None:
    """An old one named by its serial is told with its successor, an expired one as that; nothing is opened for either."""
    long_ago = certificate(5, days=-900), certificate(6, days=-300, not_after=NOW + timedelta(days=100))
    inventory.record(reading("T1", *long_ago), NOW)
    with pytest.raises(PersonNeeded) as old:
        adopt.adopt_all(context, Selection(cert=long_ago[0].serial))
    assert (old.value.code, old.value.data["new_serial"]) == ("superseded", long_ago[1].serial)
    late = Context(settings=context.settings, prompter=context.prompter, clock=lambda: EVER, random=bytes)
    with pytest.raises(PersonNeeded) as expired:
        adopt.adopt_all(late, Selection(serial="T1"))
    late.close()
    assert expired.value.code == "certificate_expired"
    assert Registrations(context.database).list() == []


def test_an_old_certificate_is_not_taken_over_as_a_new_one(context: Context, inventory: Inventory) -> None:
    """Named by its serial, one that another has followed, has expired or is revoked is nothing that agencies must learn."""
    expired = certificate(9, mst="0312345678", days=-30)
    inventory.record(reading("T1", OLD, NEW), NOW)
    inventory.record(reading("T2", expired), NOW)
    adopt.adopt_all(context, EVERYTHING, yes=True)
    for one, code in ((OLD, "superseded"), (expired, "certificate_expired")):
        with pytest.raises(PersonNeeded) as refused:
            adopt.adopt_all(context, Selection(cert=one.serial), yes=True)
        assert refused.value.code == code
    Answers(context.database).put_revocation(NEW.sha256, Revocation(answer=RevocationAnswer.REVOKED, checked_at=NOW))
    with pytest.raises(CertificateRevoked):
        adopt.adopt_all(context, Selection(cert=NEW.serial), yes=True)
    assert {row.certificate for row in Registrations(context.database).list()} == {NEW.serial}


def test_the_list_of_one_before_the_one_replaced_steps_back_too(context: Context, inventory: Inventory) -> None:
    """The certificate in between was never taken over here: one list is left; another token of the company keeps its own."""
    between, colleague = certificate(3, days=200), certificate(7, days=-5)
    inventory.record(reading("T1", OLD), NOW)
    inventory.record(reading("T2", colleague), NOW)
    for serial in ("T1", "T2"):
        adopt.adopt_all(context, Selection(serial=serial))
    inventory.record(reading("T1", OLD, between, NEW), NOW + timedelta(hours=1))
    (done,) = adopt.adopt_all(context, EVERYTHING, yes=True)
    assert (done.new, done.old) == (NEW, between)
    assert {row.certificate for row in Registrations(context.database).list()} == {NEW.serial, colleague.serial}


@pytest.mark.parametrize("end", [State.LAPSED, State.UNTRUSTED, State.ABANDONED])
def test_a_certificate_whose_renewal_came_to_nothing_is_followed_by_none(
    context: Context, inventory: Inventory, end: State
) -> None:
    """The CA took it back before anybody used it; what the vendor's program brought then follows the one that agencies know."""
    fruitless = certificate(3, days=200)
    inventory.record(reading("T1", OLD), NOW - timedelta(days=30))
    changed = {"token_serial": "T1", "old_serial": OLD.serial, "old_certificate": OLD.der, "certificate": fruitless.der}
    Journal(context.database).create(renewal(state=end, **changed))
    inventory.record(reading("T1", OLD, fruitless), NOW - timedelta(days=2))
    inventory.record(reading("T1", OLD, NEW), NOW)
    (appeared,) = adopt.appeared(context)
    assert (appeared.new, appeared.old) == (NEW, OLD)
    adopt.adopt_all(context, EVERYTHING, yes=True)
    assert predecessor(context, NEW) == OLD
    assert {*agencies.listing(context, EVERYTHING).old.values()} == {OLD}


def test_a_certificate_given_up_that_was_taken_over_is_followed(context: Context, inventory: Inventory) -> None:
    """The CA let it stand, and its person said so: agencies have learned it."""
    kept = certificate(3, days=200)
    inventory.record(reading("T1", OLD), NOW - timedelta(days=30))
    changed = {"token_serial": "T1", "old_serial": OLD.serial, "old_certificate": OLD.der, "certificate": kept.der}
    Journal(context.database).create(renewal(state=State.ABANDONED, **changed))
    inventory.record(reading("T1", OLD, kept), NOW - timedelta(days=2))
    adopt.adopt_all(context, Selection(cert=kept.serial))
    inventory.record(reading("T1", OLD, kept, NEW), NOW)
    (appeared,) = adopt.appeared(context)
    assert (appeared.new, appeared.old) == (NEW, kept)


def test_a_colleagues_certificate_is_not_the_one_followed(context: Context, inventory: Inventory) -> None:
    """Another token of the same company keeps its own list when a certificate is taken over by name."""
    inventory.record(reading("T1", OLD), NOW)
    adopt.adopt_all(context, Selection(serial="T1"))
    inventory.record(reading("T2", certificate(7, days=-5)), NOW)
    inventory.record(reading("T3", certificate(8, mst="0312345678")), NOW)
    (done,) = adopt.adopt_all(context, Selection(serial="T2"))
    assert done.old is None
    assert len(Registrations(context.database).list(mst="0106324653")) == 14


def test_unknown_names_are_said(context: Context) -> None:
    """A company, token or certificate never seen ends with a usage error."""
    for selection in (Selection(mst="1"), Selection(serial="x"), Selection(cert="AB")):
        with pytest.raises(UsageError):
            adopt.adopt_all(context, selection)
