"""Which codes of errors the source can raise, and with which exit status: read from its syntax trees, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import safetok
from safetok import errors
from safetok.errors import ExitStatus, SafetokError
from safetok.trust.answer import FAIL_INFO

ROOT = Path(safetok.__file__).parent
KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, SafetokError)}
NOT_ERRORS = {"Finding", "Missing", "Group", "Trace", "DriverFailure", "course.tell", "self._course.tell"}
ROWS = {"replace", "RowResult"}  # of a batch: their codes stand in its errors, and it ends with 12
ALIASES = {
    "_ca_failed": "fail",
    "_not_checked": "fail",
}  # what a function that builds an error is called by where it is handed on
# What no tree says in one place: where it stands, and the codes by the class of their errors.
BY_HAND: dict[str, dict[str, tuple[str, ...]]] = {
    "tokens/failures.py:failure.name": {"DriverFailed": ("crashed", "timed_out")},
    "workflows/tokens.py:failure.code": {
        "DriverFailed": (
            *("crashed", "timed_out", "not_loadable", "pkcs11"),
            *("wrong_bitness", "wrong_system", "wrong_processor", "no_library"),
        )
    },
    "trust/answer.py:code": {"NotTrusted": tuple(FAIL_INFO)},
    "workflows/batch/planning.py:lacking[0]": {
        "row": ("contract_end_unknown", "contract_over", "not_signed", "contract_end_differs", "pin_pad", "key_absent")
    },
    "workflows/batch/results.py:result.state.lower()": {},  # a row that is done is no error
    "workflows/dossier_view.py:f'certificate_{self.answer.state}'": {
        "CertificateRevoked": ("certificate_suspended", "certificate_revoked")
    },
    "workflows/succession.py:f'certificate_{state}'": {
        "CertificateRevoked": ("certificate_suspended", "certificate_revoked")
    },
    "workflows/renew/engine.py:code": {
        "CaRefused": ("ca_refused",),
        "NotTrusted": ("not_trusted",),
        "PersonNeeded": ("lapsed",),
    },
}
SET_LATER = {"pin_table": "UsageError", "bad_list": "UsageError"}  # `error.code = …`


@dataclass
class Source:
    """What was found: exit statuses by code, and places that BY_HAND must name or names in vain."""

    statuses: dict[str, set[int]] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)
    by_hand: set[str] = field(default_factory=set)
    set_later: set[str] = field(default_factory=set)

    def add(self, code: str, status: int) -> None:
        self.statuses.setdefault(code, set()).add(status)

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        return {str(path.relative_to(ROOT).as_posix()): ast.parse(path.read_bytes()) for path in ROOT.rglob("*.py")}

    @cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        """Every call, by the last word of what is called."""
        found: dict[str, list[ast.Call]] = {}
        for tree in self.trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    found.setdefault(ast.unparse(node.func).rsplit(".", 1)[-1], []).append(node)
        return found


def read() -> Source:
    """The whole package."""
    source = Source()
    for kind in KINDS.values():
        source.add(kind.default_code, kind.exit_status)
    for path, tree in source.trees.items():
        for function, call in _calls(tree, None):
            _raised(source, path, function, call)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "error.code":
                source.set_later |= _constants(node.value)
    for code in source.set_later:
        if code in SET_LATER:
            source.add(code, KINDS[SET_LATER[code]].exit_status)
    return source


def _calls(node: ast.AST, function: ast.FunctionDef | None) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
    """Every call with the function it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield function, child
        yield from _calls(child, child if isinstance(child, ast.FunctionDef) else function)


def _raised(source: Source, path: str, function: ast.FunctionDef | None, call: ast.Call) -> None:
    called = ast.unparse(call.func)
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "code" not in given or called in NOT_ERRORS or called.endswith(".format"):
        return
    if path == "errors.py" or ast.unparse(given["code"]) in {"error.code", "known.code", "met.code", "result.code"}:
        return  # handed on
    status = _status(called, given)
    place = f"{path}:{ast.unparse(given['code'])}"
    if place in BY_HAND:
        source.by_hand.add(place)
        for kind, codes in BY_HAND[place].items():
            for code in codes:
                source.add(code, ExitStatus.PARTLY if kind == "row" else KINDS[kind].exit_status)
        return
    codes = _codes(source, given["code"], function)
    if codes is None or (codes and status is None):
        source.unexplained.append(f"{place} ({called})")
        return
    for code in codes:
        source.add(code, status or 0)


def _status(called: str, given: dict[str | None, ast.expr]) -> int | None:
    if called in KINDS:
        return int(KINDS[called].exit_status)
    if called in ROWS:
        return int(ExitStatus.PARTLY)
    if called == "Due":
        stated = given.get("exit_status")
        return int(ExitStatus[stated.attr] if isinstance(stated, ast.Attribute) else ExitStatus.DUE)
    return None


def _codes(source: Source, value: ast.expr, function: ast.FunctionDef | None) -> set[str] | None:
    """What the value can be: written there, handed on from another error (none of its own), assigned in the function, or given
    to it by its callers. None where that cannot be told.
    """
    if isinstance(value, ast.Constant | ast.IfExp):
        return _constants(value)
    if isinstance(value, ast.BoolOp):
        parts = [_codes(source, one, function) for one in value.values]
        return None if None in parts else set().union(*(part for part in parts if part))
    if isinstance(value, ast.Attribute):
        return set() if value.attr == "code" else None
    if not isinstance(value, ast.Name) or function is None:
        return None
    arguments = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    if value.id in arguments:
        return _given(source, function.name, arguments.index(value.id), value.id)
    return _assigned(function, value.id)


def _given(source: Source, name: str, position: int, keyword: str) -> set[str]:
    found: set[str] = set()
    for call in [*source.calls.get(name, []), *source.calls.get(ALIASES.get(name, ""), [])]:
        named = [one.value for one in call.keywords if one.arg == keyword]
        for value in named or call.args[position : position + 1]:
            found |= _constants(value)
    return found


def _assigned(function: ast.FunctionDef, name: str) -> set[str] | None:
    found: set[str] = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                found |= _constants(node.value)
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(one, ast.Name) and one.id == name:
                        found |= _constants(value)
    return found or None


def _constants(value: ast.expr) -> set[str]:
    if isinstance(value, ast.IfExp):
        return _constants(value.body) | _constants(value.orelse)
    return {value.value} if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value else set()
