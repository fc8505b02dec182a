"""A model that stays open while a worker scores one part of a run after the other (docs/adr/0085).

Opened for each part it would be loaded, and its joined calls verified anew, as often as there are parts.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from harness.remembered import RememberedModel
from replay.model import Model

_LOOKED_AFTER_S = 1.0


class _Kept:
    """A model that is open for the parts in one folder; nobody closes it while it is `in_use`."""

    def __init__(self, folder: Path, opened: AbstractContextManager[Model]) -> None:
        self.folder, self.in_use = folder, threading.Lock()
        self._stack, self._closed = ExitStack(), threading.Event()
        self.model = self._stack.enter_context(opened)
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """End the model. Safe to call twice."""
        with self.in_use:
            self._closed.set()
            self._stack.close()

    def _watch(self) -> None:
        """Let it go when the folder is gone: the run is over, and the worker may stay for others."""
        while not self._closed.wait(_LOOKED_AFTER_S):
            if not self.folder.exists():
                let_go(self.folder)


# One for each thread of a process: several may score at once, and who is forked has nothing of its parent.
_KEPT: dict[tuple[int, int], _Kept] = {}


@contextmanager
def kept_open(folder: Path, opened: AbstractContextManager[Model]) -> Iterator[Model]:
    """Yield the model that this thread has open for the run whose parts lie in `folder`; else open it.

    It stays open until the folder is gone, or `let_go`. One that remembers does not: for each part it goes on
    from what the log has.
    """
    mine = (os.getpid(), threading.get_ident())
    kept = _KEPT.get(mine)
    if kept is None or kept.folder != folder:
        if kept is not None:
            kept.close()
        kept = _KEPT[mine] = _Kept(folder, opened)
    lasts = False
    try:
        with kept.in_use:
            yield kept.model
        lasts = not isinstance(kept.model, RememberedModel)
    finally:
        if not lasts:
            let_go(folder)


def let_go(folder: Path) -> None:
    """Close what this process has open for the parts in a folder."""
    for place, kept in list(_KEPT.items()):
        if place[0] == os.getpid() and kept.folder == folder:
            _KEPT.pop(place, None)
            kept.close()


@contextmanager
def let_go_after(folder: Path) -> Iterator[None]:
    """Close what this process has open for the parts in a folder when they are done."""
    try:
        yield
    finally:
        let_go(folder)
