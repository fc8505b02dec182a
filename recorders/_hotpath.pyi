from collections.abc import Callable
from typing import Any, Self

FORM: int

def cut(
    payload: bytes, marks: bytes, bound: bytes, /
) -> tuple[list[str | None], list[bytes], list[bytes], list[bytes], list[bytes]] | None: ...
def read_request(
    literals: tuple[bytes, ...],
    names: tuple[str | bytes | int | None, ...],
    data: bytes,
    start: int,
    most: int,
    plan: tuple[Any, ...] | None,
    received_at: float,
    /,
) -> tuple[int, bytes, dict[str, Any], int, Any] | None: ...
def find_values(
    picks: tuple[tuple[tuple[tuple[str | int, ...], ...], Any], ...], document: object, absent: object, /
) -> list[Any] | None: ...
def fill(
    entries: tuple[tuple[Any, str | int, type | None, Callable[[Any], Any], bool], ...],
    envelope: tuple[Any, ...],
    document: object,
    absent: object,
    /,
) -> tuple[dict[str, Any], tuple[Any, ...]] | None: ...
def transpose(
    payload: bytes, events: int, kinds: bytes, /
) -> list[tuple[int, bytes | None, Any, bytes | None, bool]] | None: ...

class HotPath:
    def __new__(
        cls, names: tuple[str, ...], kinds: bytes, envelope: bytes, limits: tuple[int, int, int, int], /
    ) -> Self: ...
    def encode(self, features: object, envelope: tuple[object, ...], /) -> bytes | None: ...
    def number(self) -> int: ...
    def open(self, door: tuple[Any, ...] | None, /) -> None: ...

class Fast:
    def __new__(
        cls, record: Callable[..., Any], words: tuple[str, ...], hot_path: type[HotPath], /
    ) -> Self: ...
    def __call__(self, *args: object, **keywords: object) -> Any: ...
