"""PKCS#11 by ctypes, for what python-pkcs11 does not give: locking at C_Initialize, CK_TOKEN_INFO whole, a login on an open
session, a signature by a key's handle, and the look at a token without a PIN, whose speed decides `status`. Imported only by the
worker.

Nothing here knows a vendor. Calls release the GIL.
"""

from __future__ import annotations

import ctypes as c

from safetok.tokens import standard as std
from safetok.tokens.standard import ULONG, Attribute, FunctionList, Mechanism, TokenInfo

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any


class CryptokiError(Exception):
    """A call answered something else than CKR_OK; `name` is the standard's, without `CKR_`."""

    def __init__(self, function: str, code: int) -> None:
        self.name = std.NAMES.get(code, f"0x{code:x}")
        self.code = code
        super().__init__(f"{function}: {self.name}")


_VALUE_ROOM, _TEXT_ROOM = 4099, 1031
_BATCH = 64
_PARTLY = (
    std.CKR_OK,
    std.CKR_ATTRIBUTE_SENSITIVE,
    std.CKR_ATTRIBUTE_TYPE_INVALID,
    std.CKR_BUFFER_TOO_SMALL,
)  # the rest is filled in
_SANE = 1 << 20  # a longer attribute is nonsense


class Module:
    """One driver, loaded and initialised. `locking` says how: `os` (CKF_OS_LOCKING_OK) or `none` (NULL arguments)."""

    def __init__(self, path: str) -> None:
        self._library = c.CDLL(path)
        get_list = self._library.C_GetFunctionList
        get_list.restype = ULONG
        pointer = c.POINTER(FunctionList)()
        code = get_list(c.byref(pointer))
        if code != std.CKR_OK or not pointer:
            raise CryptokiError("C_GetFunctionList", code)
        self._begin(pointer.contents)

    def _begin(self, functions: FunctionList) -> None:
        self._list = functions
        self._functions: dict[str, Any] = {}
        self.locking = "os"
        self._rooms: dict[tuple[int, ...], _Rooms] = {}
        self._found = (ULONG * _BATCH)(), ULONG()
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
        other._begin(FunctionList.from_address(address))
        return other

    def call(self, name: str, *arguments: Any) -> int:
        """The CK_RV of one function. Numbers must come as ULONG: ctypes passes a bare int as a C int."""
        function = self._functions.get(name)
        if function is None:
            address = self._list.functions[std.PLACES[name]]
            if not address:
                return 0x54  # CKR_FUNCTION_NOT_SUPPORTED
            function = self._functions[name] = std.FUNCTION(address)
        return int(function(*arguments))

    def check(self, name: str, *arguments: Any) -> None:
        """One function that must answer CKR_OK."""
        code = self.call(name, *arguments)
        if code != std.CKR_OK:
            raise CryptokiError(name, code)

    def initialize(self) -> None:
        """C_Initialize with the operating system's locks; with NULL where the driver cannot."""
        arguments = std.InitializeArguments(flags=std.CKF_OS_LOCKING_OK)
        code = self.call("C_Initialize", c.byref(arguments))
        if code in {std.CKR_CANT_LOCK, std.CKR_NEED_TO_CREATE_THREADS, std.CKR_ARGUMENTS_BAD}:
            self.locking = "none"
            code = self.call("C_Initialize", None)
        if code not in {std.CKR_OK, std.CKR_ALREADY_INITIALIZED}:
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
            if code == std.CKR_OK:
                return list(room[: count.value])
            if code != std.CKR_BUFFER_TOO_SMALL:
                raise CryptokiError("C_GetSlotList", code)
        raise CryptokiError("C_GetSlotList", std.CKR_BUFFER_TOO_SMALL)

    def watches_hardware(self) -> bool:
        """Whether any slot, with a token or not, is a device's: such a driver sees a new token by itself."""
        count = ULONG()
        if self.call("C_GetSlotList", c.c_ubyte(0), None, c.byref(count)) != std.CKR_OK or not count.value:
            return False
        room = (ULONG * count.value)()
        if self.call("C_GetSlotList", c.c_ubyte(0), room, c.byref(count)) != std.CKR_OK:
            return False
        info = std.SlotInfo()
        return any(
            self.call("C_GetSlotInfo", ULONG(slot), c.byref(info)) == std.CKR_OK
            and info.flags & (std.CKF_REMOVABLE_DEVICE | std.CKF_HW_SLOT)
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
        if self.call("C_GetMechanismList", ULONG(slot), None, c.byref(count)) != std.CKR_OK or not count.value:
            return frozenset()
        room = (ULONG * count.value)()
        if self.call("C_GetMechanismList", ULONG(slot), room, c.byref(count)) != std.CKR_OK:
            return frozenset()
        return frozenset(room[: count.value])

    def open_session(self, slot: int) -> int:
        """A read-only session's handle."""
        handle = ULONG()
        self.check("C_OpenSession", ULONG(slot), ULONG(std.CKF_SERIAL_SESSION), None, None, c.byref(handle))
        return handle.value

    def close_session(self, session: int) -> None:
        """C_CloseSession; its answer changes nothing."""
        self.call("C_CloseSession", ULONG(session))

    def login(self, session: int, pin: bytes | None, user: int = std.CKU_USER) -> None:
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
        value, (room, count) = ULONG(object_class), self._found
        template = Attribute(std.CKA_CLASS, c.addressof(value), c.sizeof(value))
        self.check("C_FindObjectsInit", ULONG(session), c.byref(template), ULONG(1))
        found: list[int] = []
        try:
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
        if (rooms := self._rooms.get(wanted)) is None:
            rooms = self._rooms[wanted] = _Rooms(wanted)
        rooms.empty()
        code = self.call("C_GetAttributeValue", ULONG(session), ULONG(handle), rooms.template, ULONG(len(wanted)))
        if code not in _PARTLY:
            return dict(self._one_by_one(session, handle, wanted))
        read: dict[int, bytes] = {}
        missing: list[int] = []
        for entry, kind, size, address in rooms.places:
            length = entry.length
            if length < size:
                read[kind] = c.string_at(address, length)
            elif code != std.CKR_ATTRIBUTE_TYPE_INVALID or length != std.UNAVAILABLE:
                missing.append(kind)
        if missing:
            read.update(self._one_by_one(session, handle, missing))
        return read

    def _one_by_one(self, session: int, handle: int, types: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        for kind in types:
            entry = Attribute(kind, None, 0)
            if self.call("C_GetAttributeValue", ULONG(session), ULONG(handle), c.byref(entry), ULONG(1)) != std.CKR_OK:
                continue
            if entry.length > _SANE:  # CK_UNAVAILABLE_INFORMATION among them
                continue
            room = c.create_string_buffer(max(entry.length, 1))
            entry.value = c.addressof(room)
            if self.call("C_GetAttributeValue", ULONG(session), ULONG(handle), c.byref(entry), ULONG(1)) == std.CKR_OK:
                yield kind, room.raw[: entry.length]

    def sign(
        self,
        session: int,
        key: int,
        mechanism: int,
        parameter: c.Structure | None,
        data: bytes,
        login: Callable[[], None] | None = None,
    ) -> bytes:
        """One signature; `login`: what goes before it with a key that wants a login each time (CKA_ALWAYS_AUTHENTICATE)."""
        how = Mechanism(mechanism, None, 0)
        if parameter is not None:
            how.parameter, how.length = c.addressof(parameter), c.sizeof(parameter)
        self.check("C_SignInit", ULONG(session), c.byref(how), ULONG(key))
        if login is not None:
            login()
        room, length = c.create_string_buffer(_VALUE_ROOM), ULONG(_VALUE_ROOM)
        self.check("C_Sign", ULONG(session), data, ULONG(len(data)), room, c.byref(length))
        return room.raw[: length.value]


class _Rooms:
    """Where a driver writes these attributes of one object after the other: a template and its entries' places."""

    def __init__(self, types: tuple[int, ...]) -> None:
        self._kept = [c.create_string_buffer(_TEXT_ROOM if n else _VALUE_ROOM) for n in range(len(types))]
        sized = zip(types, self._kept, strict=True)
        self.template = (Attribute * len(types))(
            *[Attribute(kind, c.addressof(room), len(room)) for kind, room in sized]
        )
        self._blank = bytes(self.template)
        self.places = [(entry, entry.type, entry.length, entry.value) for entry in self.template]

    def empty(self) -> None:
        """As before the first object, whatever a driver has written into the entries."""
        c.memmove(self.template, self._blank, len(self._blank))
