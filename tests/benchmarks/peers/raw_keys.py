"""The physical limit: N RSA-2048 keys made by the libcrypto that SoftHSM itself uses, one after another."""

from __future__ import annotations

import ctypes
import subprocess
import sys


def libcrypto(module: str) -> str:
    """The libcrypto that `module` is linked with."""
    shown = subprocess.run(["ldd", module], check=True, capture_output=True, text=True).stdout
    return next(line.split()[2] for line in shown.splitlines() if "libcrypto" in line)


if __name__ == "__main__":
    library = ctypes.CDLL(libcrypto(sys.argv[2]))
    library.EVP_PKEY_Q_keygen.restype = ctypes.c_void_p
    library.EVP_PKEY_free.argtypes = [ctypes.c_void_p]
    for _number in range(int(sys.argv[1])):
        key = library.EVP_PKEY_Q_keygen(None, None, b"RSA", ctypes.c_size_t(2048))
        assert key
        library.EVP_PKEY_free(key)
