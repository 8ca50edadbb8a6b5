"""The words of PKCS#11 2.40 (OASIS) that the worker uses: constants, structures, the places of functions, names of answers."""

from __future__ import annotations

import ctypes as c
import sys

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
PLACES = {
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
COUNT = 68
FUNCTION = c.CFUNCTYPE(ULONG, use_errno=False)


class FunctionList(c.Structure):
    if WINDOWS:
        _pack_ = 1
    _fields_ = [("version", Version), ("functions", c.c_void_p * COUNT)]
