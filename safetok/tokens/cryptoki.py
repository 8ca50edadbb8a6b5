"""PKCS#11 by ctypes, for what python-pkcs11 does not give: locking at C_Initialize, CK_TOKEN_INFO whole, a login on an open
session, and the look at a token without a PIN, whose speed decides `status`. Imported only by the worker.

Written to PKCS#11 2.40 (OASIS): nothing here knows a vendor. Calls release the GIL.
"""

from __future__ import annotations

import ctypes as c
import sys

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


WINDOWS = sys.platform == "win32"  # PKCS#11 2.40 section 2.1: structures are packed to one byte there
ULONG = c.c_ulong
UNAVAILABLE = ULONG(-1).value
BYTE_ORDER = sys.byteorder

CKR_OK = 0x00
CKR_ARGUMENTS_BAD = 0x07
CKR_NEED_TO_CREATE_THREADS = 0x09
CKR_CANT_LOCK = 0x0A
CKR_ATTRIBUTE_SENSITIVE = 0x11
CKR_ATTRIBUTE_TYPE_INVALID = 0x12
CKR_BUFFER_TOO_SMALL = 0x150
CKR_ALREADY_INITIALIZED = 0x191

CKF_OS_LOCKING_OK = 0x02
CKF_SERIAL_SESSION = 0x04
CKF_RW_SESSION = 0x02
CKF_REMOVABLE_DEVICE = 0x02
CKF_HW_SLOT = 0x04

CKU_USER = 1
CKU_CONTEXT_SPECIFIC = 2

CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY = 1, 2, 3
CKA_CLASS, CKA_LABEL, CKA_VALUE, CKA_KEY_TYPE, CKA_ID = 0x00, 0x03, 0x11, 0x100, 0x102
CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_PUBLIC_KEY_INFO = 0x120, 0x122, 0x129
CKA_EC_PARAMS, CKA_EC_POINT, CKA_ALWAYS_AUTHENTICATE = 0x180, 0x181, 0x202
CKA_EXTRACTABLE, CKA_LOCAL, CKA_NEVER_EXTRACTABLE, CKA_ALWAYS_SENSITIVE = 0x162, 0x163, 0x164, 0x165
CKK_RSA, CKK_EC = 0, 3

NAMES = {
    0x01: "CANCEL",
    0x02: "HOST_MEMORY",
    0x03: "SLOT_ID_INVALID",
    0x05: "GENERAL_ERROR",
    0x06: "FUNCTION_FAILED",
    0x07: "ARGUMENTS_BAD",
    0x09: "NEED_TO_CREATE_THREADS",
    0x0A: "CANT_LOCK",
    0x10: "ATTRIBUTE_READ_ONLY",
    0x11: "ATTRIBUTE_SENSITIVE",
    0x12: "ATTRIBUTE_TYPE_INVALID",
    0x13: "ATTRIBUTE_VALUE_INVALID",
    0x1B: "ACTION_PROHIBITED",
    0x20: "DATA_INVALID",
    0x21: "DATA_LEN_RANGE",
    0x30: "DEVICE_ERROR",
    0x31: "DEVICE_MEMORY",
    0x32: "DEVICE_REMOVED",
    0x50: "FUNCTION_CANCELED",
    0x54: "FUNCTION_NOT_SUPPORTED",
    0x60: "KEY_HANDLE_INVALID",
    0x62: "KEY_SIZE_RANGE",
    0x63: "KEY_TYPE_INCONSISTENT",
    0x68: "KEY_FUNCTION_NOT_PERMITTED",
    0x70: "MECHANISM_INVALID",
    0x71: "MECHANISM_PARAM_INVALID",
    0x82: "OBJECT_HANDLE_INVALID",
    0x90: "OPERATION_ACTIVE",
    0x91: "OPERATION_NOT_INITIALIZED",
    0xA0: "PIN_INCORRECT",
    0xA1: "PIN_INVALID",
    0xA2: "PIN_LEN_RANGE",
    0xA3: "PIN_EXPIRED",
    0xA4: "PIN_LOCKED",
    0xB0: "SESSION_CLOSED",
    0xB1: "SESSION_COUNT",
    0xB3: "SESSION_HANDLE_INVALID",
    0xB5: "SESSION_READ_ONLY",
    0xB8: "SESSION_READ_WRITE_SO_EXISTS",
    0xD0: "TEMPLATE_INCOMPLETE",
    0xD1: "TEMPLATE_INCONSISTENT",
    0xE0: "TOKEN_NOT_PRESENT",
    0xE1: "TOKEN_NOT_RECOGNIZED",
    0xE2: "TOKEN_WRITE_PROTECTED",
    0x100: "USER_ALREADY_LOGGED_IN",
    0x101: "USER_NOT_LOGGED_IN",
    0x102: "USER_PIN_NOT_INITIALIZED",
    0x103: "USER_TYPE_INVALID",
    0x104: "USER_ANOTHER_ALREADY_LOGGED_IN",
    0x150: "BUFFER_TOO_SMALL",
    0x190: "CRYPTOKI_NOT_INITIALIZED",
    0x191: "CRYPTOKI_ALREADY_INITIALIZED",
}


