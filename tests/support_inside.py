"""Runs the command line inside this process, for tests that ask it many small things: the same entry, without a new Python each."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from support_cli import Cli, Said

from safetok.cli.app import main


class Inside(Cli):
    """As `Cli`; stdin is no terminal."""

    def __call__(
        self, *words: str, stdin: str | None = None, env: Mapping[str, str] | None = None, **_more: Any
    ) -> Said:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _stream in range(2))
        given = io.TextIOWrapper(io.BytesIO((stdin or "").encode()), "utf-8")
        with (
            patch.dict(os.environ, self.environment(env), clear=True),
            patch.multiple(sys, stdout=out, stderr=err, stdin=given),
        ):
            status = main(list(words))
        return Said(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]
