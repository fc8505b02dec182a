"""The store of segments: one folder, on a disk or in any object store that fsspec knows."""

import errno
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import fsspec
import msgspec
import pyarrow as pa
from fsspec.asyn import sync
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem

from harness.segment_errors import StoreFull, StoreRefused, StoreUnknown, StoreUnreachable

PART: Final = ".part"
_EXTRAS: Final = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
_CACHE: Final = "it answers for a store out of a cache, which is not what was written there"
_UNFIT: Final = {
    "memory": "what is put there is gone when the command ends",
    "data": "nothing can be put there",
    **dict.fromkeys(("simplecache", "filecache", "blockcache", "cached"), _CACHE),
}
# What the clients of the object stores raise beside OSError. Their packages are optional: found once loaded.
_CLIENTS: Final = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp.client_exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
)
# A store that is slower than this, beyond timeout_s, is as good as silent.
_SLOWEST_BYTES_PER_S: Final = 256 * 2**10
_UNKNOWN_BYTES: Final = 64 * 2**20
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}


class Found(msgspec.Struct, frozen=True):
    """One file of the store."""

    path: str
    size: int


class Store:
    """Reads and writes whole files by their path below `address`, `/` between names. Nothing is cached.

    A file appears whole or not at all: on a disk it is written beside its place, synced and renamed; an
    object store does the same by itself.
    """

    def __init__(
        self, address: str, options: Mapping[str, Any] | None = None, *, timeout_s: float = 60.0
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self.shown = shown(address)
        for scheme in (part.partition(":")[0] for part in address.split("::") if ":" in address):
            if scheme in _UNFIT:
                raise StoreUnknown(self.shown, _UNFIT[scheme], "Name the store itself in [store].")
        try:
            self._fs, root = fsspec.core.url_to_fs(
                address, use_listings_cache=False, skip_instance_cache=True, **(options or {})
            )
        except ImportError as error:
            scheme = urlsplit(address).scheme
            extra = _EXTRAS.get(scheme)
            remedy = (
                f"pip install 'shadow-harness[{extra}]'."
                if extra
                else f"Install the fsspec package for {scheme}."
            )
            raise StoreUnknown(self.shown, "its package is not installed", remedy) from error
        except (ConnectionError, TimeoutError) as error:
            raise StoreUnreachable(self.shown, _reason(error)) from error
        except (ValueError, TypeError, AttributeError, OSError) as error:  # a client that cannot be made
            raise StoreUnknown(self.shown, str(error), "Correct [store] in harness.toml.") from error
        self._root = root.rstrip("/")
        self.local = isinstance(self._fs, LocalFileSystem)

    def put(self, path: str, source: Path) -> None:
        """Write the file `source` to `path`, over what is there.

        Raises:
            StoreFull, StoreRefused, StoreUnreachable: nothing is at `path` that was not there before.
            StoreUnknown: there is no such bucket.
        """
        with translated(self.shown, path):
            if self.local:
                self._put_local(Path(self._at(path)), source)
                return
            size = source.stat().st_size
            try:
                self._call("put_file", str(source), self._at(path), size=size)
            except FileNotFoundError as error:
                remedy = "Make the bucket, or correct [store] in harness.toml."
                raise StoreUnknown(self.shown, _reason(error), remedy) from error

    def read(self, path: str, start: int = 0, stop: int | None = None, *, size: int | None = None) -> bytes:
        """Return the bytes [start, stop) of a file: fewer where it ends before.

        `size` is what a whole file should have: it says how long to wait for it.

        Raises:
            FileNotFoundError: there is none. StoreRefused, StoreUnreachable.
        """
        patient = (size or _UNKNOWN_BYTES) if stop is None else stop - start
        with translated(self.shown, path):
            try:
                data: bytes = self._call("cat_file", self._at(path), start=start, end=stop, size=patient)
            except _failures() as error:
                if _ends_before(error):
                    return b""
                raise
            return data

    def ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of several ranges of a file, fetched side by side where the store can.

        Of a file that ends before one of them begins, none of any.

        Raises:
            FileNotFoundError: there is none. StoreRefused, StoreUnreachable.
        """
        with translated(self.shown, path):
            places, starts, stops = (
                [self._at(path)] * len(ranges),
                [a for a, _ in ranges],
                [b for _, b in ranges],
            )
            size = sum(stops) - sum(starts)
            try:
                found: list[bytes] = self._call(
                    "cat_ranges", places, starts, stops, on_error="raise", size=size
                )
            except _failures() as error:
                if _ends_before(error):
                    return [b""] * len(ranges)
                raise
            return found

    def mapped(self, path: str) -> pa.MemoryMappedFile | None:
        """Return the file as memory of Arrow's when it is on a disk of this machine and not empty, else None.

        Raises:
            FileNotFoundError: there is none.
        """
        if not self.local:
            return None
        with translated(self.shown, path), Path(self._at(path)).open("rb") as opened:
            if not os.fstat(opened.fileno()).st_size:
                return None
            return pa.memory_map(self._at(path))

    def files(self, prefix: str = "") -> list[Found]:
        """Return all files below `prefix`, in order of path, unfinished ones too."""
        with translated(self.shown, prefix):
            place = f"{self._root}/{prefix}".rstrip("/")
            if not self._call("exists", place):
                return []
            found: dict[str, Any] = self._call("find", place, detail=True)
        skip = len(self._root) + 1
        return sorted(
            (Found(name[skip:], int(entry["size"] or 0)) for name, entry in found.items()),
            key=lambda one: one.path,
        )

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with translated(self.shown, path):
            try:
                self._call("rm_file", self._at(path))
            except FileNotFoundError:
                return

    def url(self, path: str) -> str:
        """Return where another program finds a file."""
        return self._at(path) if self.local else str(self._fs.unstrip_protocol(self._at(path)))

    def _call(self, name: str, *given: Any, size: int = 0, **named: Any) -> Any:
        """Return what the file system answers. One over a network that stays silent is not waited for.

        What it was asked may still happen, later: no name in the store is used for two contents.
        """
        if not self._fs.async_impl:
            return getattr(self._fs, name)(*given, **named)
        patience = self._timeout_s + size / _SLOWEST_BYTES_PER_S
        try:
            return sync(self._fs.loop, getattr(self._fs, f"_{name}"), *given, timeout=patience, **named)
        except FSTimeoutError as error:
            waited = round(patience, 1 if patience >= 1 else 3)
            raise StoreUnreachable(self.shown, f"no answer to {name} in {waited:g} s") from error

    def _at(self, path: str) -> str:
        assert path, "a file has a name"
        assert not path.startswith("/"), path
        return f"{self._root}/{path}"

    def _put_local(self, target: Path, source: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f"{target.name}.{uuid.uuid4().hex}{PART}")
        try:
            with source.open("rb") as given, beside.open("xb") as taken:
                while chunk := given.read(2**20):
                    taken.write(chunk)
                taken.flush()
                os.fsync(taken.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def translated(place: str, path: str) -> Iterator[None]:
    """Turn what a disk or an object store's client raises into our errors; a missing file stays one."""
    try:
        yield
    except FileNotFoundError:
        raise
    except IsADirectoryError as error:
        raise FileNotFoundError(error.errno, "no file is there", path) from error
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(place, path) from error
        if error.errno in _REFUSED:
            raise StoreRefused(place, _reason(error)) from error
        raise StoreUnreachable(place, _reason(error)) from error
    except _client_errors() as error:
        raise StoreUnreachable(place, _reason(error)) from error


def _client_errors() -> tuple[type[Exception], ...]:
    modules = ((sys.modules.get(module), name) for module, name in _CLIENTS)
    return tuple(
        getattr(module, name) for module, name in modules if module is not None and hasattr(module, name)
    )


def _failures() -> tuple[type[Exception], ...]:
    return (OSError, *_client_errors())


def _ends_before(error: BaseException | None) -> bool:
    """Return whether a store says that a file ends before the range that was asked for begins.

    A file on a disk gives no bytes then; an object store that answered with an error was said to be silent,
    and a file that was cut short to be no fault of its bytes.
    """
    while error is not None:
        told = getattr(error, "response", None)  # botocore's has a mapping, Azure's an object
        answer = told.get("ResponseMetadata", {}) if isinstance(told, Mapping) else {}
        codes = [answer.get("HTTPStatusCode")]
        codes += [getattr(error, name, None) for name in ("status_code", "code")]
        if HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE in codes:
            return True
        error = error.__cause__
    return False


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (str(text).strip().partition("\n")[0] or type(error).__name__).rstrip(".")


def shown(address: str) -> str:
    """Return an address without what may be secret in it.

    >>> shown("s3://key:secret@bucket/prefix?token=x")
    's3://bucket/prefix'
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    place = rest.partition("?")[0]
    login, at, host = place.rpartition("@")
    # A container of Azure stands before an @ of its own; a login has a colon.
    return f"{scheme}://{host if ':' in login else login + at + host}"
