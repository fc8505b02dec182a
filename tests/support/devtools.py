"""A headless Chromium driven over the DevTools pipe: the standard library alone, nothing installed."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
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
    "--disable-default-apps",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
REPLY_S = 60.0


def find_chromium() -> str | None:
    """The browser's path, None when it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page of one browser; everything that it asked for or complained about is kept."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._buffer, self._last = read, write, b"", 0
        self.session: str | None = None
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.loaded = False

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        wanted = self._last
        message = {"id": wanted, "method": method, "params": params}
        if self.session is not None and not method.startswith("Target."):
            message["sessionId"] = self.session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == wanted:
                assert "error" not in found, f"{method}: {found['error']}"
                return found["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select([self._read], [], [], REPLY_S)
            assert ready, f"Chromium was silent for {REPLY_S:.0f} s"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "Chromium closed its pipe"
            self._buffer += chunk
        first, self._buffer = self._buffer.split(b"\0", 1)
        found = json.loads(first)
        self._note(found.get("method", ""), found.get("params", {}))
        return found

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.messages.append(params["entry"]["text"])
        elif method in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Security.certificateError"}:
            self.messages.append(json.dumps(params)[:300])
        elif method == "Page.loadEventFired":
            self.loaded = True

    def open(self, path: Path, *, width: int, dark: bool, height: int = 900, media: str = "screen") -> None:
        """Load a file at a width and in a colour scheme, and wait until it is shown."""
        self.requests.clear()
        self.messages.clear()
        self.loaded = False
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 760,
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.call("Page.navigate", url=path.as_uri())
        while not self.loaded:
            self._next()

    def evaluate(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        """The page as printed."""
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(printed["data"])


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Start a browser with an empty profile of its own and end it with everything it wrote."""
    to_read, to_write = os.pipe(), os.pipe()  # the browser reads fd 3 and writes fd 4

    def place() -> None:
        # Lift both ends above 4 first: one of them may already be number 3 or 4.
        reading, writing = os.dup2(to_read[0], 60), os.dup2(to_write[1], 61)
        os.dup2(reading, 3)
        os.dup2(writing, 4)

    with tempfile.TemporaryDirectory(prefix="report-chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [executable, *FLAGS, f"--user-data-dir={profile}"],
            preexec_fn=place,  # noqa: PLW1509 -- the test starts no thread before it
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
        )
        os.close(to_read[0])
        os.close(to_write[1])
        browser = Browser(to_write[0], to_read[1])
        try:
            target = browser.call("Target.createTarget", url="about:blank")
            attached = browser.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            browser.session = attached["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime"):
                browser.call(f"{domain}.enable")
            yield browser
        finally:
            os.close(to_read[1])
            os.close(to_write[0])
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
