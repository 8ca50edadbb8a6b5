from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from test_campaign import certificate
from test_kinds import info

from safetok.domain.agencies import Registration, RegistrationState, standing
from safetok.domain.campaign import CampaignAnswer, CampaignVerdict
from safetok.domain.offers import PublicOffer
from safetok.domain.renewal import Hold, Renewal, State
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.tokens import KeyPresence, Kind, PinState, Reading
from safetok.domain.validity import days_left, validity
from safetok.errors import ExitStatus
from safetok.knowledge import load
from safetok.locale import _, set_language
from safetok.workflows.certs import CertificateView
from safetok.workflows.due import due
from safetok.workflows.overview import RegistrationView, Status
from safetok.workflows.status import next_step
from safetok.workflows.tokens import TokenView

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
TOKEN = "54071505112727"


@pytest.fixture(autouse=True)
def vietnamese() -> None:
    set_language("vi")


def view(
    answer: CampaignAnswer = CampaignAnswer.NO, *, until: date = date(2026, 12, 13), **more: Any
) -> CertificateView:
    cert = certificate(until=until)
    known = {
        "certificate": cert,
        "token": TOKEN,
        "current": True,
        "state": validity(cert, NOW, more.get("revocation")),
        "days_left": days_left(cert, NOW),
        "key": KeyPresence.PRESENT,
        "key_by_id_only": False,
        "authority": load.authorities()["safe-ca"],
        "campaign": CampaignVerdict(answer=answer, reasons=()),
        "contract_end": None,
        "revocation": None,
        "offer": None,
        "offer_checked_at": None,
    }
    return CertificateView(**{**known, **more})


def status(
    *views: CertificateView,
    registrations: tuple[RegistrationView, ...] = (),
    unfinished: tuple[Renewal, ...] = (),
    pin: PinState = PinState.OK,
    tries: int = 0,
) -> Status:
    token = TokenView(
        info=dataclasses.replace(info(), pin_state=pin),
        kind=Kind.UNKNOWN,
        kind_reason="",
        note="",
        tries=tries,
        certificates=views,
        unreadable=0,
    )
    found = Status(
        now=NOW,
        reading=Reading(tokens=()),
        tokens=(token,) if views else (),
        registrations=registrations,
        appeared=(),
        unfinished=unfinished,
        names={},
        problems=(),
    )
    return dataclasses.replace(found, due=due(found))


def registration(agency: str, state: RegistrationState, *, hours_ago: float | None = None) -> RegistrationView:
    updated = NOW - timedelta(hours=hours_ago) if hours_ago is not None else None
    row = Registration(
        agency=agency,
        mst="0106324653",
        certificate="54010108BB",
        certificate_sha256="b",
        state=state,
        opened_at=NOW,
        updated_at=updated,
        until=updated + timedelta(hours=24) if updated else None,
    )
    return RegistrationView(registration=row, title=agency.upper(), name="A", standing=standing(row, NOW))


def test_a_token_of_two_companies_is_topped_up_by_company() -> None:
    """The next step names the company where the token alone would not say which certificate is meant."""
    first = view(offer=PublicOffer(exists=True), offer_checked_at=NOW)
    cert = dataclasses.replace(first.certificate, sha256="2", serial="54010108BB", uids=("MST:0106323762",))
    both = status(first, dataclasses.replace(first, certificate=cert)).due
    assert [one.command for one in both] == ["safetok renew --mst 0106324653", "safetok renew --mst 0106323762"]
    (alone,) = status(first).due
    assert alone.command == "safetok renew"


