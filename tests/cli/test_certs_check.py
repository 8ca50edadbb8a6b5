from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support_terminal import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support_stories import Sandbox


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """One sandbox for what only asks."""
    from support_stories import start_sandbox

    home = Path(tempfile.mkdtemp(prefix="safetok-test-", dir="/dev/shm"))
    started = start_sandbox(home)
    yield started
    started.cli("sandbox", "down")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def folder(shared: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an accountant: a good, a revoked and a suspended company's certificate files, one broken, and a list."""
    tmp_path, sandbox = tmp_path_factory.mktemp("certs"), shared
    rows = {one["token"]: one["serial"] for one in sandbox.cli.json("certs", "list").data["certificates"]}
    place = tmp_path / "khách hàng"
    for story in ("v2-owed", "revoked", "suspended"):
        serial = rows[sandbox.token(story)["serial"]]
        sandbox.cli("export", "--cert", serial, "--out", str(tmp_path / story))
        place.mkdir(exist_ok=True)
        (place / f"{story}.cer").write_bytes(next((tmp_path / story).glob("*.cer")).read_bytes())
    (place / "hong.cer").write_text("xyz")
    suspended = rows[sandbox.token("suspended")["serial"]]
    text = f"Tệp;Ghi chú\nv2-owed.cer;\nkhong-co.cer;chưa gửi\nhong.cer;\n{suspended};\n"
    (place / "ds.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    return place


def test_files_serials_and_lists_in_one_run(shared: Sandbox, folder: Path) -> None:
    """Mixed and several: every certificate once, every bad line told with its line and value, 12 when a part failed."""
    sandbox = shared
    cli, owed = sandbox.cli, str(folder / "v2-owed.cer")
    good = cli.json("certs", "check", owed)
    assert (good.status, [row["answer"] for row in good.data["certificates"]]) == (0, ["good"])
    (row,) = good.data["certificates"]
    assert row["path"]["anchored"]
    assert [ca["answer"] for ca in row["path"]["cas"]] == ["good", None]  # the CA is asked about too, its root is not

    both = cli.json("certs", "check", owed, str(folder / "revoked.cer"), sandbox.token("suspended")["serial"], owed)
    assert both.status == 13
    assert [row["answer"] for row in both.data["certificates"]] == ["good", "revoked", "suspended"]
    assert [len(entry["certificates"]) for entry in both.data["entries"]] == [1, 1, 1, 1]
    assert all(
        row["name"] in error["message"]
        for row, error in zip(both.data["certificates"][1:], both.envelope["errors"], strict=True)
    )

    part = cli.json("certs", "check", "--from", str(folder / "ds.csv"))
    assert part.status == 12
    assert [row["answer"] for row in part.data["certificates"]] == ["good", "suspended"]
    assert [(e["line"], e["error"]) for e in part.data["entries"]] == [
        (2, None),
        (3, "bad_certificate_file"),
        (4, "bad_certificate_file"),
        (5, None),
    ]
    person = cli("certs", "check", "--from", str(folder / "ds.csv"), str(folder / "revoked.cer"))
    assert person.status == 12
    assert "ds.csv, dòng 3, khong-co.cer" in person.err
    assert "ds.csv, dòng 4, hong.cer" in person.err
    assert person.out.count("Đường dẫn tin cậy: ") == 3
    assert "TẠM DỪNG" in person.out
    assert "Lý do nhà cung cấp ghi: bị rút quyền sử dụng (privilegeWithdrawn)." in person.out
    assert "3 CTS: 1 không bị thu hồi, 1 tạm dừng, 1 thu hồi, 0 không kiểm tra được." in person.out


def test_what_ends_the_whole_run(shared: Sandbox, folder: Path) -> None:
    """One bad entry alone keeps its own exit status; a list that cannot be read stops no other entry."""
    cli = shared.cli
    assert (one := cli.json("certs", "check", str(folder / "hong.cer"))).status == 2
    assert one.codes == ["bad_certificate_file"]
    assert (one := cli.json("certs", "check", "5401FFFF")).status == 3
    assert one.codes == ["no_such_certificate"]
    assert (one := cli.json("certs", "check", "--from", str(folder / "none.csv"))).status == 2
    assert one.codes == ["manifest_file"]
    mixed = cli.json("certs", "check", "--from", str(folder / "none.csv"), str(folder / "v2-owed.cer"))
    assert (mixed.status, mixed.codes) == (12, ["manifest_file"])
    assert [row["answer"] for row in mixed.data["certificates"]] == ["good"]


@pytest.mark.parametrize("columns", [80, 160])
def test_it_fits_a_terminal(shared: Sandbox, folder: Path, columns: int) -> None:
    """Good, revoked, suspended and expired beside bad entries: no line is wider than the terminal, none is cut, all is indented."""
    given = ("--from", str(folder / "ds.csv"), str(folder / "revoked.cer"), shared.token("expired-owed")["serial"])
    said = on_a_terminal(shared.cli, "certs", "check", *given, columns=columns)
    assert said.status == 12
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said.out).splitlines()
    assert max(len(line) for line in lines) <= columns
    headings = [line for line in lines if " · Serial " in line]
    assert [line[0] for line in headings] == ["✗", "!", "✓", "✗"]
    first, last = lines.index(headings[0]), lines.index("", 1)
    assert all(line.startswith("  ") for line in lines[first:last] if line not in headings)
    whole = " ".join(" ".join(lines).split())
    for words in (
        "THU HỒI",
        "TẠM DỪNG",
        "hết hạn lúc 23:59 T5 27/11/2025",
        "Xét tại 23:59 T5 27/11/2025, khi CTS còn hiệu lực.",
        "4 CTS: 1 không bị thu hồi, 1 tạm dừng, 1 thu hồi, 1 không kiểm tra được.",
        "2 mục không tra được; lý do ghi ở dưới.",
        "ds.csv, dòng 4, hong.cer",
    ):
        assert words in whole


def test_nobody_answers(sandbox: Sandbox) -> None:
    """The CA is gone: every certificate is unknown, 18, and what is on the disk still gives the path."""
    cli = sandbox.cli
    row = cli.json("certs", "list").data["certificates"][0]
    os.kill(json.loads((Path(sandbox.data["anchor"]).parent / "pid.json").read_text())["pid"], signal.SIGKILL)
    gone = cli.json("certs", "check", row["serial"])
    assert gone.status == 18
    (one,) = gone.data["certificates"]
    assert (one["answer"], one["said"], one["path"]["anchored"]) == ("unknown", "unknown", True)
    assert gone.codes == ["revocation_not_checked"]


@pytest.mark.parametrize(
    ("story", "state", "status"),
    [
        ("dossier-missing", "missing", 0),
        ("suspended", "suspended", 13),
        ("revoked", "revoked", 13),
        ("v1-owed", "complete", 0),
    ],
)
def test_every_answer_of_the_dossier_endpoint(shared: Sandbox, story: str, state: str, status: int) -> None:
    """`dossier show` asks the configured endpoint: complete, missing, suspended since when, revoked; each with its exit status."""
    token = shared.token(story)
    rows = shared.cli.json("certs", "list").data["certificates"]
    mst = next(row["mst"] for row in rows if row["token"] == token["serial"])
    said = shared.cli.json("dossier", "show", "--mst", mst, "--pin-stdin", stdin=f"{token['pin']}\n")
    assert said.status == status, said.out
    answer = said.data["answer"]
    assert answer["state"] == state
    assert bool(answer["since"]) is (status == 13)
    assert bool(answer["missing"]) is (state in {"missing", "suspended"})
