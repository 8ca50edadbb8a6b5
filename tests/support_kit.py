"""Kits for the tests: the notice's agencies, one company's new and old certificate, names as plain or as hostile as wanted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from safetok.domain.agencies import Agency, Registration, RegistrationState
from safetok.knowledge import load
from safetok.reports.fields import Fields, plain_line
from safetok.reports.kit import Card, Kit, Renewed

NOW = datetime.now(UTC).replace(microsecond=0)
SERIAL, OLD_SERIAL = "5401A0B1C2D3E4F5061728394A5B6C7D", "54010000000000000000000000000001"
HOSTILE = (
    "CÔNG TY <script>window.hacked=1</script><img src=x onerror=window.hacked=2> "
    "\"'&amp;{{7*7}}\u202egpj.\u2066\x1b[31m\n]]>--></title>"
)


def fields(serial: str = SERIAL, *, name: str = "CÔNG TY TNHH HOÀNG MAI", begins: datetime | None = None) -> Fields:
    begins = begins or NOW - timedelta(days=1)
    return Fields(
        mst="0106324653",
        name=plain_line(name),
        subject=plain_line(f"UID=MST:0106324653,CN={name},C=VN"),
        serial=serial,
        serial_decimal=str(int(serial, 16)),
        issuer=plain_line(f"CN={name} CA,C=VN"),
        issuer_name=plain_line(f"{name} CA"),
        valid_from=begins,
        valid_to=begins + timedelta(days=700),
    )


def registration(agency: str, state: RegistrationState = RegistrationState.OPEN, **changes: Any) -> Registration:
    return Registration(
        agency=agency,
        mst="0106324653",
        certificate=SERIAL,
        certificate_sha256="a" * 64,
        state=state,
        opened_at=NOW,
        **changes,
    )


def kit(*, name: str = "CÔNG TY TNHH HOÀNG MAI", **changes: Any) -> Kit:
    """All seven agencies open, but for those in `registrations`; `added` agencies come last."""
    rows = {row.agency: row for row in changes.pop("registrations", ())}
    agencies = (*load.agencies(), *changes.pop("added", ()))
    old = changes.get("old", fields(OLD_SERIAL, name=name, begins=NOW - timedelta(days=700)))
    values: dict[str, Any] = {
        "new": fields(name=name),
        "new_sha256": "a" * 64,
        "old": old,
        "cards": tuple(
            Card(agency=one, rule=one.rule, guide=load.agency_guide(one.name), registration=rows.get(one.name), old=old)
            for one in agencies
        ),
        "contract_end": date(2028, 6, 30),
        "renewed": Renewed(id="r1", started_at=NOW, received_at=NOW, contract_end_by="offer", contract_number="HĐ-1"),
        "token_serial": "T1",
        "steps_recorded": load.steps_recorded(),
    }
    return Kit(**values | changes)


def own_agency(title: str, url: str) -> Agency:
    """One that a person added."""
    return Agency(name="own", title=title, url=url, wait_hours=24, added=True, order=101)
