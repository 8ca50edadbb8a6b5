"""What the envelopes of `batch` hold, as types."""

from __future__ import annotations

from datetime import date

from safetok.cli.documents import Document, Instant, Serial
from safetok.domain.plan import RowState, Verdict


class BatchRow(Document):
    """One row of a list; `state` is null until a run has looked at it. `shortfall_days`: by how many days the new certificate
    ends before the contract does, 0 where it does not; null until the row is done.
    """

    row: int
    token: str | None
    mst: str | None
    name: str
    planned: Verdict
    state: RowState | None
    code: str | None
    message: str
    exit_status: int | None
    old_serial: Serial | None
    new_serial: Serial | None
    not_after: Instant | None
    shortfall_days: int | None
    contract_end: date | None
    new_key: bool
    group: str
    confirmed_by: str
    day: date | None
    renewal_id: str | None


class BatchPlan(Document):
    """`safetok batch plan`; `plan` is the file that was written."""

    plan: str
    id: str
    ignored_columns: list[str]
    ignored_sheets: list[str]  # of a workbook only the first sheet is read
    hidden_rows: list[int]  # rows that the workbook hides, by a filter say; they are planned all the same
    rows: list[BatchRow]


class BatchRun(Document):
    """`safetok batch run` and `resume`; `rows` are those this run worked on, `states` counts all that a run may begin; `kits` is
    the folder that the companies' files went to (--kits).
    """

    plan: str
    id: str
    states: dict[str, int]
    kits: str | None
    rows: list[BatchRow]


class BatchReport(Document):
    """`safetok batch report`; `file` is where it was written, if anywhere."""

    plan: str
    manifest: str
    made_at: Instant
    rows: list[BatchRow]
    file: str | None
