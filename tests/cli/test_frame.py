from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import support_frame

from safetok import __version__
from safetok.cli import app
from safetok.cli import help as help_texts
from safetok.cli.commands import Group, root
from safetok.cli.declared import COMMANDS
from safetok.cli.run import support_line
from safetok.errors import CaUnreachable
from safetok.locale import LANGUAGES, set_language

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """Runs a command line in this process; returns exit status, stdout, stderr."""
    monkeypatch.setitem(COMMANDS, "trial", support_frame.ENTRY)
    monkeypatch.setenv("SAFETOK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SAFETOK_LANG", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        status = app.main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def envelope(text: str) -> dict[str, Any]:
    """The one JSON document on stdout."""
    document = json.loads(text)
    assert list(document) == ["safetok", "command", "status", "exit_code", "data", "errors"]
    assert document["safetok"] == 1
    return dict(document)


def test_success_is_an_envelope(program: Program) -> None:
    """--json answers with one envelope on stdout and nothing on stderr."""
    status, out, err = program("trial", "list", "--json")
    document = envelope(out)
    assert (status, err) == (0, "")
    assert (document["command"], document["status"], document["exit_code"]) == (["trial", "list"], "success", 0)
    assert document["errors"] == []


@pytest.mark.parametrize("place", range(3))
def test_global_flags_stand_anywhere(program: Program, place: int) -> None:
    """Every global flag means the same before the command, between group and command, and after it."""
    flags = ["--json", "-q", "-vv", "--log-file", "/dev/null", "--timeout", "2.5", "--lang", "en"]
    flags += ["--non-interactive", "--module", "/x/y.so"]
    words = ["trial", "list"]
    words[place:place] = flags
    _status, out, _err = program(*words)
    assert envelope(out)["data"] == {
        "wait": 0,
        "quiet": True,
        "verbose": 2,
        "timeout": 2.5,
        "module": "/x/y.so",
        "non_interactive": True,
        "lang": "en",
        "log_file": "/dev/null",
    }


def test_a_group_alone_is_its_first_command(program: Program) -> None:
    """`tokens --wait 60` is `tokens list --wait 60`, also with global flags before it."""
    for words in (
        ["trial", "--wait", "60"],
        ["trial", "--lang", "en", "--wait", "60"],
        ["--lang=en", "trial", "--wait=60"],
    ):
        status, out, _err = program(*words, "--json")
        assert (status, envelope(out)["data"]["wait"]) == (0, 60)
    assert program("trial")[0] == 0


def test_partial_success_tells_every_reason(program: Program) -> None:
    """Errors on the way leave the data standing, give the contract's exit status, and are all told."""
    status, out, err = program("trial", "partly", "--json")
    document = envelope(out)
    assert (status, document["status"], document["exit_code"], err) == (17, "partial", 17, "")
    assert document["data"] == {"n": 1}
    assert document["errors"] == [
        {"code": "not_checked", "message": "không kiểm tra được", "hint": "", "token": None},
        {"code": "crashed", "message": "hỏng", "hint": "rút ra", "token": "T1"},
    ]
    status, out, err = program("trial", "partly")
    assert (status, out) == (17, "xong\n")
    assert "không kiểm tra được" in err
    assert "rút ra" in err


def test_reaching_the_end_is_zero_whatever_was_warned_of(program: Program) -> None:
    """A command that says it is done ends 0, with its warnings in errors."""
    status, out, _err = program("trial", "warned", "--json")
    document = envelope(out)
    assert (status, document["status"], len(document["errors"])) == (0, "success", 1)


def test_a_failure_ends_with_the_support_line_of_its_ca(program: Program) -> None:
    """An error that names its certificate's CA ends with that CA's support line."""
    status, out, err = program("trial", "fail")
    assert (status, out) == (8, "")
    assert err.splitlines()[0] == "✗ Không kết nối được SAFE-CA."
    assert err.splitlines()[1] == "  Thử lại sau."
    assert "1900 6154" in err.splitlines()[2]
    said_already = CaUnreachable("Không kết nối được.", hint="Hỏi SAFE-CA: 1900 6154", data={"authority": "safe-ca"})
    assert support_line(said_already) == "", "no number stands there twice"


def test_what_nobody_foresaw_is_one_sentence(program: Program, tmp_path: Path) -> None:
    """An unexpected exception ends 1 with a sentence and a hint, its traceback only in the log file."""
    status, out, err = program("trial", "crash")
    assert (status, out) == (1, "")
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    assert "--log-file" in err
    log = tmp_path / "log"
    program("trial", "crash", "--log-file", str(log))
    assert "Traceback" in log.read_text("utf-8")
    assert log.stat().st_mode & 0o077 == 0


def test_a_log_holds_no_secret_and_no_control_character(program: Program, tmp_path: Path) -> None:
    """A PIN stays out of every line, also of a traceback's, and a line break or escape in a text makes no line of its own."""
    log = tmp_path / "log"
    _status, _out, err = program("trial", "crash", "-vv", "--log-file", str(log))
    for told in (log.read_text("utf-8"), err):
        assert "12345678" not in told
        assert r"gõ ***\ngiả\x1b[31m" in told
        assert "PIN ***" in told


def test_data_that_json_cannot_hold_is_no_traceback(program: Program) -> None:
    """An error whose data cannot be encoded still ends in one envelope."""
    status, out, err = program("trial", "odd", "--json")
    document = envelope(out)
    assert (status, document["status"], document["errors"][0]["code"], err) == (1, "error", "unexpected", "")


def test_an_interruption_is_130(program: Program) -> None:
    """Ctrl-C ends 130, in JSON with an envelope."""
    assert program("trial", "stop")[0] == 130
    status, out, _err = program("trial", "stop", "--json")
    assert (status, envelope(out)["errors"][0]["code"]) == (130, "interrupted")


WRONG = [
    ["nothing"],
    ["statu"],
    ["trial", "nothing"],
    ["trial", "list", "extra"],
    ["trial", "list", "--nothing"],
    ["--nothing"],
    ["trial", "list", "--wait"],
    ["trial", "list", "--wait", "soon"],
    ["trial", "list", "--json=yes"],
    ["tokens", "--wait", "-1"],
    ["contacts", "nobody"],
    ["contacts", "a", "b"],
    ["trial", "list", "--timeout", "nan"],
    ["trial", "list", "--timeout", "-1"],
    ["trial", "list", "--lang", "fr"],
    ["trial", "list", "--log-file", "/nowhere/at/all"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_command_line_is_one_sentence_in_either_language(program: Program, words: list[str]) -> None:
    """A usage error is status 2 and one sentence in the user's language, an envelope with --json, never typer's English."""
    status, out, vietnamese = program(*words)
    assert (status, out) == (2, "")
    assert vietnamese.startswith("✗ ")
    assert not vietnamese.isascii()
    status, out, english = program("--lang", "en", *words)
    assert (status, out) == (2, "")
    assert english.replace("✗ ", "").isascii()
    assert english != vietnamese
    for foreign in ("Error", "Usage", "Invalid", "No such", "Try "):
        assert foreign not in vietnamese
    status, out, err = program("--json", *words)
    document = envelope(out)
    assert (status, document["status"], document["exit_code"], err) == (2, "error", 2, "")
    assert document["errors"][0]["message"] in vietnamese


def test_a_group_without_its_command_says_which_there_are(program: Program) -> None:
    """A group that needs a command names those it has."""
    status, out, _err = program("sandbox", "--json")
    error = envelope(out)["errors"][0]
    assert (status, error["code"]) == (2, "no_command")
    assert "demo" in error["message"]


def test_a_mistyped_command_gets_the_nearest(program: Program) -> None:
    """`safetok statu` is answered with `safetok status`."""
    assert "safetok status" in program("statu")[2]


def test_version(program: Program) -> None:
    """--version prints name and number, and an envelope with --json."""
    assert program("--version")[:2] == (0, f"safetok {__version__}\n")
    assert envelope(program("--version", "--json")[1])["data"] == {"version": __version__}


def walk(group: Group, context: Any, path: tuple[str, ...] = ()) -> Any:
    """Every command there is, with its path."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, Group):
            yield from walk(command, context, (*path, name))


def test_help_is_complete_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command, argument and option has a help text, and its Vietnamese differs from its English."""
    from safetok.locale import _

    top = root()
    context = top.make_context("safetok", [], resilient_parsing=True)
    missing = []
    for path, command in [((), top), *walk(top, context)]:
        texts = {" ".join(path): getattr(command, "help", None)} if path else {}
        texts |= {f"{' '.join(path)} {p.opts[0]}": p.help for p in command.params}  # type: ignore[attr-defined]
        for place, text in texts.items():
            set_language("vi")
            if not text or _(text) == text:
                missing.append((place, text))
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_help_page_fits(program: Program, monkeypatch: pytest.MonkeyPatch, language: str, width: int) -> None:
    """Every help page is printed, in both languages, within the console's width."""
    monkeypatch.setenv("COLUMNS", str(width))
    top = root()
    context = top.make_context("safetok", [], resilient_parsing=True)
    for path, _command in [((), top), *walk(top, context)]:
        status, out, err = program("--lang", language, *path, "--help")
        assert (status, err) == (0, "")
        assert out.startswith(("safetok", " ")) or len(out.splitlines()) > 3
        assert [line for line in out.splitlines() if len(line) > width] == []


def test_the_quick_help_is_the_whole_help(program: Program) -> None:
    """`--help` answered before typer is loaded says what typer's way says."""
    quick = program("--help")[1]
    slow = program("--quiet", "--help")[1]
    assert quick == slow
    assert all(name in quick for name in COMMANDS)
    assert max(map(len, quick.splitlines())) <= help_texts.WIDEST


HEAVY = ("pkcs11", "cryptography", "asn1crypto", "urllib3", "sqlite3", "keyring", "rich", "msgspec", "ssl", "_socket")


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["status", "--help"],
        ["tokens", "--help"],
        ["certs", "--help"],
        ["renew", "--help"],
        ["agencies", "--help"],
        ["export", "--help"],
        ["contacts"],
        ["nothing"],
    ],
    ids=" ".join,
)
def test_what_needs_no_token_loads_no_driver(words: list[str]) -> None:
    """--version, --help, completion's and contacts' imports hold no PKCS#11, cryptography, database, network or rich."""
    code = (
        "import sys; sys.argv = ['safetok', *sys.argv[1:]]\n"
        "from safetok.__main__ import _main\n"
        "_main(sys.argv[1:])\n"
        "sys.stderr.write('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.split(".")[0] for name in done.stderr.splitlines()[-1].split()}
    heavy = loaded & set(HEAVY)
    assert heavy == set()
    if words in (["--version"], ["--help"]):
        assert "typer" not in loaded


def test_untrusted_text_is_text(program: Program) -> None:
    """Markup and control characters of a certificate's name are shown, not obeyed, and JSON holds them escaped."""
    out = program("trial", "list")[1]
    assert "[bold]ĐẠI PHÁT[/bold]\\x1b[31m\\u202e" in out
    assert "\x1b" not in out


def test_the_language_is_flag_then_environment_then_settings(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--lang outranks SAFETOK_LANG, which outranks settings.toml, which outranks Vietnamese; help texts too."""
    home = tmp_path / "home"
    home.mkdir()
    assert "Lệnh" in program("--help")[1]
    (home / "settings.toml").write_text('language = "en"\n', "utf-8")
    assert "Commands" in program("--help")[1]
    assert "Commands" in program("agencies", "--help")[1]
    assert program("nothing")[2].startswith("✗ There is")
    monkeypatch.setenv("SAFETOK_LANG", "vi")
    assert "Lệnh" in program("--help")[1]
    assert "Commands" in program("--help", "--lang=en")[1]
    assert "Commands" in program("--lang", "en", "agencies", "--help")[1]


def test_only_an_option_spelled_alike_is_proposed(program: Program) -> None:
    """A slip is put right; the dashes, which every option has, make none alike."""
    assert "--verbose" in program("--verbos")[2]
    assert "--verbose" not in program("--bogus")[2]


def test_a_dry_run_writes_no_log(program: Program, tmp_path: Path) -> None:
    """--log-file is not written by a dry run."""
    log = tmp_path / "log"
    program("renew", "--dry-run", "--log-file", str(log))
    assert not log.exists()


def test_a_log_that_cannot_be_written_is_said_once(program: Program) -> None:
    """A full disk under --log-file costs one plain warning; the command itself goes on and ends as it would."""
    status, out, err = program("trial", "warned", "-q", "--log-file", "/dev/full")
    assert (status, out) == (0, "xong\n")
    assert "Traceback" not in err
    assert err.count("/dev/full") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("renew", "--force"),
        ("agencies", "list", "--force"),
        ("agencies", "remind", "--unit", "--ics", "agencies.ics"),
        ("agencies", "remind", "--unit", "--check"),
        ("batch", "report", "--force"),
        ("batch", "report", "--format", "csv", "--out", "report.xlsx"),
        ("certs", "prune", "--pin-stdin"),
        ("certs", "prune", "--out", "files"),
        ("doctor", "--offline", "--with-names"),
        ("history", "--limit", "3", "--all"),
        ("dossier", "record", "complete", "--missing", "giấy phép kinh doanh"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(cli: Any, words: tuple[str, ...]) -> None:
    """One that belongs to another, or contradicts it, is not passed over in silence (2)."""
    said = cli.json(*words)
    assert (said.status, said.codes) == (2, ["options_together"])
