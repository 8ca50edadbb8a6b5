from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli
from support_inside import Inside
from support_issued import issued
from support_terminal import on_a_terminal

V1_LINK = "https://www.safecert.com.vn/en_US/knowsystem/cks-huong-dan-thu-tuc-cap-lai-thiet-bi-luu-tru-khoa-bi-mat-18"


def test_no_token_says_what_to_do(cli: Cli) -> None:
    """Without a token the exit status is 3 and the sentence is the one people know."""
    said = cli("tokens")
    assert said.status == 3
    assert "Chưa thấy USB Token" in said.err
    assert "safetok tokens --wait 60" in said.err


def test_a_token_that_is_still_not_seen_leads_to_doctor(cli: Cli) -> None:
    """Whoever waited in vain is not told only to wait again; `renew` says the same."""
    for words in (["tokens", "--wait", "1"], ["renew"]):
        said = cli(*words)
        assert said.status == 3
        assert "safetok doctor" in said.err


def test_a_computer_without_a_driver_is_told_the_same_everywhere(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token can come while there is no driver: nobody is told to plug one in, or to wait."""
    monkeypatch.setattr("safetok.tokens.drivers._discovered", lambda *_a: iter(()))
    inside = Inside({**cli.env, "SAFETOK_MODULE": ""})
    for words in (["status"], ["tokens"], ["renew"]):
        said = inside.json(*words)
        assert (said.status, said.codes) == (3, ["no_driver"])
    assert inside().out.splitlines()[-1] == "Làm tiếp: safetok doctor"


def test_a_driver_that_fails_alone_has_a_next_step_everywhere(cli: Cli, tmp_path: Path) -> None:
    """`renew` says what to do about it, as `tokens` does; no others are said to have gone on where there are none."""
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    for words in (["status"], ["tokens"], ["renew"]):
        said = cli(*words, env={"SAFETOK_MODULE": str(broken), "SAFETOK_LANG": "en"})
        assert said.status == 17
        assert "Name the driver's own file" in said.err
        assert "the others went on" not in said.err


def test_waiting_ends_after_its_seconds(cli: Cli) -> None:
    """`--wait` gives up when its seconds have passed, with the same status."""
    said = cli.json("tokens", "--wait", "1")
    assert said.status == 3
    assert said.codes == ["no_token"]
    assert said.data["tokens"] == []


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e12", "-1"])
def test_only_a_number_of_seconds_can_be_waited(cli: Cli, seconds: str) -> None:
    """What is no number of seconds within a day is refused by its option, 2."""
    said = cli.json("tokens", "--wait", seconds)
    assert said.status == 2
    assert "--wait" in said.envelope["errors"][0]["message"]


def test_waiting_ends_with_the_first_token(cli: Cli, make_token: Callable[..., Any]) -> None:
    """A token that is in ends the wait at once."""
    token = make_token()
    said = cli.json("tokens", "--wait", "60", timeout=30)
    assert [t["serial"] for t in said.data["tokens"]] == [token.serial]


def test_company_and_mst_come_first(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """A line starts with the company and its MST, then the Token ID, and nothing is cut in a pipe."""
    name = "CÔNG TY TNHH MỘT THÀNH VIÊN THƯƠNG MẠI DỊCH VỤ XUẤT NHẬP KHẨU TÊN RẤT DÀI ĐỂ THỬ"
    token = make_token("Kho A", certificates=[issued(rsa_key, name=name)])
    said = cli("tokens")
    assert said.status == 0
    assert said.err == ""
    row = said.out.splitlines()[1]
    assert row.split("  ")[0] == name
    assert row.index("0106324653") < row.index(token.serial)


def test_a_token_of_two_companies_is_both_companies(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """Both are named in the table and in full, each beside its certificate; a renewal asks which, and counts one token."""
    first = issued(rsa_key, name="CÔNG TY A")
    second = issued(rsa_key, name="CÔNG TY B", mst="0106323762", serial=0x54010108096D8A02E2F22CE98BD7168F)
    token = make_token("Kho A", certificates=[first, second], keys=[rsa_key])
    row = cli("tokens").out.splitlines()[1]
    assert [word.strip() for word in row.split("  ")[:2]] == ["CÔNG TY A; CÔNG TY B", "0106324653; 0106323762"]
    for words in (["tokens"], ["status"]):
        shown = on_a_terminal(cli, *words, columns=120).out
        assert "CÔNG TY A · MST 0106324653; CÔNG TY B · MST 0106323762" in shown
    certificates = shown[shown.index("Token ID") :]
    places = [certificates.index(word) for word in ("CÔNG TY A", "7168E", "CÔNG TY B", "7168F")]
    assert places == sorted(places), "whose each certificate is"
    asked = on_a_terminal(cli, "renew", "--serial", token.serial, answers=[("Enter trống", "")]).out
    assert "Có 2 chứng thư số" in asked
    assert "USB Token. Chọn" not in asked


def test_serials_alone(cli: Cli, make_token: Callable[..., Any]) -> None:
    """`--serials` prints the Token IDs and nothing else on stdout."""
    tokens = {make_token(label).serial for label in ("A", "B")}
    said = cli("tokens", "--serials")
    assert set(said.out.split()) == tokens
    assert said.out.count("\n") == 2


def test_a_kind_is_not_guessed_and_a_person_decides(cli: Cli, make_token: Callable[..., Any]) -> None:
    """A token is UNKNOWN until somebody says what they see; a V1 then shows the recommendation with its whole link."""
    token = make_token()
    assert cli.json("tokens").data["tokens"][0]["kind"] == "UNKNOWN"
    assert cli("tokens", "set-kind", token.serial, "v1").status == 0
    shown = cli.json("tokens").data["tokens"][0]
    assert shown["kind"] == "V1"
    assert shown["kind_reason"]
    said = cli("tokens")
    assert V1_LINK in said.out
    assert "Thông tư 06/2015/TT-BTTTT" in said.out
    assert "V1 vẫn cấp bù được" in said.out
    assert cli("tokens", "set-kind", token.serial, "v2").status == 0
    assert V1_LINK not in cli("tokens").out


def test_only_the_two_kinds(cli: Cli, make_token: Callable[..., Any]) -> None:
    """Anything but v1 and v2 is a usage error that says which is which."""
    token = make_token()
    said = cli.json("tokens", "set-kind", token.serial, "v3")
    assert said.status == 2
    assert said.codes == ["bad_kind"]


def test_notes_stay_with_the_token(cli: Cli, make_token: Callable[..., Any]) -> None:
    """A note is shown again, and an empty one forgets it."""
    token = make_token()
    assert cli("tokens", "note", token.serial, "Tủ A3").status == 0
    assert cli.json("tokens").data["tokens"][0]["note"] == "Tủ A3"
    assert cli("tokens", "note", token.serial, "").status == 0
    assert cli.json("tokens").data["tokens"][0]["note"] == ""


def test_nothing_is_remembered_of_a_token_never_seen(cli: Cli, make_token: Callable[..., Any]) -> None:
    """A mistyped Token ID is refused with status 3."""
    make_token()
    said = cli.json("tokens", "note", "0000000000000000", "x")
    assert (said.status, said.codes) == (3, ["unknown_token"])


def test_a_driver_that_cannot_be_loaded_is_named(cli: Cli, tmp_path: Path) -> None:
    """A broken driver ends with 17 and its path, never with a traceback."""
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF no library")
    said = cli.json("tokens", "--module", str(broken))
    assert said.status == 17
    assert [failure["driver"] for failure in said.data["drivers_failed"]] == [str(broken)]
    assert "Traceback" not in said.err


def test_names_in_certificates_are_text(cli: Cli, make_token: Callable[..., Any], rsa_key: Any) -> None:
    """A name with control characters and markup is shown written out, on one line."""
    make_token(certificates=[issued(rsa_key, name="[red]A\x1b[31m\nB")])
    out = cli("tokens").out
    assert "\x1b" not in out
    assert "[red]A" in out
    assert len(out.splitlines()) == 2