def test_a_token_of_two_people_of_a_company_is_topped_up_by_certificate() -> None:
    """`safetok renew` alone would take the company's latest for both. One person under a new identity number is one."""
    first = view(offer=PublicOffer(exists=True), offer_checked_at=NOW)
    uids = ("MST:0106324653", "CCCD:001099000057")
    of_b = dataclasses.replace(first.certificate, sha256="2", serial="54010108BB", subject_name="B", uids=uids)
    both = status(first, dataclasses.replace(first, certificate=of_b)).due
    assert [one.command for one in both] == ["safetok renew --cert 54010108AA", "safetok renew --cert 54010108BB"]
    renumbered = dataclasses.replace(of_b, subject_name=first.certificate.subject_name)
    again = status(first, dataclasses.replace(first, certificate=renumbered)).due
    assert {one.command for one in again} == {"safetok renew"}


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (view(until=date(2027, 12, 31)), None),
        (view(), "expiring"),
        (view(until=date(2026, 11, 22)), "expired"),
        (view(CampaignAnswer.YES, contract_end=date(2027, 12, 31)), "owed"),
        (view(CampaignAnswer.YES, until=date(2027, 6, 1), contract_end=date(2027, 12, 31)), "owed"),
        (view(CampaignAnswer.UNKNOWN), "contract_end_unknown"),
        (view(CampaignAnswer.UNKNOWN, until=date(2027, 12, 31)), None),
        (view(CampaignAnswer.OVER, contract_end=date(2026, 10, 1)), "contract_over"),
        (view(CampaignAnswer.DONE, until=date(2027, 12, 31)), None),
        (view(offer=PublicOffer(exists=True), offer_checked_at=NOW, until=date(2027, 12, 31)), "offer"),
        (view(CampaignAnswer.YES, offer=PublicOffer(exists=False), offer_checked_at=NOW), "expiring"),
        (view(current=False), None),
    ],
)
def test_what_is_due_for_a_certificate(one: CertificateView, code: str | None) -> None:
    """A certificate has at most one thing to do, and none while it is in order or old."""
    assert [found.code for found in status(one).due] == ([code] if code else [])


def test_an_endpoint_that_was_not_asked_is_to_be_asked() -> None:
    """Where the CA can be asked for an offer and was not, that comes before reading contracts."""
    authority = dataclasses.replace(
        load.authorities()["safe-ca"], url="https://ca.example/cmp", offers_url="https://ca.example"
    )
    (one,) = status(view(CampaignAnswer.UNKNOWN, authority=authority)).due
    assert (one.code, one.command) == ("ask_the_ca", "safetok renew")


@pytest.mark.parametrize("answer", [CampaignAnswer.YES, CampaignAnswer.UNKNOWN])
def test_without_an_endpoint_the_vendors_program_does_it(answer: CampaignAnswer) -> None:
    """Where safetok has no address of the CA, it points to the CA's own program, not to a command that cannot help."""
    (one,) = status(view(answer)).due
    assert one.command == "safetok status"
    assert "SAFE-CA Token Manager" in one.whole
    endpoint = dataclasses.replace(load.authorities()["safe-ca"], url="https://ca.example/cmp")
    (one,) = status(view(answer, authority=endpoint)).due
    stating = " --contract-end NN/TT/NNNN" if answer is CampaignAnswer.UNKNOWN else ""
    assert one.command == f"safetok renew{stating}"


@pytest.mark.parametrize(
    ("more", "code", "command"),
    [
        ({"refused": "contract_over", "contract_end": date(2026, 10, 8)}, "contract_over", "safetok contacts lcs-ca"),
        ({"refused": "contract_over"}, "contract_over", "safetok contacts lcs-ca"),
        ({"refused": "dossier_missing"}, "dossier_missing", "safetok dossier start --case papers-missing --cert "),
        ({"refused": "dossier_missing", "dossier_open": True}, "dossier_missing", "safetok dossier show --cert "),
    ],
)
def test_a_refused_offer_is_not_promised_again(more: dict[str, Any], code: str, command: str) -> None:
    """Once the CA has told the token why not, the next step is what it asks for."""
    lcs = load.authorities()["lcs-ca"]
    (one,) = status(view(authority=lcs, offer=PublicOffer(exists=True), offer_checked_at=NOW, **more)).due
    assert one.code == code
    assert one.command.startswith(command)


