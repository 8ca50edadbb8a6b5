"""A plan on disk: private, and sealed by this machine, so that what was confirmed is what is run."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import os
import stat
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.plan import Plan, PlanRow, Verdict
from safetok.domain.times import parse_rfc3339, rfc3339
from safetok.errors import UsageError
from safetok.locale import _, why

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safetok.store.settings import Settings
    from safetok.workflows.context import Context

FORMAT = 1
LARGEST = 64 << 20
KEY = 32  # bytes of the secret behind the seals


def write(context: Context, plan: Plan, path: Path) -> None:
    """Write it whole or not at all, for its owner alone. Raises UsageError (`plan_file`)."""
    body = _plain(plan)
    document = {"safetok_plan": FORMAT, **body, "seal": _seal(context, body)}
    text = json.dumps(document, ensure_ascii=False, indent=1)  # a list's name may be no UTF-8: JSON escapes such bytes
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # A killed run's, or a link that somebody laid there: what it leads to is not touched.
        half.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode(errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        with suppress(OSError):  # a name too long for the disk is too long here, too
            half.unlink()
        raise UsageError(
            _("The plan {path} cannot be written: {why}.").format(path=path, why=why(error)), code="plan_file"
        ) from error


def read(context: Context, path: Path) -> Plan:
    """The plan in a file. Raises UsageError: `plan_file` (also for a list, or anything else), `plan_open` (others can write it),
    `plan_changed` (by hand, or made elsewhere).
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(LARGEST)
    except OSError as error:
        raise UsageError(
            _("The plan {path} cannot be read: {why}.").format(path=path, why=why(error)),
            code="plan_file",
            hint=_("Make the plan again: safetok batch plan FILE"),
        ) from error
    try:
        document = json.loads(text)
        seal = document.pop("seal")
        if document.pop("safetok_plan") != FORMAT:
            raise ValueError  # noqa: TRY301
        if os.name == "posix" and mode & 0o077:
            raise UsageError(
                _("Others can read or write {path}: the plan is not used.").format(path=path),
                code="plan_open",
                hint=_("Make it again: safetok batch plan FILE"),
            )
        if not hmac.compare_digest(str(seal), _seal(context, document)):
            raise UsageError(
                _("The plan {path} was changed after it was made, or made on another computer.").format(path=path),
                code="plan_changed",
                hint=_("Change the list and make the plan again: safetok batch plan FILE"),
            )
        return _plan(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            _("{path} is no plan.").format(path=path),
            code="plan_file",
            hint=_("A list becomes a plan with: safetok batch plan FILE"),
        ) from error


def settings_hash(settings: Settings, names: Iterable[str]) -> str:
    """What a plan depends on: these authorities as they stand, with the bytes of every file they name."""
    digest = hashlib.sha256()
    for name in sorted({*names}):
        authority = settings.authorities.get(name)
        if authority is None:
            continue
        shown = {
            "url": authority.url,
            "offers_url": authority.offers_url,
            "request": authority.request,
            "recipient": authority.recipient,
            "validity": authority.validity,
            "implicit_confirm": authority.implicit_confirm,
            "pss": authority.pss,
            "renew_expired": authority.renew_expired,
        }
        digest.update(json.dumps([name, shown], sort_keys=True).encode())
        for path in (*authority.issuers, *authority.anchors, authority.signer, authority.tls_ca):
            digest.update(_content(path))
    return digest.hexdigest()


def unchanged(context: Context, plan: Plan) -> None:
    """Raises UsageError (`plan_settings`) when the CAs' settings are not those the plan was made under."""
    if plan.settings != settings_hash(context.settings, (row.authority for row in plan.rows)):
        raise UsageError(
            _("The settings of a CA have changed since the plan was made, or another version of safetok made it."),
            code="plan_settings",
            hint=_("Make it again: safetok batch plan FILE"),
        )


def _content(path: Path | None) -> bytes:
    if path is None:
        return b"-"
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b"?"


def _plain(plan: Plan) -> dict[str, Any]:
    body = dataclasses.asdict(plan)
    body["made_at"] = rfc3339(plan.made_at)
    for row in body["rows"]:
        for name in ("contract_end", "day"):
            row[name] = row[name].isoformat() if row[name] else None
        row["verdict"] = str(row["verdict"])
        row["agencies"] = list(row["agencies"]) if row["agencies"] is not None else None
    body["rows"] = list(body["rows"])
    return body


def _plan(body: dict[str, Any]) -> Plan:
    rows = tuple(
        PlanRow(
            **{
                **row,
                "verdict": Verdict(row["verdict"]),
                "contract_end": _day(row["contract_end"]),
                "day": _day(row["day"]),
                "agencies": tuple(row["agencies"]) if row["agencies"] is not None else None,
            }
        )
        for row in body["rows"]
    )
    return Plan(**{**body, "made_at": parse_rfc3339(body["made_at"]), "rows": rows})


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _seal(context: Context, body: dict[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hmac.new(_key(context), text.encode(), hashlib.sha256).hexdigest()


def _key(context: Context) -> bytes:
    """The secret that seals this machine's plans; made when first needed, and anew where a power cut left less than a whole one."""
    folder = context.settings.home.ensure().state / "batch"
    path = folder / "seal"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        key = _kept(path)
        if len(key) != KEY:
            with context.database.transaction():  # of several processes the first makes it, the others find it made
                key = _kept(path)
                if len(key) != KEY:
                    key = context.random(KEY)
                    _keep(key, path)
    except OSError as error:
        raise UsageError(
            _("{path} cannot be used: {why}.").format(path=path, why=why(error)), code="plan_file"
        ) from error
    else:
        return key


def _kept(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _keep(key: bytes, path: Path) -> None:
    """On the disk whole before it has its name, and its name there too."""
    half = path.with_name(f".seal.{os.getpid()}")
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
