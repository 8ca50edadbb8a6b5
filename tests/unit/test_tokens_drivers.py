from pathlib import Path

import pytest

from safetok.errors import UsageError
from safetok.knowledge.facts import KnownDriver
from safetok.tokens import drivers
from safetok.tokens.drivers import find_drivers


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of *.module files, the only one there is."""
    folder = tmp_path / "config" / "pkcs11" / "modules"
    folder.mkdir(parents=True)
    monkeypatch.setattr(drivers, "_module_folders", lambda _environ: [str(tmp_path / "system"), str(folder)])
    return folder


def library(folder: Path, name: str) -> Path:
    """A file that could be a driver."""
    path = folder / name
    path.write_bytes(b"\x7fELF")
    return path


def known(folder: Path, *names: str) -> KnownDriver:
    """A known driver in one folder."""
    return KnownDriver(maker="X", system="linux", bits=64, names=names, folders=(str(folder),))


def found(**given: object) -> list[tuple[str, str]]:
    """Names and sources of what is found."""
    arguments = {"module": None, "configured": (), "known": (), "environ": {}} | given
    return [(file.name, file.source) for file in find_drivers(**arguments)]  # type: ignore[arg-type]


def test_the_flag_replaces_every_other_way(tmp_path: Path, modules: Path) -> None:
    """--module leaves nothing else to be found, SAFETOK_MODULE too, and the flag goes before the environment."""
    flag, other, environ = (library(tmp_path, name) for name in ("flag.so", "other.so", "environ.so"))
    (modules / "other.module").write_text(f"module: {other}\n")
    everything = {"configured": (str(other),), "known": (known(tmp_path, "other.so"),)}
    assert found(module=str(flag), environ={"SAFETOK_MODULE": str(environ)}, **everything) == [("flag.so", "flag")]
    assert found(environ={"SAFETOK_MODULE": str(environ)}, **everything) == [("environ.so", "environment")]


def test_a_named_driver_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """A mistyped path is said at once."""
    with pytest.raises(UsageError) as raised:
        found(module=str(tmp_path / "none.so"))
    assert raised.value.code == "no_such_module"


def test_one_file_under_several_names_is_one_driver(tmp_path: Path, modules: Path) -> None:
    """Settings, p11-kit and the known names may point to one file by different links: the first way found is kept."""
    real = library(tmp_path, "real.so.1")
    (tmp_path / "link.so").symlink_to(real)
    (tmp_path / "second.so").symlink_to(real)
    (modules / "a.module").write_text(f"module: {tmp_path / 'second.so'}\n")
    assert found(configured=(str(tmp_path / "link.so"),), known=(known(tmp_path, "real.so.1"),)) == [
        ("real.so.1", "settings")
    ]


def test_what_shows_no_tokens_of_its_own_is_left_out(tmp_path: Path, modules: Path) -> None:
    """Trust-policy modules, p11-kit-proxy (also behind a link), remote modules and modules of other programs are skipped."""
    proxy = library(tmp_path, "libp11-kit.so.0")
    (tmp_path / "proxy.so").symlink_to(proxy)
    for name in ("p11-kit-proxy.so", "trust.so", "other.so", "ours.so", "not.so"):
        library(tmp_path, name)
    lines = {
        "proxy": f"module: {tmp_path}/p11-kit-proxy.so",
        "link": f"module: {tmp_path}/proxy.so",
        "trust": f"module: {tmp_path}/trust.so\ntrust-policy: yes",
        "remote": "remote: |ssh host p11-kit remote x",
        "other": f"module: {tmp_path}/other.so\nenable-in: firefox, seahorse",
        "not": f"module: {tmp_path}/not.so\ndisable-in: safetok",
        "ours": f"# a comment\n module : {tmp_path}/ours.so \nenable-in: safetok ssh",
        "empty": "module:",
        "gone": f"module: {tmp_path}/gone.so",
    }
    for name, text in lines.items():
        (modules / f"{name}.module").write_text(text)
    assert found() == [("ours.so", "p11-kit")]


def test_a_users_module_file_lies_over_the_systems(tmp_path: Path, modules: Path) -> None:
    """A user's file of the same name changes the fields it names and keeps the others (pkcs11.conf(5))."""
    system = tmp_path / "system"
    system.mkdir()
    library(tmp_path, "a.so")
    (system / "a.module").write_text(f"module: {tmp_path}/a.so\n")
    assert found() == [("a.so", "p11-kit")]
    (modules / "a.module").write_text("module:\n")
    assert found() == []


def test_a_relative_module_is_looked_for_where_distributions_put_them(
    tmp_path: Path, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`module: name.so` means p11-kit's own folder."""
    monkeypatch.setattr(drivers, "_library_folders", lambda: (str(tmp_path / "none"), str(tmp_path)))
    library(tmp_path, "relative.so")
    (modules / "r.module").write_text("module: relative.so\n")
    assert found() == [("relative.so", "p11-kit")]


def test_known_drivers_are_found_where_they_exist(tmp_path: Path, modules: Path) -> None:
    """Of the known names only files that exist are drivers; a configured one is kept though missing, to be reported."""
    library(tmp_path, "b.so")
    assert found(configured=("/nowhere/c.so",), known=(known(tmp_path, "a.so", "b.so"),)) == [
        ("c.so", "settings"),
        ("b.so", "known"),
    ]
