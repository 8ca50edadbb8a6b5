"""What `doctor` says of one thing it looked at: how grave, in one sentence, and the one next step."""

from __future__ import annotations

from typing import Any, Literal

from safetok.records import dataclass

Grade = Literal["good", "info", "warn", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`code` is stable. `step` is what to do, a sentence or a command; empty where nothing needs doing. `about`: a path, a URL,
    a Token ID.
    """

    code: str
    grade: Grade
    text: str
    step: str = ""
    about: str = ""

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "code": self.code,
            "grade": self.grade,
            "message": self.text,
            "step": self.step,
            "about": self.about or None,
        }
