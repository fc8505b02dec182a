"""Intake: what stands behind the doors. Its word is that frames are on disk."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from recorders.errors import HarnessError
from recorders.frame import Frame
from recorders.link import Link

_WINDOW: Final = 32


class Intake(Protocol):
    """Takes frames for good, as the sidecar's spool does."""

    async def submit(self, frames: Sequence[Frame]) -> None:
        """Return once all frames survive the death of the process. They are in order of their sequence.

        Raises:
            LinkUnavailable: nothing can be kept now; some of the frames may have been.
            AppendError: a frame cannot be used.
        """
        ...


class LinkIntake:
    """Hands frames to a link in a thread of its own: a `SocketLink` to the sidecar, or any other.

    A link that failed is closed and opened anew: the desk never sends a frame of its writer again.
    """

    def __init__(self, open_link: Callable[[], Link]) -> None:
        self._open_link = open_link
        self._link: Link | None = None
        self._thread = ThreadPoolExecutor(1, "intake")

    async def submit(self, frames: Sequence[Frame]) -> None:
        """Return once the link has answered for all frames."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._send, frames)

    def close(self) -> None:
        """Close the link after what is under way."""
        self._thread.submit(self._drop).result()
        self._thread.shutdown()

    def _send(self, frames: Sequence[Frame]) -> None:
        link = self._link = self._link or self._open_link()
        send_many = getattr(link, "send_many", None)
        try:
            for start in range(0, len(frames), _WINDOW):
                some = frames[start : start + _WINDOW]
                if send_many is not None:
                    send_many(some)
                else:
                    for frame in some:
                        link.send(frame)
        except HarnessError:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
