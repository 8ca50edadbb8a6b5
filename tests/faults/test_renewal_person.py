"""What a person is asked before a renewal begins, what every answer leads to, and whom a renewal is not for."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import tomli_w
from support_faults import Box, Came
from support_simulator import Simulator
from support_tokens import run

from safetok.domain.times import last_usable_day, show_day
from safetok.errors import PersonNeeded, SafetokError
from safetok.sandbox.softhsm import module as softhsm_module
from safetok.store.journal import Journal
from safetok.workflows import adopt
from safetok.workflows.pins import PinSource
from safetok.workflows.renew.start import renew, resume_one

READY, PIN, ACCEPT, END = "Đã sẵn sàng?", "Mã PIN của", "Chấp nhận cấp bù", "để Xác nhận"
LIST = "Mở danh sách"


@dataclass
class Answers:
    """A person at the terminal: `yes` to the questions that hold one of these words, `lines` typed in turn, `pin` typed."""

    yes: Sequence[str] = (READY, ACCEPT)
    lines: list[str] = field(default_factory=list)
    pin_typed: str = ""
    interactive: bool = True
    heard: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.heard.append(text)

    def warn(self, text: str) -> None:
        self.heard.append(text)

    def confirm(self, question: str, *, default: bool = False) -> bool:  # noqa: ARG002
        self.heard.append(question)
        return any(word in question for word in self.yes)

    def line(self, question: str) -> str:
        self.heard.append(question)
        return self.lines.pop(0)

    def pin(self, question: str) -> str:
        self.heard.append(question)
        return self.pin_typed

    def choose(self, question: str, options: Sequence[str]) -> int:
        self.heard += [question, *options]
        return 0


def asked(box: Box, person: Answers, *, dry_run: bool = False, module: str | None = None, **more: Any) -> Came:
    """One renewal by hand: nothing is confirmed on the command line unless `more` says so."""
    given = {"yes": False, "confirm_contract_end": None, **more}
    person.pin_typed = box.token.pin
    with box.context() as context:
        own = replace(context, prompter=person, dry_run=dry_run, module=module or context.module)
        request = replace(box.request(**given), pin=PinSource(keyring=False))
        try:
            result = renew(own, request)
        except SafetokError as error:
            return Came(status=int(error.exit_status), code=error.code, error=error)
        finally:
            own.close()
    return Came(status=int(result.exit_status), result=result)


def configure(box: Box, **changes: Any) -> None:
    """Change what the settings say of SAFE-CA; None takes a value out."""
    file = box.places.home / "settings.toml"
    settings = tomllib.loads(file.read_text("utf-8"))
    for authority in settings["authorities"].values():
        authority.update(changes)
        for name in [name for name, value in authority.items() if value is None]:
            del authority[name]
    file.write_text(tomli_w.dumps(settings), encoding="utf-8")


def told(person: Answers) -> str:
    return "\n".join(person.heard)


def nothing_done(box: Box) -> None:
    """No row in the journal, no request at the CA."""
    assert box.transactions() == []
    with box.context() as context:
        assert Journal(context.database).all() == []


# --- the questions -------------------------------------------------------------------------------------------------------


def test_a_person_renews_by_typing_the_contract_s_end(box: Box) -> None:
    """Ready, PIN, accept, details, the day typed again as dd/mm/yyyy: DONE."""
    assert box.confirm_end is not None
    person = Answers(lines=["31 tháng 12", show_day(box.confirm_end)])
    came = asked(box, person)
    assert (came.status, came.state) == (0, "DONE"), told(person)
    assert "31 tháng 12" in told(person), "what was no day is named before it is asked for again"
    asked_for = [word for line in person.heard for word in (READY, PIN, ACCEPT, END) if word in line]
    assert asked_for == [READY, PIN, ACCEPT, END, END]


@pytest.mark.parametrize(("yes", "lines", "logins"), [((), [], 0), ((READY,), [], 1), ((READY, ACCEPT), [""], 1)])
def test_no_at_any_question_ends_with_nothing_done(box: Box, yes: Sequence[str], lines: list[str], logins: int) -> None:
    """Not ready, not accepted, or an empty line instead of the day: DECLINED, 0, and nothing was sent."""
    person = Answers(yes=yes, lines=lines)
    came = asked(box, person)
    assert (came.status, came.state) == (0, "DECLINED")
    assert sum(PIN in line for line in person.heard) == logins
    nothing_done(box)


def test_a_day_typed_otherwise_than_the_ca_says_stops_it(box: Box) -> None:
    """contract_end_differs, 11, with both days; nothing was sent."""
    came = asked(box, Answers(lines=["31/12/2035"]))
    assert (came.status, came.code) == (11, "contract_end_differs")
    assert came.error is not None
    assert "31/12/2035" in came.error.message
    nothing_done(box)


@pytest.mark.parametrize("kept_waiting", [False, True])
def test_what_another_run_did_meanwhile_is_not_done_again(box: Box, *, kept_waiting: bool) -> None:
    """While the person reads the notes another run renews the certificate, or begins to: 11 before any PIN, and one issue."""
    configure(box, offers_url=None)
    end = box.confirm_end
    assert end is not None

    class Slow(Answers):
        def confirm(self, question: str, *, default: bool = False) -> bool:
            if READY in question:
                if kept_waiting:
                    box.plan({"name": "cut", "on": "certConf", "times": 9})
                box.renew(contract_end=end)
            return super().confirm(question, default=default)

    person = Slow(lines=[show_day(end)])
    came = asked(box, person, contract_end=end)
    assert (came.status, came.code) == (11, "renewal_running" if kept_waiting else "renewed_meanwhile"), told(person)
    assert not [line for line in person.heard if PIN in line]
    assert len(box.transactions()) == 1


@pytest.mark.parametrize("new_key", [False, True])
def test_an_offer_that_is_over_is_asked_for_again_at_once(box: Box, *, new_key: bool) -> None:
    """Confirmed, stopped, and carried on after the offer's end by a person: told, and asked anew in the same run; one issue."""
    assert box.confirm_end is not None
    keys = box.objects()["Private Key"]
    with (
        patch("safetok.ca.cmp.requests.build_request", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        box.renew(new_key=new_key)
    box.clock.turn(days=2)
    person = Answers(lines=[show_day(box.confirm_end)])
    came = asked(box, person, new_key=new_key)
    assert (came.status, came.state) == (0, "DONE"), told(person)
    assert [line for line in person.heard if "hết hạn trước khi" in line], told(person)
    assert len(box.transactions()) == 1
    assert len(box.objects()["Private Key"]) == len(keys) + new_key


def test_three_lines_that_are_no_day_stop_it(box: Box) -> None:
    """bad_day, 2, after the third; nothing was sent."""
    came = asked(box, Answers(lines=["mai", "cuối năm", "31.02.2027"]))
    assert (came.status, came.code) == (2, "bad_day")
    nothing_done(box)


def test_a_day_stated_otherwise_than_the_offer_says_stops_it(box: Box) -> None:
    """--contract-end and the CA's offer disagree: 11 before any confirmation."""
    came = box.renew(contract_end=date(2035, 12, 31), confirm_contract_end=None)
    assert (came.status, came.code) == (11, "contract_end_differs")
    nothing_done(box)


def test_nobody_there_and_no_yes_is_told_what_to_add(box: Box) -> None:
    """Without --yes and without a terminal: confirmation_required, 11, before any PIN."""
    came = box.renew(yes=False)
    assert (came.status, came.code) == (11, "confirmation_required")
    assert came.error is not None
    assert "--yes" in came.error.hint
    nothing_done(box)


# --- a CA without offers -------------------------------------------------------------------------------------------------


def test_without_offers_the_day_stated_is_asked_for_and_confirmed(box: Box) -> None:
    """No offers: the end comes from the person alone, as does the request's notAfter; the CA is asked whether it is there."""
    configure(box, offers_url=None)
    assert box.confirm_end is not None
    person = Answers(lines=[show_day(box.confirm_end)])
    came = asked(box, person, contract_end=None)
    assert (came.status, came.state) == (0, "DONE"), told(person)
    assert came.result is not None
    assert came.result.contract_end == box.confirm_end
    assert box.journal().contract_end_by == "user"


def test_without_offers_a_script_states_and_confirms(box: Box) -> None:
    """Nothing stated: contract_end_unknown. Stated only: it must be confirmed by value, before any PIN. Both: DONE."""
    configure(box, offers_url=None)
    end = box.confirm_end
    unknown = box.renew(contract_end=None, confirm_contract_end=None)
    assert (unknown.status, unknown.code) == (11, "contract_end_unknown")
    only_confirmed = box.renew(contract_end=None)
    assert (only_confirmed.status, only_confirmed.code) == (11, "contract_end_unknown")
    stated = box.renew(contract_end=end, confirm_contract_end=None, pin=False)
    assert (stated.status, stated.code) == (11, "confirmation_required")
    nothing_done(box)
    assert box.renew(contract_end=end).state == "DONE"


def test_without_offers_no_more_is_asked_for_than_the_ca_has(box: Box) -> None:
    """The contract runs beyond the CA's own certificate: its last instant is asked for."""
    configure(box, offers_url=None)
    beyond = date(2031, 1, 1)
    assert box.renew(contract_end=beyond, confirm_contract_end=beyond).state == "DONE"
    requested = box.journal().requested_not_after
    assert requested is not None
    assert last_usable_day(requested) == date(2029, 12, 3)


def test_without_offers_a_certificate_that_reaches_the_end_is_left(box: Box) -> None:
    """The certificate ends no earlier than the contract: nothing to do, 0."""
    configure(box, offers_url=None)
    soon = box.clock.now.date() + timedelta(days=5)
    came = box.renew(contract_end=soon, confirm_contract_end=soon)
    assert (came.status, came.state) == (0, "NOTHING_DUE")
    nothing_done(box)


def test_without_offers_the_details_come_before_the_confirmation(box: Box) -> None:
    """What is stated is shown with the new end, the days gained and those that are missing, before it is to be typed again."""
    configure(box, offers_url=None)
    person = Answers(lines=[""])
    assert asked(box, person, contract_end=date(2031, 1, 1)).state == "DECLINED"
    before = person.heard[: next(at for at, line in enumerate(person.heard) if END in line)]
    assert [line for line in before if line.startswith("Được thêm")]
    assert [line for line in before if "ngắn hơn 394 ngày" in line]
    unstated = Answers(lines=[""])
    assert asked(box, unstated, contract_end=None).state == "DECLINED"
    before = unstated.heard[: next(at for at, line in enumerate(unstated.heard) if END in line)]
    assert [line for line in before if line.startswith("Serial cũ")], "whose certificate it is"


def test_without_offers_a_typed_end_that_is_reached_is_nothing_to_do(box: Box) -> None:
    """A day typed that the certificate reaches already: NOTHING_DUE, 0, as when it is stated; the CA issues nothing."""
    configure(box, offers_url=None)
    person = Answers(lines=[show_day(box.clock.now.date() + timedelta(days=5))])
    came = asked(box, person, contract_end=None)
    assert (came.status, came.state) == (0, "NOTHING_DUE"), told(person)
    nothing_done(box)


def test_without_offers_an_end_remembered_from_another_run_is_told(box: Box) -> None:
    """An end that was stated wrongly before would keep the certificate for ever: it is shown, and how to state another."""
    configure(box, offers_url=None)
    url = tomllib.loads((box.places.home / "settings.toml").read_text("utf-8"))["authorities"]["safe-ca"]["url"]
    soon = box.clock.now.date() + timedelta(days=5)
    configure(box, url=None)
    assert box.renew(contract_end=soon, confirm_contract_end=None).state == "NOTHING_DUE"
    configure(box, url=url)
    came = box.renew(contract_end=None, confirm_contract_end=None, pin=False)
    assert (came.status, came.state) == (0, "NOTHING_DUE")
    assert came.result is not None
    assert show_day(soon) in came.result.reasons[0]
    assert "--contract-end" in came.result.reasons[1]
    contradicted = box.renew(contract_end=None, pin=False)
    assert (contradicted.status, contradicted.code) == (11, "contract_end_differs"), (
        "a script learns that nothing was done"
    )
    assert box.renew(contract_end=box.confirm_end).state == "DONE"


def test_without_offers_a_certificate_that_was_topped_up_is_not_topped_up_again(box: Box) -> None:
    """A script that names the old certificate every night: nothing to do, 0, once the new one is there; a later end names it."""
    configure(box, offers_url=None)
    end = box.confirm_end
    assert end is not None
    old = box.renew(contract_end=end).result
    assert old is not None
    again = box.renew(contract_end=end, cert=old.old_serial, pin=False)
    assert (again.status, again.state) == (0, "NOTHING_DUE")
    later = end + timedelta(days=90)
    further = box.renew(contract_end=later, confirm_contract_end=later, cert=old.old_serial, pin=False)
    assert (further.status, further.code) == (11, "superseded")
    assert further.error is not None
    assert str(old.new_serial) in further.error.hint
    assert len(box.issued()) == 1


def test_without_offers_a_contract_that_is_over_is_not_asked_for(box: Box) -> None:
    """An expired certificate whose contract has ended since: contract_over, 11, before any PIN, stated or typed."""
    configure(box, offers_url=None, renew_expired=True)
    box.clock.turn(days=60)
    over = box.clock.now.date() - timedelta(days=5)
    stated = box.renew(contract_end=over, confirm_contract_end=over, pin=False)
    assert (stated.status, stated.code) == (11, "contract_over")
    typed = asked(box, Answers(lines=[show_day(over)]), contract_end=None)
    assert (typed.status, typed.code) == (11, "contract_over")
    nothing_done(box)


def test_an_end_no_later_than_the_old_one_is_not_asked_for(box: Box) -> None:
    """The settings name only the old issuing CA, which ends with the certificate: nothing_gained, 11; the CA issues nothing."""
    file = box.places.home / "settings.toml"
    settings = tomllib.loads(file.read_text("utf-8"))
    issuers = settings["authorities"]["safe-ca"]["issuers"]
    configure(box, offers_url=None, issuers=[one for one in issuers if "2020" in one])
    came = box.renew(contract_end=box.confirm_end)
    assert (came.status, came.code) == (11, "nothing_gained")
    nothing_done(box)


def test_without_offers_another_day_is_the_person_s_own_contradiction(box: Box) -> None:
    """--confirm-contract-end differs from --contract-end: 11, and nothing is said of what the CA gave, for it gave nothing."""
    configure(box, offers_url=None)
    came = box.renew(contract_end=box.confirm_end, confirm_contract_end=date(2035, 12, 31), pin=False)
    assert (came.status, came.code) == (11, "contract_end_differs")
    assert came.error is not None
    assert "đã khai" in came.error.message
    assert "SAFE-CA" not in came.error.message
    nothing_done(box)


def test_what_another_has_followed_lacks_nothing(box: Box) -> None:
    """An old certificate named by its serial, expired or not: the newer one is named, and nobody is sent to the CA for the rest."""
    old = box.renew().result
    assert old is not None
    for later in (0, 30):
        box.clock.now += timedelta(days=later)
        again = box.renew(cert=old.old_serial, confirm_contract_end=None, pin=False)
        assert (again.status, again.state) == (0, "NOTHING_DUE")
        assert again.result is not None
        assert again.result.remark == ""
        assert any(str(old.new_serial) in reason for reason in again.result.reasons)


def test_nothing_owed_to_what_has_expired_is_no_good_news(box: Box) -> None:
    """0; first of all that nobody signs with it, and whom to ask. While it is valid nothing is remarked."""
    configure(box, offers_url=None)
    soon = box.clock.now.date() + timedelta(days=5)
    expired = r"CTS đã hết hạn \S+: không ký bằng CTS này\. Muốn dùng tiếp: hỏi 1900 6154\."
    for later, remark in ((0, ""), (400, expired)):
        box.clock.turn(days=later)
        came = box.renew(contract_end=soon, confirm_contract_end=soon)
        assert (came.status, came.state) == (0, "NOTHING_DUE")
        assert came.result is not None
        assert re.fullmatch(remark, came.result.remark)
        assert (came.result.reasons[0] == came.result.remark) == bool(remark)
    nothing_done(box)


def test_without_offers_a_ca_that_is_down_is_found_before_the_pin(box: Box) -> None:
    """8, no PIN asked, nothing changed."""
    configure(box, offers_url=None, url="http://127.0.0.1:9/.well-known/cmp")
    came = box.renew(contract_end=box.confirm_end, pin=False)
    assert (came.status, came.code) == (8, "ca_unreachable")
    nothing_done(box)


def test_without_offers_a_dry_run_says_why_it_may_not_be_owed(box: Box) -> None:
    """WOULD_RENEW with the programme's reasons beside it where it does not say yes; nobody is asked for a PIN."""
    configure(box, offers_url=None)
    person = Answers()
    box.story = "v2-owed"
    came = asked(box, person, dry_run=True)
    assert (came.status, came.state) == (0, "WOULD_RENEW")
    assert came.result is not None
    assert len(came.result.reasons) > 1
    certain = asked(box, person, dry_run=True, contract_end=box.confirm_end)
    assert certain.result is not None
    assert len(certain.result.reasons) == 1
    assert not [line for line in person.heard if PIN in line]
    nothing_done(box)


# --- whom it is not for --------------------------------------------------------------------------------------------------


def test_a_ca_that_the_programme_does_not_know_owes_nothing(box: Box) -> None:
    """No settings name the certificate's issuer: nothing to do, 0, and the reason."""
    file = box.places.home / "settings.toml"
    settings = tomllib.loads(file.read_text("utf-8"))
    for authority in settings["authorities"].values():
        authority["issuers"] = authority["anchors"]
    file.write_text(tomli_w.dumps(settings), encoding="utf-8")
    came = box.renew()
    assert (came.status, came.state) == (0, "NOTHING_DUE")
    assert came.result is not None
    assert "SAFE-CA" in came.result.reasons[0]
    nothing_done(box)


def test_an_offer_that_the_programme_expects_and_the_ca_does_not_show(box: Box) -> None:
    """The programme says yes, the CA's offers know nothing of it: 11, whom to ask; no PIN."""
    with patch("safetok.sandbox.books.Books.offer_stands", lambda *_given: False):
        came = box.renew(contract_end=box.confirm_end, pin=False)
    assert (came.status, came.code) == (11, "no_offer")
    nothing_done(box)


def test_an_expired_certificate_is_renewed_only_where_the_ca_is_known_to(box: Box) -> None:
    """Past its end and without an offer: 11, unless the settings say that this CA renews expired ones."""
    configure(box, offers_url=None, renew_expired=False)
    box.clock.turn(days=30)
    end = box.confirm_end
    came = box.renew(contract_end=end)
    assert (came.status, came.code) == (11, "certificate_expired")
    nothing_done(box)


def test_a_token_without_a_number_is_never_logged_in_to(box: Box) -> None:
    """A blank Token ID could be any token's: 2, nobody is asked for a PIN."""
    for file in box.places.tokens.glob("*/token.object"):
        content = file.read_bytes()
        if box.token.serial.encode() in content:
            file.write_bytes(content.replace(box.token.serial.encode(), b" " * 16))
    with box.context() as context, context.tokens() as tokens:
        shown = [s.certificate for t in tokens.read().tokens if not t.info.serial for s in t.certificates]
    came = box.renew(serial=None, cert=shown[0].serial)
    assert (came.status, came.code) == (2, "token_without_serial")
    nothing_done(box)


def test_a_certificate_whose_key_is_elsewhere_is_not_renewed_here(box: Box) -> None:
    """Its key is not among those on the token: 11, before any PIN."""
    module, token = str(softhsm_module()), box.token
    tool = ("pkcs11-tool", "--module", module, "--token-label", token.label, "--login", "--pin", token.pin)
    cka_id = box.objects()["Private Key"][0]
    for kind in ("privkey", "pubkey"):
        run(*tool, "--delete-object", "--type", kind, "--id", cka_id)
    run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "77", "--label", "other")
    came = box.renew(pin=False)
    assert (came.status, came.code) == (11, "key_absent")
    nothing_done(box)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"write_protected": "yes"}, "write_protected"),
        ({"write_protected": "late"}, "write_protected"),
        ({"free_public": 2000}, "no_space"),
    ],
)
def test_a_token_that_could_not_take_a_certificate_is_refused_before_the_pin(
    box: Box, simulator_module: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], code: str
) -> None:
    """Write-protected or full by its own word: 10, and no try of the PIN was made."""
    simulator = Simulator(simulator_module, box.places.folder / "simulator.conf")
    simulator.steer(forward=str(softhsm_module()), **settings)
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    came = asked(box, Answers(), module=str(simulator.module))
    assert (came.status, came.code) == (10, code)
    assert simulator.count("C_Login") == 0
    nothing_done(box)