@pytest.mark.parametrize(("tries", "code"), [(1, []), (2, ["pin_final_try"])])
def test_tries_that_safetok_counted_are_told(tries: int, code: list[str]) -> None:
    """A PIN that safetok itself refuses to try again is due with 6, as one that its token calls a last try."""
    found = status(view(until=date(2027, 12, 31)), tries=tries).due
    assert [one.code for one in found] == code
    assert {one.exit_status for one in found} <= {ExitStatus.PIN_LOCKED}


@pytest.mark.parametrize(
    ("answer", "code"),
    [(RevocationAnswer.REVOKED, "certificate_revoked"), (RevocationAnswer.SUSPENDED, "certificate_suspended")],
)
def test_a_revoked_certificate_is_not_topped_up(answer: RevocationAnswer, code: str) -> None:
    """An offer for a revoked or suspended certificate is not spoken of; --check ends with 13."""
    known = Revocation(answer=answer, checked_at=NOW, since=NOW)
    (one,) = status(view(revocation=known, offer=PublicOffer(exists=True), offer_checked_at=NOW)).due
    assert (one.code, one.exit_status, one.error().exit_status) == (code, ExitStatus.REVOKED, ExitStatus.REVOKED)
    assert "renew" not in one.command


@pytest.mark.parametrize(("pin", "code"), [(PinState.LOCKED, "pin_locked"), (PinState.FINAL_TRY, "pin_final_try")])
def test_a_pin_in_danger_is_told(pin: PinState, code: str) -> None:
    """A locked PIN, or one wrong try from it, is due with 6; a locked one says how to unlock, with the Token ID."""
    (one,) = status(view(until=date(2027, 12, 31)), pin=pin).due
    assert (one.code, one.exit_status) == (code, ExitStatus.PIN_LOCKED)
    assert TOKEN in one.text
    if code == "pin_locked":
        assert "kinhdoanh@safecert.com.vn" in one.text


@pytest.mark.parametrize("pin", [PinState.OK, PinState.COUNT_LOW, PinState.TO_BE_CHANGED, PinState.NOT_SET])
def test_a_pin_not_in_danger_is_not_due(pin: PinState) -> None:
    """One earlier wrong try is shown, not raised as something to do."""
    assert status(view(until=date(2027, 12, 31)), pin=pin).due == ()


def test_timers_run_become_due_and_never_accept_themselves() -> None:
    """Before 24 hours nothing is due; at 24 hours a person is to check; nothing is accepted by time alone."""
    running = registration("vnaccs", RegistrationState.UPDATED, hours_ago=23.99)
    over = registration("v5", RegistrationState.UPDATED, hours_ago=24)
    assert status(registrations=(running,)).due == ()
    found = status(registrations=(running, over))
    (one,) = found.due
    assert (one.code, one.exit_status) == ("due_check", ExitStatus.DUE)
    assert "accepted v5" in one.command
    assert [view.registration.agency for view in found.timers] == ["vnaccs"]


def test_open_agencies_are_one_thing_to_do_for_each_certificate() -> None:
    """Seven open agencies are one reminder with their number; a rejection stands by itself; both are 15."""
    rows = tuple(registration(name, RegistrationState.OPEN) for name in ("tvan", "etax"))
    found = status(registrations=(*rows, registration("ivan", RegistrationState.REJECTED)))
    assert [(one.code, one.exit_status) for one in found.due] == [
        ("rejected", ExitStatus.REGISTRATIONS_OPEN),
        ("registrations_open", ExitStatus.REGISTRATIONS_OPEN),
    ]
    assert "2 cơ quan" in found.due[1].text


def test_accepted_and_unused_ask_for_nothing() -> None:
    """What is settled is not brought up again."""
    rows = (registration("tvan", RegistrationState.ACCEPTED), registration("etax", RegistrationState.UNUSED))
    assert status(registrations=rows).due == ()


def renewal(**more: Any) -> Renewal:
    known = {
        "id": "r1",
        "token_serial": TOKEN,
        "authority": "safe-ca",
        "state": State.REQUESTED,
        "created_at": NOW,
        "updated_at": NOW,
        "old_certificate": b"",
        "old_serial": "54010108AA",
    }
    return Renewal(**{**known, **more})


