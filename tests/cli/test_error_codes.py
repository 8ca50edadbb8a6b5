"""The list of error codes that scripts are given is what the source says: none is missing, none is made up."""

from __future__ import annotations

import json
from pathlib import Path

import support_codes
from support_cli import Cli

from safetok.cli import conformance
from safetok.cli.error_codes import CODES

SOURCE = support_codes.read()


def test_every_code_of_the_source_is_listed_with_its_exit_statuses() -> None:
    """A code that is raised and not listed, listed and not raised, or listed with another exit status, is found."""
    assert {code: set(statuses) for code, (statuses, _meaning) in CODES.items()} == SOURCE.statuses
    assert list(CODES) == sorted(CODES)


def test_every_place_that_raises_an_error_is_understood() -> None:
    """A code that is made up as it is raised must be named in support_codes.py; what is named there stands in the source."""
    assert SOURCE.unexplained == []
    assert SOURCE.by_hand == {*support_codes.BY_HAND}
    assert {*support_codes.SET_LATER} <= SOURCE.set_later


def test_every_code_says_in_one_line_what_it_means() -> None:
    """Short, without a full stop, not the code once more; as long as a line of a script's comment."""
    for code, (statuses, meaning) in CODES.items():
        assert statuses, code
        assert 10 < len(meaning) <= 120, code
        assert "\n" not in meaning
        assert not meaning.endswith("."), code


def test_the_list_is_shipped_beside_the_schemas(cli: Cli) -> None:
    """A script finds there the code and the exit status that it was answered with."""
    shipped = json.loads((Path(conformance.__file__).parent / "schemas" / conformance.CODES_FILE).read_bytes())
    said = cli.json("agencies", "done", "nowhere")
    (code,) = said.codes
    assert said.status in shipped["codes"][code]["exit_codes"]
    assert shipped["codes"].keys() == CODES.keys()