# --- one that is there already -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("yes", "state"), [((LIST,), "ADOPTED"), ((), "NOTHING_DUE")])
def test_a_certificate_that_came_by_other_means_is_taken_over_with_a_yes(
    box: Box, yes: Sequence[str], state: str
) -> None:
    """The vendor's window put it there: asked about, its list of agencies opened or not; no PIN, no request."""
    box.renew(pin=False)  # the token is known with its old certificate
    known = box.places.folder / "known"
    shutil.copytree(box.places.home, known)
    assert box.renew().state == "DONE"
    shutil.rmtree(box.places.home)
    known.rename(box.places.home)
    person = Answers(yes=yes)
    came = asked(box, person)
    assert (came.status, came.state) == (0, state)
    assert came.result is not None
    assert (came.result.agencies_open > 0) is (state == "ADOPTED")
    assert not [line for line in person.heard if PIN in line]


def test_a_yes_for_all_takes_over_only_what_followed_on_the_same_token(box: Box) -> None:
    """Where the one it would follow is on another token, a script's --yes opens nothing: a person is asked."""
    appeared = adopt.appeared
    box.renew(pin=False)
    known = box.places.folder / "known"
    shutil.copytree(box.places.home, known)
    assert box.renew().state == "DONE"
    shutil.rmtree(box.places.home)
    known.rename(box.places.home)

    def elsewhere(context: Any, **how: Any) -> Any:
        return tuple(replace(one, replaced_token="another") for one in appeared(context, **how))

    with patch.object(adopt, "appeared", elsewhere):
        came = box.renew()
    assert (came.status, came.state) == (0, "NOTHING_DUE")
    assert box.renew().state == "ADOPTED"


def test_a_renewal_whose_ca_left_the_settings_says_so(box: Box) -> None:
    """Unfinished, and its CA is no longer named: 11, what to write where; named again, it goes on."""
    box.plan("cut")
    assert box.renew().status == 8
    with box.context() as context:
        own = replace(context, settings=replace(context.settings, authorities={}))
        with pytest.raises(PersonNeeded) as raised:
            resume_one(own, box.journal(), box.request())
        own.close()
    assert raised.value.code == "authority_missing"
    assert str(box.places.home) in raised.value.hint
    assert box.resume().state == "DONE"
