"""`agencies when`: until when to update at each agency for a filing that is due, or to file with the old certificate first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from safetok.domain import registrations as moves
from safetok.domain.agencies import over
from safetok.domain.filings import Filing, Signing, filing, parts_data
from safetok.domain.times import show_instant
from safetok.errors import UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import agencies
from safetok.workflows.agency_names import all_agencies, as_a_whole
from safetok.workflows.agency_names import wanted as named
from safetok.workflows.agency_rules import rule_of, working
from safetok.workflows.overview import RegistrationView

if TYPE_CHECKING:
    from safetok.domain.acceptance import Acceptance
    from safetok.domain.agencies import Agency
    from safetok.domain.certificates import Certificate
    from safetok.workflows.context import Context
    from safetok.workflows.known import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One agency's answer: where it stands to the filing, the rule it goes by, what to sign with today, what is said elsewhere of
    an agency whose wait nobody states (`effective`), and both certificates. `by_part`: its services that are updated before the
    rest of it; the answer is then the rest's.
    """

    view: RegistrationView
    filing: Filing
    rule: Acceptance
    signing: Signing
    effective: str
    new: Certificate | None
    old: Certificate | None
    by_part: Mapping[str, Signing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers for one moment; `known_until` is said where working days beyond the holidays known were counted."""

    now: datetime
    need: datetime
    answers: tuple[Answer, ...]
    named: bool = False  # only some agencies, or those of one token, company or certificate were asked for

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "need": self.need,
            "agencies": [
                {
                    "agency": one.view.registration.agency,
                    "title": one.view.title,
                    "mst": one.view.registration.mst,
                    "cert": one.view.registration.certificate,
                    "state": one.view.standing,
                    "answer": one.filing.answer,
                    "latest": one.filing.latest,
                    "accepted": one.filing.accepted,
                    "old_first": one.filing.old_first,
                    "sign_with": one.signing.answer,
                    "sign_parts": parts_data(one.by_part),
                    "rule": one.rule.rule,
                    "amount": one.rule.amount,
                    "source": one.rule.source,
                }
                for one in self.answers
            ],
        }


def when(context: Context, need: str, names: Sequence[str], selection: Selection) -> Answers:
    """For every agency that fits and is named (all without names).

    Raises UsageError `bad_time`, `past_time` for a moment that has gone, and as `agencies.listing`.
    """
    from safetok.store.answers import Answers as Answered

    now = context.now()
    moment = moves.parse_need(need, now)
    if moment <= now:
        raise UsageError(
            _("{at} has passed already: give the moment when the filing is due.").format(at=show_instant(moment)),
            code="past_time",
            hint=_('For instance --need "24/11 10:00".'),
        )
    known = all_agencies(agencies.store_of(context))
    wanted = [_named(name, known, now).name for name in names]
    listing = agencies.listing(context, selection)
    views = [view for view in listing.views if not wanted or view.registration.agency in wanted]
    heard = Answered(context.database).revocations(listing.certificates)
    calendar = working(context)
    answers = []
    for view in views:
        row = view.registration
        agency = known.get(row.agency)
        if agency is None or view.standing == "unused":
            continue
        certificate = listing.certificates.get(row.certificate_sha256)
        rule = rule_of(context, agency, certificate)
        answers.append(
            Answer(
                view=view,
                rule=rule,
                signing=listing.signing[agencies.key(row)],
                filing=filing(
                    row,
                    rule,
                    calendar,
                    now=now,
                    need=moment,
                    signing=listing.signing[agencies.key(row)],
                    ended=over(certificate, heard.get(row.certificate_sha256), moment),
                ),
                effective="" if rule.waits else _effective(agency),
                new=certificate,
                old=listing.old.get((row.certificate_sha256, row.agency)),
                by_part=listing.by_part.get(agencies.key(row), {}),
            )
        )
    return Answers(now=now, need=moment, answers=tuple(answers), named=listing.named or bool(wanted))


def _named(word: str, known: dict[str, Agency], now: datetime) -> Agency:
    """The agency that a word names, by itself or by one of its services: it is answered with all of them."""
    one = named(word, known, now)
    if one.at is not None:
        as_a_whole(word, one, "when")
    return one.agency


def _effective(agency: Agency) -> str:
    from safetok.knowledge import load

    guide = load.agency_guide(agency.name)
    return guide.effective if guide else ""
