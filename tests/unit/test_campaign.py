from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from safetok.domain.campaign import Campaign, CampaignAnswer, CampaignVerdict, judge
from safetok.domain.certificates import Certificate
from safetok.domain.times import VIETNAM, end_of_day
from safetok.knowledge import load
from safetok.locale import set_language

TODAY = date(2026, 11, 23)
OWED = date(2027, 12, 31)


@pytest.fixture
def campaign() -> Campaign:
    return load.campaigns()[0]


def certificate(
    issued: str = "2024-06-01", until: date = date(2026, 12, 13), serial: str = "54010108AA"
) -> Certificate:
    """A SAFE-CA certificate issued at an instant in Vietnamese time, valid to the end of a Vietnamese day."""
    start = datetime.fromisoformat(issued)
    start = start if start.tzinfo else start.replace(tzinfo=VIETNAM)
    return Certificate(
        der=serial.encode(),
        sha256=serial,
        serial=serial,
        subject="CN=A",
        subject_name="A",
        subject_der=b"A",
        issuer="CN=SAFE-CA SHA-256 2020",
        issuer_name="SAFE-CA SHA-256 2020",
        issuer_der=b"I",
        uids=("MST:0106324653",),
        not_before=start.astimezone(UTC),
        not_after=end_of_day(until),
        key_type="RSA",
        key_bits=2048,
        spki=b"k",
        is_ca=False,
    )


def verdict(
    campaign: Campaign,
    cert: Certificate,
    contract_end: date | None,
    *,
    today: date = TODAY,
    authority: str | None = "safe-ca",
    others: tuple[Certificate, ...] = (),
) -> CampaignVerdict:
    return judge(cert, campaign, contract_end=contract_end, today=today, authority_name=authority, others=others)


@pytest.mark.parametrize(
    ("issued", "answer"),
    [
        ("2025-02-05T23:59:59+07:00", CampaignAnswer.YES),
        ("2025-02-06T00:00:00+07:00", CampaignAnswer.NO),
        ("2025-02-05T16:59:59+00:00", CampaignAnswer.YES),
        ("2025-02-05T17:00:00+00:00", CampaignAnswer.NO),
    ],
)
def test_issued_strictly_before_06_02_2025_in_vietnamese_time(
    campaign: Campaign, issued: str, answer: CampaignAnswer
) -> None:
    """A certificate issued in the last second of 05/02/2025 in Vietnam is owed time, one issued a second later is not."""
    assert verdict(campaign, certificate(issued), OWED).answer is answer


@pytest.mark.parametrize(
    ("contract_end", "answer"),
    [
        (date(2025, 11, 26), CampaignAnswer.NO),
        (date(2025, 11, 27), CampaignAnswer.NO),
        (date(2025, 11, 28), CampaignAnswer.YES),
    ],
)
def test_contract_end_strictly_after_27_11_2025(campaign: Campaign, contract_end: date, answer: CampaignAnswer) -> None:
    """A contract that ends on 27/11/2025 itself is owed nothing, one that ends the day after is."""
    cert = certificate(until=date(2025, 11, 20))
    assert verdict(campaign, cert, contract_end, today=date(2025, 11, 1)).answer is answer


@pytest.mark.parametrize(
    ("until", "answer"),
    [
        (OWED - timedelta(days=1), CampaignAnswer.YES),
        (OWED, CampaignAnswer.DONE),
        (OWED + timedelta(days=1), CampaignAnswer.DONE),
    ],
)
def test_done_when_the_last_usable_day_reaches_the_contract_end(
    campaign: Campaign, until: date, answer: CampaignAnswer
) -> None:
    """A certificate usable to the contract's last day is done, one a day short of it is owed that day."""
    assert verdict(campaign, certificate(until=until), OWED).answer is answer


@pytest.mark.parametrize(
    ("until", "answer"), [(date(2029, 12, 2), CampaignAnswer.YES), (date(2029, 12, 3), CampaignAnswer.DONE)]
)
def test_done_when_the_ca_itself_ends_before_the_contract(
    campaign: Campaign, until: date, answer: CampaignAnswer
) -> None:
    """A contract beyond 03/12/2029 is served as far as the CA's own certificate goes."""
    assert verdict(campaign, certificate(until=until), date(2030, 6, 30)).answer is answer


@pytest.mark.parametrize(
    ("today", "answer"), [(OWED, CampaignAnswer.YES), (OWED + timedelta(days=1), CampaignAnswer.OVER)]
)
def test_over_only_the_day_after_the_contract_end(campaign: Campaign, today: date, answer: CampaignAnswer) -> None:
    """On its last day a contract still runs; on the next it is over, and the verdict says which day it ended."""
    found = verdict(campaign, certificate(), OWED, today=today)
    assert found.answer is answer
    assert any("31/12/2027" in reason for reason in found.reasons)