def test_an_unfinished_renewal_comes_first_and_alone() -> None:
    """A certificate whose renewal is under way is not offered a second one."""
    found = status(view(CampaignAnswer.YES, contract_end=date(2027, 12, 31)), unfinished=(renewal(),))
    assert [(one.code, one.command) for one in found.due] == [("renewal_unfinished", "safetok renew --resume")]


def test_the_new_certificate_of_an_unfinished_renewal_is_not_spoken_of_beside_it() -> None:
    """It may be on the token already, and taken back by its CA: the company's certificate is not called revoked for that."""
    gone = Revocation(answer=RevocationAnswer.REVOKED, checked_at=NOW, since=NOW)
    new = view(revocation=gone)
    waiting = renewal(state=State.LAPSED, hold=Hold.NEED_PIN, old_serial="54010107", certificate=new.certificate.der)
    assert [one.code for one in status(new, unfinished=(waiting,)).due] == ["renewal_unfinished"]
    assert [one.code for one in status(new).due] == ["certificate_revoked"]


def test_a_rejection_is_told_with_its_reason_where_there_is_one() -> None:
    """Without one the sentence ends, with no mark in its place."""
    without = registration("tvan", RegistrationState.REJECTED)
    given = dataclasses.replace(without, registration=dataclasses.replace(without.registration, reason="wrong serial"))
    assert status(registrations=(without,)).due[0].text == _("{agency} rejected the certificate of {name}.").format(
        agency="TVAN", name="A"
    )
    assert status(registrations=(given,)).due[0].text.endswith("wrong serial")


def test_a_renewal_whose_token_is_in_again_does_not_wait_for_it() -> None:
    """Pulled out and in again, it is no longer told to be missing."""
    waiting = renewal(hold=Hold.NEED_TOKEN)
    (away,) = status(unfinished=(waiting,)).due
    (back,) = status(view(CampaignAnswer.NO), unfinished=(waiting,)).due
    assert _("it needs its token") in away.text
    assert _("it needs its token") not in back.text
    assert _("it was interrupted") in back.text


@pytest.mark.parametrize(("minutes", "count"), [(-1, 1), (0, 1), (1, 0)])
def test_a_renewal_the_ca_postponed_is_due_at_its_time(minutes: int, count: int) -> None:
    """Until the moment the CA named, there is nothing to do about it."""
    after = NOW + timedelta(minutes=minutes)
    found = status(unfinished=(renewal(state=State.PENDING, hold=Hold.PENDING, check_after=after),))
    assert len(found.due) == count


def test_the_next_step_is_the_most_pressing_one() -> None:
    """`safetok` alone speaks of the first thing due and counts the others."""
    rows = (registration("tvan", RegistrationState.OPEN),)
    step = next_step(status(view(CampaignAnswer.YES, contract_end=date(2027, 12, 31)), registrations=rows))
    assert (step.state, step.command, step.more) == ("owed", "safetok status", 1)


def test_the_next_step_of_a_running_timer_is_to_wait() -> None:
    """With nothing due and a timer running, it says until when."""
    step = next_step(
        status(
            view(until=date(2027, 12, 31)), registrations=(registration("v5", RegistrationState.UPDATED, hours_ago=1),)
        )
    )
    assert (step.state, step.command) == ("waiting", "safetok agencies remind")
    assert "15:05 T3 24/11/2026" in step.text


def test_nothing_due_says_how_long() -> None:
    """In order, it says so with the days left."""
    step = next_step(status(view(until=date(2027, 12, 31))))
    assert step.state == "nothing_due"
    assert "403" in step.text


def test_the_certificate_of_an_unknown_ca_is_shown_by_its_serial() -> None:
    """Where there is no CA to call, the next step names the certificate."""
    expired = view(until=date(2026, 11, 22), authority=None)
    (one,) = status(expired).due
    assert (one.code, one.command) == ("expired", f"safetok certs show {expired.certificate.serial}")