class CryptokiError(Exception):
    """A call answered something else than CKR_OK; `name` is the standard's, without `CKR_`."""

    def __init__(self, function: str, code: int) -> None:
        self.name = NAMES.get(code, f"0x{code:x}")
        self.code = code
        super().__init__(f"{function}: {self.name}")


class Version(c.Structure):
    """CK_VERSION."""

    _fields_ = [("major", c.c_ubyte), ("minor", c.c_ubyte)]


class SlotInfo(c.Structure):
    """CK_SLOT_INFO."""

    if WINDOWS:
        _pack_ = 1
    _fields_ = [
        ("description", c.c_char * 64),
        ("manufacturer", c.c_char * 32),
        ("flags", ULONG),
        ("hardware", Version),
        ("firmware", Version),
    ]


class TokenInfo(c.Structure):
    """CK_TOKEN_INFO; texts as byte arrays because c_char arrays would end at a NUL."""

    if WINDOWS:
        _pack_ = 1
    _fields_ = [
        ("label", c.c_ubyte * 32),
        ("manufacturer", c.c_ubyte * 32),
        ("model", c.c_ubyte * 16),
        ("serial", c.c_ubyte * 16),
        ("flags", ULONG),
        ("max_sessions", ULONG),
        ("sessions", ULONG),
        ("max_rw_sessions", ULONG),
        ("rw_sessions", ULONG),
        ("max_pin", ULONG),
        ("min_pin", ULONG),
        ("total_public", ULONG),
        ("free_public", ULONG),
        ("total_private", ULONG),
        ("free_private", ULONG),
        ("hardware", Version),
        ("firmware", Version),
        ("utc_time", c.c_ubyte * 16),
    ]


class Attribute(c.Structure):
    """CK_ATTRIBUTE."""

    if WINDOWS:
        _pack_ = 1
    _fields_ = [("type", ULONG), ("value", c.c_void_p), ("length", ULONG)]


class Mechanism(c.Structure):
    """CK_MECHANISM."""

    if WINDOWS:
        _pack_ = 1
    _fields_ = [("mechanism", ULONG), ("parameter", c.c_void_p), ("length", ULONG)]


class PssParameters(c.Structure):
    """CK_RSA_PKCS_PSS_PARAMS."""

    if WINDOWS:
        _pack_ = 1
    _fields_ = [("hash", ULONG), ("mgf", ULONG), ("salt", ULONG)]


class InitializeArguments(c.Structure):
    """CK_C_INITIALIZE_ARGS."""

    if WINDOWS:
        _pack_ = 1
    _fields_ = [
        ("create", c.c_void_p),
        ("destroy", c.c_void_p),
        ("lock", c.c_void_p),
        ("unlock", c.c_void_p),
        ("flags", ULONG),
        ("reserved", c.c_void_p),
    ]


# CK_FUNCTION_LIST (PKCS#11 2.40, pkcs11f.h): the place of each function used, counted from the first after the version.
_PLACES = {
    "C_Initialize": 0,
    "C_Finalize": 1,
    "C_GetInfo": 2,
    "C_GetFunctionList": 3,
    "C_GetSlotList": 4,
    "C_GetSlotInfo": 5,
    "C_GetTokenInfo": 6,
    "C_GetMechanismList": 7,
    "C_SetPIN": 11,
    "C_OpenSession": 12,
    "C_CloseSession": 13,
    "C_GetSessionInfo": 15,
    "C_Login": 18,
    "C_Logout": 19,
    "C_GetAttributeValue": 24,
    "C_FindObjectsInit": 26,
    "C_FindObjects": 27,
    "C_FindObjectsFinal": 28,
    "C_SignInit": 42,
    "C_Sign": 43,
}
_COUNT = 68
_FUNCTION = c.CFUNCTYPE(ULONG, use_errno=False)


class _FunctionList(c.Structure):
    if WINDOWS:
        _pack_ = 1
    _fields_ = [("version", Version), ("functions", c.c_void_p * _COUNT)]


_VALUE_ROOM, _TEXT_ROOM = 4099, 1031
_BATCH = 64
_PARTLY = (CKR_OK, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL)  # the rest is filled in
_SANE = 1 << 20  # a longer attribute is nonsense


