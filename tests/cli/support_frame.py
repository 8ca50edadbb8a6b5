"""Commands that exist only for the frame's own tests: one for each way a run can end."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from safetok.cli import app as command_line
from safetok.cli.commands import Commands
from safetok.cli.declared import COMMANDS, Entry
from safetok.cli.render import Column, screen
from safetok.cli.run import Outcome, run
from safetok.cli.stops import hold_back
from safetok.errors import CaUnreachable, DriverFailed, ExitStatus, NotChecked
from safetok.locale import later

app = Commands(help=later("Show this help."), alone="list")
ENTRY = Entry("support_frame", later("Show this help."), group=True)
NAME = "CÔNG TY TNHH MỘT THÀNH VIÊN THƯƠNG MẠI DỊCH VỤ XUẤT NHẬP KHẨU [bold]ĐẠI PHÁT[/bold]\x1b[31m\u202e"


@app.command("list", help=later("Show this help."))
def list_(
    *, wait: Annotated[int, typer.Option("--wait", metavar="SECONDS", help=later("Show this help."))] = 0
) -> None:
    """Succeed, with what was understood."""

    def work(context: object) -> Outcome[list[tuple[str, str]]]:
        from safetok.cli.globals import flags

        given = flags()
        data = {
            "wait": wait,
            "quiet": given.quiet,
            "verbose": given.verbose,
            "timeout": given.timeout,
            "module": given.module,
            "non_interactive": given.non_interactive,
            "lang": given.lang,
            "log_file": given.log_file,
        }
        return Outcome([("0100109106", NAME)], data=data)

    run(["trial", "list"], work, lambda rows: screen().table([Column("MST"), Column("Tên", wrap=True)], rows))


@app.command("partly", help=later("Show this help."))
def partly() -> None:
    """Succeed in part."""
    errors = [NotChecked("không kiểm tra được"), DriverFailed("hỏng", code="crashed", token="T1", hint="rút ra")]
    run(["trial", "partly"], lambda _context: Outcome("xong", data={"n": 1}, errors=errors), screen().line)


@app.command("warned", help=later("Show this help."))
def warned() -> None:
    """Reach the end and say something on the way."""
    outcome = Outcome("xong", data={}, errors=[NotChecked("lời báo")], exit_status=ExitStatus.DONE)
    run(["trial", "warned"], lambda _context: outcome, screen().line)


@app.command("fail", help=later("Show this help."))
def fail() -> None:
    """Fail at a CA."""

    def work(_context: object) -> Outcome[str]:
        raise CaUnreachable("Không kết nối được SAFE-CA.", hint="Thử lại sau.", data={"authority": "safe-ca"})

    run(["trial", "fail"], work, screen().line)


@app.command("crash", help=later("Show this help."))
def crash() -> None:
    """Meet what nobody foresaw."""

    def work(_context: object) -> Outcome[str]:
        from safetok.log import note, secret

        secret("12345678")
        note("gõ 12345678\ngiả\x1b[31m")
        raise ZeroDivisionError("PIN 12345678")

    run(["trial", "crash"], work, screen().line)


@app.command("odd", help=later("Show this help."))
def odd() -> None:
    """Fail with data that JSON has no words for."""

    def work(_context: object) -> Outcome[str]:
        raise CaUnreachable("Không kết nối được SAFE-CA.", data={"odd": object()})

    run(["trial", "odd"], work, screen().line)


@app.command("stop", help=later("Show this help."))
def stop() -> None:
    """Be interrupted."""

    def work(_context: object) -> Outcome[str]:
        raise KeyboardInterrupt

    run(["trial", "stop"], work, screen().line)


@app.command("long", help=later("Show this help."))
def long() -> None:
    """Say more than a reader may want."""

    def show(text: str) -> None:
        for line in text.splitlines():
            screen().line(line)

    run(["trial", "long"], lambda _c: Outcome("dòng\n" * 50_000, data={}), show)


@app.command("ask", help=later("Show this help."))
def ask() -> None:
    """Ask everything that can be asked."""

    def work(context: object) -> Outcome[dict[str, object]]:
        prompter = context.prompter  # type: ignore[attr-defined]
        prompter.say(" ".join(["lời dẫn"] * 20))
        prompter.warn("cảnh báo")
        answers: dict[str, object] = {
            "ready": prompter.confirm("Đã sẵn sàng?\x1b[2J\nHOÀN TẤT"),
            "open": prompter.confirm("Mở danh sách?", default=True),
            "day": prompter.line("Ngày kết thúc:"),
            "pin": len(prompter.pin("Mã PIN:")),
            "chosen": prompter.choose("Chọn đơn vị:", ["Một", "Hai"]),
        }
        return Outcome(answers, data=answers)

    run(["trial", "ask"], work, lambda answers: screen().line(str(answers)))


def main() -> int:
    """The program with these commands in it, for a process of its own."""
    hold_back()
    COMMANDS["trial"] = ENTRY
    return command_line.main(sys.argv[1:])


if __name__ == "__main__":
    sys.modules["support_frame"] = sys.modules["__main__"]
    status = main()
    if os.environ.get("TRIAL_MODULES"):
        sys.stderr.write("\n".join(sorted(sys.modules)))
    sys.exit(status)
