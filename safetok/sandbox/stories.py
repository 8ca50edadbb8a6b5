"""The sandbox's tokens as stories: who holds each, what certificate it carries, and what the CA knows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from safetok.domain.offers import DossierState
from safetok.domain.times import VIETNAM, end_of_day, vietnamese_day
from safetok.sandbox.pki import LCS, SAFE_NEW, SAFE_NEW_TO, SAFE_OLD

Standing = Literal["good", "suspended", "revoked"]
Problem = Literal["", "contract-over", "dossier-missing"]

DAYS_LEFT = 20  # of an owed certificate, and of the issuer above it
CAMPAIGN_FIRST = date(2024, 6, 1)  # issued before 06/02/2025, as the notice asks
CAMPAIGN_END = date(2025, 11, 27)  # the day the real certificates ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One token. Days are Vietnamese; `key` None is a token that is not activated: no key, no certificate."""

    name: str
    company: str
    mst: str
    authority: Literal["safe-ca", "lcs-ca"] = "safe-ca"
    kind: Literal["V1", "V2", "UNKNOWN"] = "V2"
    key: Literal["RSA", "EC"] | None = "RSA"
    personal_id: str = ""
    issuer: str = SAFE_OLD
    not_before: datetime
    not_after: datetime
    contract_end: date | None = None  # None: nobody states it
    offer: bool = False
    problem: Problem = ""  # what the private answer says instead of the offer
    standing: Standing = "good"
    topped_up: bool = False  # the vendor's window has already written the new certificate beside the old one
    dossier: DossierState = "complete"
    missing: tuple[str, ...] = field(default=())
    pin: str = ""
    street: str = "Số 1 đường Thực Hành"
    province: str = "TP.Hồ Chí Minh"

    @property
    def label(self) -> str:
        """The token's label; the kind rules of the sandbox's settings read the generation from it."""
        parts = ["LCS-CA" if self.authority == "lcs-ca" else "SAFE-CA"]
        if self.kind != "UNKNOWN":
            parts.append(self.kind)
        return " ".join([*parts, self.name])

    @property
    def uids(self) -> tuple[str, ...]:
        """The subject's UIDs: the tax code, and the person's number where the certificate is a person's in the company."""
        return (f"MST:{self.mst}", *([self.personal_id] if self.personal_id else []))

    @property
    def email(self) -> str:
        return f"ketoan@{self.name}.example"

    @property
    def contract_number(self) -> str:
        return f"HD-{self.mst[4:10]}/2024"


def new_end(contract_end: date) -> datetime:
    """The new certificate's end: the contract's last second, or the new CA's where that comes first."""
    return min(end_of_day(contract_end), end_of_day(SAFE_NEW_TO))


def owed_end(now: datetime) -> datetime:
    """When an owed certificate ends, and the old issuer with it."""
    return end_of_day(vietnamese_day(now) + timedelta(days=DAYS_LEFT))


def stories(now: datetime) -> tuple[Story, ...]:
    """Every story at `now`, in the order users meet them."""
    today, soon, first = vietnamese_day(now), owed_end(now), _start(CAMPAIGN_FIRST)

    def later(days: int) -> date:
        return today + timedelta(days=days)

    told = (
        Story(
            name="v1-owed", company="CÔNG TY TNHH THƯƠNG MẠI HOÀNG MAI XANH", mst="0199900018", kind="V1",
            not_before=first, not_after=soon, contract_end=later(405), offer=True,
        ),
        Story(
            name="v2-owed", company="CÔNG TY CỔ PHẦN THỰC PHẨM AN NHIÊN", mst="0199900025",
            not_before=first, not_after=soon, contract_end=later(571), offer=True,
        ),
        Story(
            name="ec-owed", company="CHI NHÁNH CÔNG TY TNHH VẬN TẢI BIỂN ĐÔNG NAM", mst="0199900032-001", key="EC",
            not_before=first, not_after=soon, contract_end=later(312), offer=True,
        ),
        Story(
            name="not-owed", company="CÔNG TY TNHH DƯỢC PHẨM TÂM PHÚC", mst="0199900057", issuer=SAFE_NEW,
            personal_id="CCCD:001099000057", not_before=_start(date(2025, 3, 1)), not_after=end_of_day(later(280)),
        ),
        Story(
            name="expired-owed", company="CÔNG TY TNHH XÂY DỰNG ĐẠI LỘC", mst="0199900064", kind="V1",
            not_before=first, not_after=end_of_day(CAMPAIGN_END), contract_end=later(190), offer=True,
        ),
        Story(
            name="beyond-ca-end", company="CÔNG TY CỔ PHẦN NỘI THẤT MỘC LAN", mst="0199900071",
            not_before=first, not_after=soon, contract_end=date(2030, 6, 30), offer=True,
        ),
        Story(
            name="contract-over", company="CÔNG TY TNHH MAY MẶC THIÊN THANH", mst="0199900089", kind="V1",
            not_before=first, not_after=soon, contract_end=later(-45), offer=True, problem="contract-over",
        ),
        Story(
            name="end-unknown", company="HỘ KINH DOANH TRẦN THỊ SEN", mst="0199900096",
            not_before=first, not_after=soon,
        ),
        Story(
            name="already-topped-up", company="CÔNG TY TNHH GIẤY VÀ BAO BÌ HẢI VÂN", mst="0199900106",
            not_before=first, not_after=soon, contract_end=later(430), topped_up=True,
        ),
        Story(
            name="suspended", company="CÔNG TY TNHH ĐIỆN TỬ SAO MAI", mst="0199900113", authority="lcs-ca",
            kind="UNKNOWN", issuer=LCS, not_before=first, not_after=soon, contract_end=later(365), standing="suspended",
            dossier="suspended", missing=("Hồ sơ (BẢN GIẤY)",),
        ),
        Story(
            name="revoked", company="CÔNG TY TNHH IN ẤN PHÚ CƯỜNG", mst="0199900120",
            not_before=first, not_after=soon, contract_end=later(365), standing="revoked", dossier="revoked",
        ),
        Story(
            name="dossier-missing", company="CÔNG TY TNHH TƯ VẤN KẾ TOÁN MINH TÂM", mst="0199900138",
            authority="lcs-ca", kind="UNKNOWN", issuer=LCS, not_before=first, not_after=soon, contract_end=later(365),
            offer=True, problem="dossier-missing", dossier="missing", missing=("Hồ sơ (BẢN GIẤY)",),
        ),
        Story(
            name="not-activated", company="CÔNG TY TNHH THỦ CÔNG MỸ NGHỆ LÀNG VẠN", mst="0199900145",
            authority="lcs-ca", kind="UNKNOWN", key=None, issuer=LCS, not_before=first, not_after=soon, dossier="unknown",
        ),
    )  # fmt: skip
    return tuple(_with_pin(story, number) for number, story in enumerate(told, 1))


def _with_pin(story: Story, number: int) -> Story:
    """Six to eight digits, another one on each token: a stored or mistyped PIN must not open the neighbour's."""
    from dataclasses import replace

    return replace(story, pin=f"{123456 * 100 + number}")


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), VIETNAM).astimezone(UTC)
