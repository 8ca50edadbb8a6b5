"""Stands in for the desktop's window that asks for a locked keyring's password: `python support_prompter.py silent|no|PASSWORD`.

It speaks the interface between gnome-keyring and GNOME's prompter (org.gnome.keyring.internal.Prompter) and its secret exchange
`sx-aes-1`: Diffie-Hellman in the 1536-bit group of RFC 3526, HKDF with SHA-256, AES-128 in CBC.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jeepney import DBusAddress, MessageType, new_method_call, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

NAME = "org.gnome.keyring.SystemPrompter"
OWNER, DO_NOT_QUEUE = 1, 4  # of RequestName, in the D-Bus specification
CALLBACK = "org.gnome.keyring.internal.Prompter.Callback"
# RFC 3526 section 2
PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D"
    "670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF",
    16,
)
SIZE = 192


class Exchange:
    """Our half of a secret exchange."""

    def __init__(self) -> None:
        self._secret = secrets.randbits(1024)
        self._public = pow(2, self._secret, PRIME).to_bytes(SIZE, "big")

    def begin(self) -> str:
        return f"[sx-aes-1]\npublic={base64.b64encode(self._public).decode()}\n"

    def sealed(self, theirs: str, text: str) -> str:
        """`text` for the peer whose words these are."""
        found = re.search(r"^public=(\S+)$", theirs, re.MULTILINE)
        assert found is not None, theirs
        shared = pow(int.from_bytes(base64.b64decode(found[1]), "big"), self._secret, PRIME).to_bytes(SIZE, "big")
        key = HKDF(hashes.SHA256(), 16, salt=None, info=b"").derive(shared)
        initial, padder = os.urandom(16), padding.PKCS7(128).padder()
        encryptor = Cipher(algorithms.AES(key), modes.CBC(initial)).encryptor()
        sealed = encryptor.update(padder.update(text.encode()) + padder.finalize()) + encryptor.finalize()
        encoded = (base64.b64encode(part).decode() for part in (sealed, initial))
        return self.begin() + "secret={}\niv={}\n".format(*encoded)


def main() -> None:
    """Answer whoever asks, until killed. Prints a line once it is there."""
    manner = sys.argv[1]
    connection = open_dbus_connection(bus="SESSION")
    while connection.send_and_get_reply(message_bus.RequestName(NAME, flags=DO_NOT_QUEUE)).body[0] != OWNER:
        time.sleep(0.01)  # the bus has not yet noticed that the one before is gone, and would ask that one
    print("here", flush=True)  # noqa: T201
    exchange = Exchange()
    while True:
        asked = connection.receive()
        if asked.header.message_type is not MessageType.method_call:
            continue
        fields: dict[Any, Any] = {key.name: value for key, value in asked.header.fields.items()}
        connection.send(new_method_return(asked))
        if manner == "silent":
            continue
        caller = DBusAddress(asked.body[0], bus_name=fields["sender"], interface=CALLBACK)
        said: tuple[str, dict[str, Any], str] = ("", {}, exchange.begin())
        if fields["member"] == "PerformPrompt":
            theirs = asked.body[3]
            said = ("no", {}, theirs) if manner == "no" else ("yes", {}, exchange.sealed(theirs, manner))
        if fields["member"] == "StopPrompting":
            connection.send(new_method_call(caller, "PromptDone"))
        else:
            connection.send(new_method_call(caller, "PromptReady", "sa{sv}s", said))


if __name__ == "__main__":
    main()
