"""Drives headless Chromium over a pipe by the DevTools protocol: opens a file, clicks, reads, prints, hears every request."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


class Browser:
    """One Chromium with one page. Every answer is waited for at most `patience` seconds."""

    def __init__(self, profile: Path, *, patience: float = 60.0) -> None:
        assert shutil.which("chromium"), "chromium is not installed: sh .ci/install dev"
        self.patience = patience
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.blocked: dict[str, str] = {}  # what the page's own policy stopped before it left, and why
        self._by_number: dict[str, str] = {}
        self._number, self._unread = 0, b""
        here_reads, it_writes = os.pipe()
        it_reads, here_writes = os.pipe()
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        script = f'exec "$@" 3<&{it_reads} 4>&{it_writes}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "browser", *command],
            pass_fds=(it_reads, it_writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile), "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        os.close(it_reads)
        os.close(it_writes)
        self._in, self._out = here_reads, here_writes
        target = self.ask("Target.createTarget", session=None, url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", session=None, targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """End the browser and wait until it is gone."""
        self.ask("Browser.close", session=None)
        self.process.wait(self.patience)
        os.close(self._in)
        os.close(self._out)

    def ask(self, method: str, *, session: str | None = "page", **params: Any) -> dict[str, Any]:
        """One command and its result."""
        self._number += 1
        wanted = self._number
        message: dict[str, Any] = {"id": wanted, "method": method, "params": params}
        if session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda heard: heard.get("id") == wanted)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, path: Path) -> None:
        """Load a file, and forget what was heard of the page before."""
        self.requests, self.complaints, self.blocked = [], [], {}
        self.ask("Page.navigate", url=path.as_uri())
        self._until(lambda heard: heard.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        said = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def click(self, selector: str) -> None:
        """A real click in the middle of the first element that fits."""
        place = self.run(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)}); "
            "found.scrollIntoView({block: 'center'}); const box = found.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", buttons=1, clickCount=1
            )

    def wait(self, condition: str) -> Any:
        """Ask again and again until an expression is true."""
        end = time.monotonic() + self.patience
        while not (found := self.run(condition)):
            assert time.monotonic() < end, condition
        return found

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Give the page's window a size in CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def picture(self) -> bytes:
        """The whole page as PNG."""
        said = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(said["data"])

    def paper(self) -> bytes:
        """What the printer would get, on A4, as PDF."""
        said = self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        return base64.b64decode(said["data"])

    def _until(self, wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + self.patience
        while True:
            while b"\0" in self._unread:
                raw, self._unread = self._unread.split(b"\0", 1)
                heard: dict[str, Any] = json.loads(raw)
                self._note(heard)
                if wanted(heard):
                    return heard
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "Chromium does not answer"
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium ended"
            self._unread += part

    def _note(self, heard: dict[str, Any]) -> None:
        method, params = heard.get("method"), heard.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
            self._by_number[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason"):
            self.blocked[self._by_number.get(params["requestId"], "")] = params["blockedReason"]
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {params['message']}")
