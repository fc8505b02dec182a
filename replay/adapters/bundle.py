"""Several files as one artefact: the same bytes for the same files, and safe to unpack."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec

from replay.model_errors import UntrustedModel

# How the name of an artefact ends that is a bundle.
BUNDLE = ".bundle"
BUNDLE_BYTES_MAX = 2 * 2**30
FILES_MAX = 10_000


def pack(uri: str, files: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a bundle: names and contents in the order of names.

    Raises:
        UntrustedModel: more than 10,000 files or 2 GB.
    """
    if len(files) > FILES_MAX or sum(map(len, files.values())) > BUNDLE_BYTES_MAX:
        raise UntrustedModel(uri, [f"{len(files)} files of {sum(map(len, files.values()))} bytes"])
    return msgspec.msgpack.encode(sorted(files.items()))


def unpack(uri: str, content: bytes) -> dict[str, bytes]:
    """Return the files of a bundle by name.

    Raises:
        UntrustedModel: it is none, or a name leads out of it.
    """
    try:
        files = dict(msgspec.msgpack.decode(content, type=list[tuple[str, bytes]]))
    except msgspec.DecodeError as error:
        raise UntrustedModel(uri, [f"not a bundle of files ({error})"]) from error
    leading_out = [name for name in files if not _stays(name)]
    if leading_out:
        raise UntrustedModel(uri, [f"the file name {name!r}" for name in leading_out[:5]])
    return files


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files below `folder`, executable by their owner alone."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o700)


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return the files below `folder` by their relative names; links that lead out of it are left out."""
    root = folder.resolve()
    found = sorted(path for path in root.rglob("*") if path.is_file() and path.resolve().is_relative_to(root))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def _stays(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\x00" not in name
