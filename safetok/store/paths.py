"""Where safetok keeps its things: `SAFETOK_HOME` when set, else the folders of the operating system (platformdirs)."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from safetok.errors import UsageError
from safetok.locale import _, why
from safetok.records import dataclass

PRIVATE = 0o700
_OURS = ("settings.toml", "state.db", "sandbox")

# File systems where SQLite's locks or its shared memory are another machine's promise.
NETWORK_FILE_SYSTEMS = frozenset(
    {
        *(
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "davfs",
            "gfs",
            "gfs2",
            "glusterfs",
            "lustre",
            "ncpfs",
            "ocfs2",
            "orangefs",
        ),
        *("nfs", "nfs3", "nfs4", "smb", "smb2", "smb3", "smbfs"),
        *("fuse.ceph", "fuse.davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Every place safetok writes to. Naming them creates nothing; `ensure` does.

    `settings` is a file, `state` the folder of the database, `locks`, `cache`, `log` and `sandbox` are folders.
    """

    settings: Path
    state: Path
    locks: Path
    cache: Path
    log: Path
    sandbox: Path
    given: bool = False  # by SAFETOK_HOME

    @property
    def database(self) -> Path:
        return self.state / "state.db"

    def ensure(self) -> Home:
        """Create the state and lock folders, readable by their owner alone.

        Raises UsageError: `network_file_system` when the state would lie on one, `home_unusable` when it cannot be made.
        """
        private_folder(self.state)
        private_folder(self.locks)
        return self


def home(environ: Mapping[str, str]) -> Home:
    """The places in force for this environment. A relative SAFETOK_HOME is made whole: a later `cd` moves nothing.

    Raises UsageError (`home_unusable`) for a SAFETOK_HOME that names no place (`~nobody`, or beside a folder that is gone) or
    another user's folder, and where the user of this run has none (in a container).
    """
    if named := environ.get("SAFETOK_HOME", "").strip():
        root = _whole(named)
        if foreign(root):
            raise unusable(root, _("it belongs to somebody else"))
        return Home(
            settings=root / "settings.toml",
            state=root,
            locks=root / "locks",
            cache=root / "cache",
            log=root / "log",
            sandbox=root / "sandbox",
            given=True,
        )
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("safetok", appauthor=False)
    try:
        return Home(
            settings=dirs.user_config_path / "settings.toml",
            state=dirs.user_state_path,
            locks=dirs.user_state_path / "locks",
            cache=dirs.user_cache_path,
            log=dirs.user_log_path,
            sandbox=dirs.user_data_path / "sandbox",
        )
    except RuntimeError as error:
        raise unusable("~", _("this user has no home folder")) from error


def _whole(named: str) -> Path:
    try:
        return Path(os.path.abspath(Path(named).expanduser()))  # noqa: PTH100  (resolve() would follow a link the user chose)
    except RuntimeError as error:  # `~name/…` of a user there is not
        raise unusable(named, _("there is no such user")) from error
    except OSError as error:  # a relative one, and the folder this runs in has been removed
        raise unusable(named, why(error)) from error


def foreign(place: Path) -> bool:
    """Whether it belongs to another user, who could name a driver there that safetok would load: neither to this one nor to root.

    Root itself may use what is a user's (in a container, by sudo). Windows tells no owner here.
    """
    if os.name != "posix" or os.geteuid() == 0:
        return False
    try:
        return place.stat().st_uid not in {os.geteuid(), 0}
    except OSError:  # whoever reads or makes it says what is wrong
        return False


def unusable(folder: object, reason: str) -> UsageError:
    """The error for a folder that safetok cannot keep its things in."""
    return UsageError(
        _("The folder {folder} cannot be used: {why}.").format(folder=folder, why=reason),
        code="home_unusable",
        hint=_("Set SAFETOK_HOME to a folder on this computer's own disk that you can write to."),
    )


def private_folder(folder: Path) -> Path:
    """Create `folder` and its parents (0700), on a local disk. One that exists is made private when it is plainly ours."""
    try:
        refuse_network(folder)
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if os.name == "posix":
            _tighten(folder)
    except OSError as error:
        raise unusable(folder, why(error)) from error
    return folder


def _tighten(folder: Path) -> None:
    """Others can read a folder made by hand: close it, but never one that also holds somebody else's things."""
    seen = folder.stat()
    if seen.st_uid != os.geteuid() or not stat.S_IMODE(seen.st_mode) & 0o077 or seen.st_mode & stat.S_ISVTX:
        return
    names = [entry.name for entry in folder.iterdir()]
    if not names or any(name in names for name in _OURS):
        folder.chmod(PRIVATE)


def refuse_network(folder: Path) -> None:
    """Raises UsageError `network_file_system` when `folder` lies (or would lie) on a network file system."""
    kind = network_file_system(folder)
    if kind:
        raise UsageError(
            _(
                "The folder {folder} is on a network file system ({kind}), where the journal of a renewal is not safe."
            ).format(folder=folder, kind=kind),
            code="network_file_system",
            hint=_("Set SAFETOK_HOME to a folder on this computer's own disk that you can write to."),
        )


def network_file_system(folder: Path) -> str:
    """The name of the network file system `folder` lies on, empty when it is local or cannot be told."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if sys.platform == "win32":
        return _windows(existing)
    if sys.platform == "darwin":
        return _macos(existing)
    return _linux(existing, Path("/proc/self/mountinfo"))


def _linux(folder: Path, mountinfo: Path) -> str:
    """proc(5): field 5 is the mount point (octal escapes), the file system stands behind the ` - `; the last mount wins."""
    real = f"{folder.resolve()}/"
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, kind = (
        -1,
        "",
    )  # strings all along: a path is made for each of the mounts otherwise, which takes longer than the rest
    for line in lines:
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:  # noqa: PLR2004  (the mount point is the fifth)
            continue
        point = f"{_unescape(fields[4]).rstrip('/')}/"
        if len(point) >= best and real.startswith(point):
            best, kind = len(point), right.split(" ", 1)[0]
    return kind if kind in NETWORK_FILE_SYSTEMS else ""


def _unescape(field: str) -> str:
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escaped, plain)
    return field


def _macos(folder: Path) -> str:
    """statfs(2): MNT_LOCAL in f_flags (offset 64), f_fstypename at offset 72 of the 64-bit inode structure."""
    import ctypes

    library = ctypes.CDLL(None)
    call = getattr(library, "statfs$INODE64", None) or library.statfs
    buffer = ctypes.create_string_buffer(4096)
    if call(os.fsencode(folder), buffer) != 0:
        return ""
    flags = int.from_bytes(buffer.raw[64:68], sys.byteorder)
    local = 0x00001000
    return "" if flags & local else buffer.raw[72:88].split(b"\0", 1)[0].decode("ascii", "replace")


def _windows(folder: Path) -> str:
    """GetDriveTypeW: 4 is DRIVE_REMOTE; a UNC path is remote by its form."""
    import ctypes

    real = str(folder.resolve())
    if real.startswith("\\\\") and not real.startswith("\\\\?\\"):
        return "UNC"
    remote = 4
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    return "remote drive" if kernel.GetDriveTypeW(f"{Path(real).anchor}") == remote else ""
