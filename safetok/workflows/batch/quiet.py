"""Nobody at the keyboard: every question is refused, and what would be said is kept for the row it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from safetok.errors import PersonNeeded
from safetok.locale import _


class Quiet:
    """workflows.context.Prompter for one row of a batch."""

    interactive = False

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def say(self, text: str) -> None:
        """The notices are for the person who made the plan, not for each row."""

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def confirm(self, question: str, *, default: bool = False) -> bool:  # noqa: ARG002
        return self._nobody(question)

    def line(self, question: str) -> str:
        return self._nobody(question)

    def pin(self, question: str) -> str:
        return self._nobody(question)

    def choose(self, question: str, options: Sequence[str]) -> int:  # noqa: ARG002
        return self._nobody(question)

    @staticmethod
    def _nobody(question: str) -> NoReturn:
        asked = " ".join(question.split()).rstrip(" :")
        raise PersonNeeded(_("A person must answer this: {question}").format(question=asked), code="nobody_to_ask")
