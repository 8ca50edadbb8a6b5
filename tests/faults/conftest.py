from __future__ import annotations

from collections.abc import Iterator

import pytest
from support_faults import Box, Template, template


@pytest.fixture(scope="session")
def made() -> Iterator[Template]:
    """The sandbox that every test of the CA's faults starts from."""
    with template() as kept:
        yield kept


@pytest.fixture
def box(made: Template) -> Iterator[Box]:
    """It, as it was made, with its CA running."""
    with made.box() as fresh:
        yield fresh