def test_over_names_the_contract_end_even_beyond_the_ca(campaign: Campaign) -> None:
    """The day that an ended contract is said to have ended is its own, never the CA's."""
    found = verdict(campaign, certificate(), date(2030, 6, 30), today=date(2030, 7, 1))
    assert found.answer is CampaignAnswer.OVER
    assert "30/06/2030" in found.reasons[0]


def test_unknown_without_a_contract_end(campaign: Campaign) -> None:
    """A certificate of the programme whose contract end nobody knows is neither owed nor refused."""
    found = verdict(campaign, certificate(), None)
    assert found.answer is CampaignAnswer.UNKNOWN
    assert [c.holds for c in found.conditions] == [True, True, None]


@pytest.mark.parametrize("name", ["lcs-ca", None])
def test_no_for_another_or_unknown_authority(campaign: Campaign, name: str | None) -> None:
    """Only SAFE-CA's certificates are in its programme, and the reason says so and nothing else."""
    set_language("vi")
    found = verdict(campaign, certificate(), OWED, authority=name)
    assert found.answer is CampaignAnswer.NO
    assert found.reasons == ("không phải SAFE-CA",)


def test_no_for_a_later_customer(campaign: Campaign) -> None:
    """A first certificate issued after the cut-off is outside the programme, and the failing condition comes first."""
    set_language("vi")
    found = verdict(campaign, certificate("2025-03-01", until=date(2027, 3, 1)), None)
    assert found.answer is CampaignAnswer.NO
    assert found.reasons[0] == "cấp ngày 01/03/2025, không trước 06/02/2025"


def test_the_top_up_is_done_and_so_is_what_it_replaced(campaign: Campaign) -> None:
    """With both certificates known neither is owed anything, although nobody states the contract end."""
    old, new = certificate(until=date(2025, 11, 27)), certificate("2025-12-01", until=OWED, serial="54010108BB")
    assert verdict(campaign, new, None, others=(old,)).answer is CampaignAnswer.DONE
    replaced = verdict(campaign, old, None, others=(new,))
    assert replaced.answer is CampaignAnswer.DONE
    assert "54010108BB" in replaced.reasons[0]


def test_a_later_certificate_that_falls_short_settles_nothing(campaign: Campaign) -> None:
    """A successor that ends before the contract does not end what the old one is owed."""
    old, new = certificate(), certificate("2026-01-01", until=date(2027, 1, 1), serial="54010108BB")
    assert verdict(campaign, old, OWED, others=(new,)).answer is CampaignAnswer.YES
    reaches = certificate("2026-01-01", until=OWED, serial="54010108BB")
    assert verdict(campaign, old, OWED, others=(reaches,)).answer is CampaignAnswer.DONE


def test_every_condition_is_named(campaign: Campaign) -> None:
    """A yes names all four conditions, each with its own sentence."""
    found = verdict(campaign, certificate(), OWED)
    assert [c.name for c in found.conditions] == ["authority", "issued_before", "contract_end_after", "not_reached"]
    assert all(c.holds for c in found.conditions)
    assert found.reasons == tuple(c.text for c in found.conditions)
    assert found.campaign == "safe-ca-2025"


@pytest.mark.parametrize("language", ["vi", "en"])
def test_reasons_speak_both_languages(campaign: Campaign, language: str) -> None:
    """Dates are as Vietnamese agencies print them in either language."""
    set_language("vi" if language == "vi" else "en")
    assert "383" in verdict(campaign, certificate(), OWED).reasons[-1]
    assert "06/02/2025" in verdict(campaign, certificate(), OWED).reasons[1]


def test_a_top_up_whose_contract_has_ended_is_over(campaign: Campaign) -> None:
    """Not the old certificate alone: with the top-up in use there is no time left either, and it is said so."""
    ended = TODAY - timedelta(days=1)
    new = certificate("2026-01-10", until=ended, serial="5401")
    assert verdict(campaign, new, ended, others=(certificate(),)).answer is CampaignAnswer.OVER


def test_a_later_certificate_makes_nothing_of_one_that_was_never_in_the_programme(campaign: Campaign) -> None:
    """Issued too late, it is owed nothing; that another followed it is no top-up of it."""
    late = certificate("2025-06-01", until=date(2026, 12, 1))
    after = certificate("2026-06-01", until=date(2028, 1, 1), serial="5401")
    assert verdict(campaign, late, OWED, others=(after,)).answer is CampaignAnswer.NO


def test_one_that_reaches_the_contract_s_last_day_is_not_said_to_end_with_the_ca(campaign: Campaign) -> None:
    """Also where both are the same day."""
    set_language("en")
    reached = verdict(campaign, certificate(until=OWED), OWED)
    assert "reaches the contract end" in reached.reasons[0]
    capped = verdict(campaign, certificate(until=campaign.ca_until), campaign.ca_until + timedelta(days=1))
    assert "the CA's own certificate ends then" in capped.reasons[0]