class Module:
    """One driver, loaded and initialised. `locking` says how: `os` (CKF_OS_LOCKING_OK) or `none` (NULL arguments)."""

    def __init__(self, path: str) -> None:
        self._library = c.CDLL(path)
        get_list = self._library.C_GetFunctionList
        get_list.restype = ULONG
        pointer = c.POINTER(_FunctionList)()
        code = get_list(c.byref(pointer))
        if code != CKR_OK or not pointer:
            raise CryptokiError("C_GetFunctionList", code)
        self._begin(pointer.contents)

    def _begin(self, functions: _FunctionList) -> None:
        self._list = functions
        self._functions: dict[str, Any] = {}
        self.locking = "os"
        self._rooms: dict[int, Any] = {}
        self.initialize()

    @property
    def address(self) -> int:
        """Where the function list is: most drivers have one, p11-kit's client makes one for each who asks."""
        return c.addressof(self._list)

    def at(self, address: int) -> Module:
        """The module behind the function list at `address`, initialised: this one, or another state of the same driver."""
        if address == self.address:
            return self
        other = Module.__new__(Module)
        other._library = self._library
        other._begin(_FunctionList.from_address(address))
        return other

    def call(self, name: str, *arguments: Any) -> int:
        """The CK_RV of one function. Numbers must come as ULONG: ctypes passes a bare int as a C int."""
        function = self._functions.get(name)
        if function is None:
            address = self._list.functions[_PLACES[name]]
            if not address:
                return 0x54  # CKR_FUNCTION_NOT_SUPPORTED
            function = self._functions[name] = _FUNCTION(address)
        return int(function(*arguments))

    def check(self, name: str, *arguments: Any) -> None:
        """One function that must answer CKR_OK."""
        code = self.call(name, *arguments)
        if code != CKR_OK:
            raise CryptokiError(name, code)

    def initialize(self) -> None:
        """C_Initialize with the operating system's locks; with NULL where the driver cannot."""
        arguments = InitializeArguments(flags=CKF_OS_LOCKING_OK)
        code = self.call("C_Initialize", c.byref(arguments))
        if code in {CKR_CANT_LOCK, CKR_NEED_TO_CREATE_THREADS, CKR_ARGUMENTS_BAD}:
            self.locking = "none"
            code = self.call("C_Initialize", None)
        if code not in {CKR_OK, CKR_ALREADY_INITIALIZED}:
            raise CryptokiError("C_Initialize", code)

    def finalize(self) -> None:
        """C_Finalize; its answer changes nothing."""
        self.call("C_Finalize", None)

    def slots(self) -> list[int]:
        """Slots with a token in. The count may change between two calls: asked again until it fits (8 times)."""
        count = ULONG()
        for _ in range(8):
            self.check("C_GetSlotList", c.c_ubyte(1), None, c.byref(count))
            if count.value == 0:
                return []
            count.value += 4  # one may come in meanwhile
            room = (ULONG * count.value)()
            code = self.call("C_GetSlotList", c.c_ubyte(1), room, c.byref(count))
            if code == CKR_OK:
                return list(room[: count.value])
            if code != CKR_BUFFER_TOO_SMALL:
                raise CryptokiError("C_GetSlotList", code)
        raise CryptokiError("C_GetSlotList", CKR_BUFFER_TOO_SMALL)

    def watches_hardware(self) -> bool:
        """Whether any slot, with a token or not, is a device's: such a driver sees a new token by itself."""
        count = ULONG()
        if self.call("C_GetSlotList", c.c_ubyte(0), None, c.byref(count)) != CKR_OK or not count.value:
            return False
        room = (ULONG * count.value)()
        if self.call("C_GetSlotList", c.c_ubyte(0), room, c.byref(count)) != CKR_OK:
            return False
        info = SlotInfo()
        return any(
            self.call("C_GetSlotInfo", ULONG(slot), c.byref(info)) == CKR_OK
            and info.flags & (CKF_REMOVABLE_DEVICE | CKF_HW_SLOT)
            for slot in room[: count.value]
        )

    def token_info(self, slot: int) -> TokenInfo:
        """CK_TOKEN_INFO, read now."""
        info = TokenInfo()
        self.check("C_GetTokenInfo", ULONG(slot), c.byref(info))
        return info

    def mechanisms(self, slot: int) -> frozenset[int]:
        """The mechanisms a token has; empty where it does not tell."""
        count = ULONG()
        if self.call("C_GetMechanismList", ULONG(slot), None, c.byref(count)) != CKR_OK or not count.value:
            return frozenset()
        room = (ULONG * count.value)()
        if self.call("C_GetMechanismList", ULONG(slot), room, c.byref(count)) != CKR_OK:
            return frozenset()
        return frozenset(room[: count.value])

    def open_session(self, slot: int) -> int:
        """A read-only session's handle."""
        handle = ULONG()
        self.check("C_OpenSession", ULONG(slot), ULONG(CKF_SERIAL_SESSION), None, None, c.byref(handle))
        return handle.value

    def close_session(self, session: int) -> None:
        """C_CloseSession; its answer changes nothing."""
        self.call("C_CloseSession", ULONG(session))

    def login(self, session: int, pin: bytes | None, user: int = CKU_USER) -> None:
        """C_Login on an open session; None is the token's own PIN pad."""
        if pin is None:
            self.check("C_Login", ULONG(session), ULONG(user), None, ULONG(0))
        else:
            self.check("C_Login", ULONG(session), ULONG(user), pin, ULONG(len(pin)))

    def set_pin(self, session: int, old: bytes | None, new: bytes | None) -> None:
        """C_SetPIN; None for both is the token's own PIN pad."""
        self.check("C_SetPIN", ULONG(session), old, ULONG(len(old or b"")), new, ULONG(len(new or b"")))

    def logout(self, session: int) -> None:
        """C_Logout; its answer changes nothing."""
        self.call("C_Logout", ULONG(session))

    def find(self, session: int, object_class: int) -> list[int]:
        """Handles of all objects of one class. The search is always ended, also when it fails."""
        value = ULONG(object_class)
        template = (Attribute * 1)(Attribute(CKA_CLASS, c.cast(c.byref(value), c.c_void_p), c.sizeof(value)))
        self.check("C_FindObjectsInit", ULONG(session), template, ULONG(1))
        found: list[int] = []
        try:
            room, count = (ULONG * _BATCH)(), ULONG()
            while True:
                self.check("C_FindObjects", ULONG(session), room, ULONG(_BATCH), c.byref(count))
                if not count.value or len(found) > _SANE:
                    return found
                found += room[: count.value]
        finally:
            self.call("C_FindObjectsFinal", ULONG(session))

    def attributes(self, session: int, handle: int, types: Iterable[int]) -> dict[int, bytes]:
        """What can be read of an object's attributes, in one call where they fit, the others one by one.

        An entry that the driver did not fill keeps the length it was given: the rooms have sizes that no attribute has.
        """
        wanted = tuple(types)
        count = len(wanted)
        if (made := self._rooms.get(count)) is None:
            rooms = [c.create_string_buffer(_VALUE_ROOM if n == 0 else _TEXT_ROOM) for n in range(count)]
            made = self._rooms[count] = (rooms, [c.addressof(room) for room in rooms], (Attribute * count)())
        rooms, addresses, template = made
        for entry, kind, room, address in zip(template, wanted, rooms, addresses, strict=True):
            entry.type, entry.value, entry.length = kind, address, len(room)
        code = self.call("C_GetAttributeValue", ULONG(session), ULONG(handle), template, ULONG(count))
        if code not in _PARTLY:
            return dict(self._one_by_one(session, handle, wanted))
        read: dict[int, bytes] = {}
        missing: list[int] = []
        for entry, kind, room in zip(template, wanted, rooms, strict=True):
            length = entry.length
            if length < len(room):
                read[kind] = room.raw[:length] if length else b""
            elif code != CKR_ATTRIBUTE_TYPE_INVALID or length != UNAVAILABLE:
                missing.append(kind)
        if missing:
            read.update(self._one_by_one(session, handle, missing))
        return read

    def _one_by_one(self, session: int, handle: int, types: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        for kind in types:
            entry = Attribute(kind, None, 0)
            if self.call("C_GetAttributeValue", ULONG(session), ULONG(handle), c.byref(entry), ULONG(1)) != CKR_OK:
                continue
            if entry.length > _SANE:  # CK_UNAVAILABLE_INFORMATION among them
                continue
            room = c.create_string_buffer(max(entry.length, 1))
            entry.value = c.addressof(room)
            if self.call("C_GetAttributeValue", ULONG(session), ULONG(handle), c.byref(entry), ULONG(1)) == CKR_OK:
                yield kind, room.raw[: entry.length]

    def sign(
        self, session: int, key: int, mechanism: int, parameter: c.Structure | None, data: bytes, pin: bytes | None
    ) -> bytes:
        """One signature by a key that wants its own login each time (CKA_ALWAYS_AUTHENTICATE)."""
        how = Mechanism(mechanism, None, 0)
        if parameter is not None:
            how.parameter, how.length = c.addressof(parameter), c.sizeof(parameter)
        self.check("C_SignInit", ULONG(session), c.byref(how), ULONG(key))
        self.login(session, pin, CKU_CONTEXT_SPECIFIC)
        room, length = c.create_string_buffer(_VALUE_ROOM), ULONG(_VALUE_ROOM)
        self.check("C_Sign", ULONG(session), data, ULONG(len(data)), room, c.byref(length))
        return room.raw[: length.value]
