"""The demo's folder: made by the demo, replaced by the demo, and never anything else."""

import shutil
from importlib.resources import files
from pathlib import Path

from harness.config import FILE, VARIABLE, Config, shown_url
from harness.database import HOME, revision
from harness.demo.errors import DemoDatabaseTaken, DemoFolderBusy, DemoFolderTaken
from harness.embedded import Embedded

MARK = ".demo"
EDITABLE = ("feature_set.toml", "experiment.toml", "experiment_autumn.toml", FILE)
_MARK_TEXT = "Made by `harness demo`, which may remove this folder with all that is in it.\n"


def prepare(folder: Path) -> Path:
    """Return the empty demo folder, absolute, with the files that a user edits; an earlier demo is removed.

    Raises:
        DemoFolderTaken: it holds something that the demo did not make.
        DemoFolderBusy: another command uses the log in it.
        DemoDatabaseTaken: the configured database holds a log already.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / MARK).is_file():
            raise DemoFolderTaken(folder)
        _stop_server(folder)
        shutil.rmtree(folder)
    url = Config.load(folder).url
    if url is not None and revision(url) is not None:
        raise DemoDatabaseTaken(shown_url(url), VARIABLE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(_MARK_TEXT, encoding="utf-8")
    for name in EDITABLE:
        (folder / name).write_text(packaged(name), encoding="utf-8")
    return folder


def packaged(name: str) -> str:
    """Return the text of one of the demo's files, as it ships."""
    return files("harness.demo").joinpath(name).read_text(encoding="utf-8")


def _stop_server(folder: Path) -> None:
    """Stop a server that a killed demo left running; one that somebody uses stays, and so does the folder."""
    running = folder / HOME / "postgres" / "postmaster.pid"
    if running.exists():
        Embedded(folder / HOME).close()
        if running.exists():
            raise DemoFolderBusy(folder)
