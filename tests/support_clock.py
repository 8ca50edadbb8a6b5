"""The command line inside this process at a moment of the test's choosing, every envelope held to its schema."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from support_cli import Said
from support_inside import Inside

from safetok.cli import conformance
from safetok.workflows import context as surroundings


class Clocked(Inside):
    """`cli.now` is what every run takes for now."""

    def __init__(self, env: Mapping[str, str], now: datetime) -> None:
        super().__init__(env)
        self.now = now

    def later(self, **parts: float) -> None:
        """Let time pass: `later(hours=25)`."""
        self.now += timedelta(**parts)

    def __call__(self, *words: str, **more: Any) -> Said:
        at_that_time = functools.partial(surroundings.Context, clock=lambda: self.now)
        with patch.object(surroundings, "Context", at_that_time):
            return super().__call__(*words, **more)

    def json(self, *words: str, **more: Any) -> Said:
        said = super().json(*words, **more)
        conformance.check(said.envelope)
        return said
