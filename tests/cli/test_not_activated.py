from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli
from support_inside import Inside
from support_issued import issued
from support_tokens import PIN, MadeToken

MST = "0106324653"
LOG_IN = (
    ("renew", "--serial", "{serial}", "--yes", "--pin-stdin"),
    ("pin", "change", "--serial", "{serial}", "--pin-stdin"),
    ("doctor", "--offline", "--serial", "{serial}", "--pin-stdin"),
)


@pytest.fixture
def cli(simulator: Any, tmp_path: Path) -> Cli:
    """The command line with the simulator as its driver, a home of its own and no keyring."""
    environ = {"SAFETOK_HOME": str(tmp_path / "home"), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    return Inside({**environ, **simulator.surroundings})


@pytest.mark.parametrize("words", LOG_IN, ids=lambda words: " ".join(words[:2]))
def test_a_token_without_a_certificate_is_never_logged_in_to(
    cli: Cli, simulator: Any, make_token: Callable[..., MadeToken], words: tuple[str, ...]
) -> None:
    """As LCS ships it: a state that is shown without alarm; whatever asks for a PIN elsewhere does not use one here."""
    token = make_token("Mới nhận")
    said = cli.json(*(word.format(serial=token.serial) for word in words), stdin=f"{PIN}\n97531086\n")
    assert simulator.count("C_Login") == 0
    assert said.status == (0 if words[0] == "doctor" else 11), said.err
    if words[0] == "doctor":
        found = {one["code"]: one for one in said.data["findings"]}
        assert (found["no_certificate"]["grade"], found["no_certificate"]["step"]) == (
            "info",
            "safetok dossier start --mst MST",
        )
        assert "keys_need_pin" not in found
    else:
        assert said.codes == ["not_activated"]


def test_the_next_step_for_a_token_that_has_come_can_be_taken(cli: Cli, make_token: Callable[..., MadeToken]) -> None:
    """From the first look to the arrival recorded, each command that is named works with the company's tax code put in."""
    token = make_token("Mới nhận")
    first = cli.json().data["command"]
    assert first == "safetok dossier start --mst MST"
    for circular in (["dossier", "start"], ["dossier", "token-received"]):
        said = cli.json(*circular)
        assert said.codes == ["no_dossier"]
        assert "--mst MST" in said.envelope["errors"][0]["hint"]
    begin = [MST if word == "MST" else word for word in first.split()[1:]]
    assert cli.json(*begin, "--case", "revoked", "--one").status == 0
    found = {one["code"]: one["step"] for one in cli.json("doctor", "--offline").data["findings"]}
    assert found["no_certificate"] == "safetok dossier token-received"
    assert cli.json(*found["no_certificate"].split()[1:], "--token", token.serial).status == 0
    found = {one["code"]: one["step"] for one in cli.json("doctor", "--offline").data["findings"]}
    assert found["no_certificate"] == "safetok dossier show"  # its coming is recorded: never a second time
    assert cli.json().data["command"].startswith("safetok dossier show")
    assert cli.json("dossier", "start", "--case", "revoked", "--mst", "0100109106", "--one").status == 0
    found = {one["code"]: one["step"] for one in cli.json("doctor", "--offline").data["findings"]}
    assert found["no_certificate"] == "safetok dossier show"  # another company's is awaited, but this one has come


@pytest.mark.parametrize("words", LOG_IN[1:], ids=lambda words: " ".join(words[:2]))
def test_a_token_whose_dossier_waits_for_its_activation_is_never_logged_in_to(
    cli: Cli, simulator: Any, make_token: Callable[..., MadeToken], rsa_key: Any, words: tuple[str, ...]
) -> None:
    """Though it holds a certificate already: until `dossier activated` no PIN is asked for; then it is one like any other."""
    token = make_token("Mới nhận", certificates=[issued(rsa_key, mst=MST)], keys=[rsa_key])
    assert cli("dossier", "start", "--case", "revoked", "--mst", MST, "--one").status == 0
    assert cli("dossier", "token-received", "--token", token.serial).status == 0
    given = [word.format(serial=token.serial) for word in words]
    said = cli.json(*given, stdin=f"{PIN}\n97531086\n")
    assert (said.status, said.codes) == (11, ["not_activated"])
    assert simulator.count("C_Login") == 0
    assert cli.json("tokens").data["tokens"][0]["pin_tries_spent"] == 0
    if words[0] == "doctor":
        assert cli("dossier", "activated").status == 0
        assert "keys" in [one["code"] for one in cli.json(*given, stdin=f"{PIN}\n").data["findings"]]
        assert simulator.count("C_Login") == 1


def test_a_dossier_begun_anew_waits_for_another_token(
    cli: Cli, simulator: Any, make_token: Callable[..., MadeToken], rsa_key: Any
) -> None:
    """What an abandoned dossier said of a token holds no longer once the company's dossier is begun anew."""
    certificate = issued(rsa_key, mst=MST, start=datetime(2026, 1, 1, tzinfo=UTC), days_left=700)
    token = make_token("Kho A", certificates=[certificate], keys=[rsa_key])
    begin = ("dossier", "start", "--case", "revoked", "--mst", MST, "--one")
    assert cli(*begin).status == 0
    assert cli("dossier", "token-received", "--token", token.serial).status == 0
    assert cli(*begin, "--again").status == 0
    assert cli.json("doctor", "--offline", "--serial", token.serial, "--pin-stdin", stdin=f"{PIN}\n").status == 0
    assert simulator.count("C_Login") == 1
