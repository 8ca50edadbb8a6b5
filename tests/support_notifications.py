"""A desktop for tests: a session bus of its own, and on it somebody who takes notifications."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jeepney import MessageType, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection


@contextmanager
def desktop(folder: Path) -> Iterator[tuple[str, queue.Queue[tuple[str, str, str]]]]:
    """The bus's address, and what was shown: program, title, body."""
    bus = subprocess.Popen(
        ["dbus-daemon", "--session", f"--address=unix:path={folder / 'bus'}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert bus.stdout is not None
    address = bus.stdout.readline().strip()
    shown: queue.Queue[tuple[str, str, str]] = queue.Queue()
    connection = open_dbus_connection(bus=address)
    connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.Notifications"), timeout=10)

    def serve() -> None:
        try:
            while True:
                message = connection.receive()
                if message.header.message_type is MessageType.method_call:
                    program, _id, _icon, title, body, *_rest = message.body
                    shown.put((program, title, body))
                    connection.send(new_method_return(message, "u", (1,)))
        except (OSError, EOFError):
            return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield address, shown
    finally:
        bus.terminate()
        bus.wait(10)
        bus.stdout.close()
        connection.close()
