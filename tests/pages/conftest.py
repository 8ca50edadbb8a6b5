from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_browser import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all; its profile on /dev/shm, so that nothing of the machine's own is seen or changed."""
    profile = Path(tempfile.mkdtemp(prefix="safetok-browser-", dir="/dev/shm"))
    found = Browser(profile)
    yield found
    found.close()
    shutil.rmtree(profile, ignore_errors=True)
