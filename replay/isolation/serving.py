"""The child's side of the conversation: one model, loaded once, asked block by block."""

import os
import resource
import time
from collections.abc import Callable

import msgspec
import pyarrow as pa

from replay.adapters.adapter import Artefact, Memory
from replay.adapters.answers import Answer
from replay.adapters.guard import CallFailed, guard
from replay.adapters.opening import ModelSpec, load
from replay.adapters.uri import parse_uri
from replay.isolation import wire
from replay.isolation.audit import Tripwire
from replay.isolation.messages import Measured, Opened, Opening, Refused, Unpacker, answer_bytes
from replay.model_errors import ModelError

_KILOBYTES = 1024


class Server:
    """Answers frames. Nothing that the model does here reaches further than the reply."""

    def __init__(self, sandbox: dict[str, str], home: str, *, watched: bool) -> None:
        self._sandbox = sandbox
        self._watched = watched
        self._tripwire = Tripwire(home)
        self._call: Callable[[pa.RecordBatch], Answer] | None = None
        self._memory: Memory | None = None
        self._blocks = Unpacker()

    def reply(self, kind: int, body: bytearray) -> tuple[int, bytes]:
        """Return the kind and the bytes of the reply to one frame."""
        if kind == wire.OPEN:
            return self._open(msgspec.msgpack.decode(body, type=Opening))
        if kind in {wire.OBSERVE, wire.SNAPSHOT, wire.RESTORE}:
            state, failed = guard(self._remember, kind, body)
            return (wire.STATE, state or b"") if failed is None else (wire.RAISED, failed.reason.encode())
        return self._score(kind, self._blocks.block(body))

    def _open(self, asked: Opening) -> tuple[int, bytes]:
        # Of a program in any language nothing but our own start of it would be seen.
        if self._watched and parse_uri(asked.uri).scheme != "exec":
            self._tripwire.arm()
        if asked.token is not None:
            os.environ[parse_uri(asked.uri).options["token"]] = asked.token
        spec = ModelSpec(asked.uri, version=asked.version, inputs=asked.inputs)
        try:
            loaded = load(spec, Artefact(asked.digest, asked.content, asked.path))
        except ModelError as error:
            refusal = Refused(type(error).__name__, error.happened, error.expected, error.remedy)
            return wire.REFUSED, msgspec.msgpack.encode(refusal)
        self._call, self._memory = loaded.call, loaded.memory
        return wire.OPENED, msgspec.msgpack.encode(Opened(loaded.inputs, self._sandbox))

    def _remember(self, kind: int, body: bytearray) -> bytes | None:
        assert self._memory is not None, "the parent asks a model that has a key"
        if kind == wire.SNAPSHOT:
            return self._memory.snapshot()
        if kind == wire.OBSERVE:
            self._memory.observe(self._blocks.block(body))
        else:
            self._memory.restore(bytes(body))
        return None

    def _score(self, kind: int, block: pa.RecordBatch) -> tuple[int, bytes]:
        assert self._call is not None, "the parent opens before it asks"
        begun = time.perf_counter_ns()
        answer, failed = guard(self._call, block)
        call_us = (time.perf_counter_ns() - begun) // 1000
        payload, unsent = guard(self._packed, call_us, answer if kind == wire.SCORE else None, failed)
        if unsent is not None:  # scores that are no numbers after all
            payload = self._packed(call_us, None, unsent)
        return wire.ANSWER, payload

    def _packed(self, call_us: int, answer: Answer | None, failed: CallFailed | None) -> bytes:
        cpu_us, resident_mb = _used()
        attempts, attempted = self._tripwire.take()
        measured = Measured(
            call_us,
            cpu_us,
            resident_mb,
            attempts,
            attempted,
            failed.reason if failed else None,
            failed.whole if failed else False,
            failed.killed if failed else False,
        )
        return answer_bytes(measured, answer)


def _used() -> tuple[int, int]:
    """Return the CPU time of this process in microseconds and the most megabytes that were resident."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = usage.ru_utime + usage.ru_stime + children.ru_utime + children.ru_stime
    return int(seconds * 1e6), usage.ru_maxrss // _KILOBYTES
