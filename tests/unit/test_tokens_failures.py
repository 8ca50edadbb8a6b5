import pytest

from safetok.errors import (
    DriverFailed,
    ExitStatus,
    NoToken,
    NotTrusted,
    PersonNeeded,
    PinRefused,
    PinWrong,
    TokenHeld,
    UsageError,
)
from safetok.tokens.failures import Operation, translate
from safetok.tokens.process import WorkerFailure


@pytest.mark.parametrize(
    ("name", "operation", "kind", "code", "status"),
    [
        ("crashed", "look", DriverFailed, "crashed", 17),
        ("timed_out", "write", DriverFailed, "timed_out", 17),
        ("timed_out", "sign", DriverFailed, "timed_out", 17),
        ("held", "open", TokenHeld, "token_held", 16),
        ("no_token", "open", NoToken, "no_token", 3),
        ("doubled", "open", PersonNeeded, "doubled_serial", 11),
        ("locks", "open", None, "locks_unusable", 2),
        ("DEVICE_REMOVED", "sign", DriverFailed, "token_removed", 17),
        ("DEVICE_REMOVED", "write", DriverFailed, "token_removed", 17),
        ("TOKEN_NOT_PRESENT", "generate", DriverFailed, "token_removed", 17),
        ("SESSION_HANDLE_INVALID", "sign", DriverFailed, "token_removed", 17),
        ("SESSION_HANDLE_INVALID", "write", DriverFailed, "token_removed", 17),
        ("PIN_INCORRECT", "login", PinWrong, "pin_wrong", 5),
        ("PIN_LEN_RANGE", "login", PinWrong, "pin_wrong", 5),
        ("PIN_INVALID", "login", PinWrong, "pin_wrong", 5),
        ("PIN_INCORRECT", "change", PinWrong, "pin_wrong", 5),
        ("PIN_INVALID", "change", UsageError, "new_pin_refused", 2),
        ("PIN_LEN_RANGE", "change", UsageError, "new_pin_refused", 2),
        ("PIN_LOCKED", "change", PinRefused, "pin_locked", 6),
        ("DEVICE_REMOVED", "change", DriverFailed, "token_removed", 17),
        ("PIN_LOCKED", "login", PinRefused, "pin_locked", 6),
        ("PIN_EXPIRED", "login", PinRefused, "pin_expired", 6),
        ("USER_PIN_NOT_INITIALIZED", "login", PinRefused, "pin_not_set", 6),
        ("FUNCTION_CANCELED", "login", PersonNeeded, "pin_cancelled", 11),
        ("GENERAL_ERROR", "login", DriverFailed, "pkcs11", 17),
        ("DEVICE_MEMORY", "write", NotTrusted, "no_space", 10),
        ("TOKEN_WRITE_PROTECTED", "open", NotTrusted, "write_protected", 10),
        ("SESSION_READ_ONLY", "write", NotTrusted, "write_protected", 10),
        ("weak_protection", "generate", NotTrusted, "weak_protection", 10),
        ("ATTRIBUTE_VALUE_INVALID", "write", NotTrusted, "write_failed", 10),
        ("MECHANISM_INVALID", "sign", DriverFailed, "pkcs11", 17),
    ],
)
def test_each_answer_has_its_error(name: str, operation: Operation, kind: type | None, code: str, status: int) -> None:
    """What a driver answered ends as one stable code and exit status, about this token, in a whole sentence."""
    error = translate(WorkerFailure(name, "detail"), operation=operation, driver="d.so", token="T1")
    assert kind is None or type(error) is kind
    assert (error.code, error.exit_status, error.token) == (code, ExitStatus(status), "T1")
    assert "{" not in error.message + error.hint


def test_who_holds_a_token_is_said_where_it_is_known() -> None:
    """The lock's note gives process and time; a garbled note gives the bare fact."""
    known = translate(WorkerFailure("held", "4711 1795392000"), operation="open", driver="d", token="T1")
    assert ("4711" in known.message, known.data) == (True, {"pid": 4711})
    for note in ("\x00?", "² 1795392000"):
        garbled = translate(WorkerFailure("held", note), operation="open", driver="d", token="T1")
        assert garbled.data == {}
