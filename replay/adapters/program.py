"""`exec:./score --flag`: a program of any language that scores blocks it reads and answers on its pipes.

It says one JSON line first: `{}` or `{"inputs": [...]}`. With format=jsonl (the default) each block is a line
`{"rows": [1024, 1025, ...], "columns": {name: [...]}}` and each answer a line
`{"rows": [1024, 1025, ...], "scores": [...]}`, with `decisions` or `error` where it has them. With
format=arrow block and answer are Arrow streams, each after its length in four bytes, least first; the columns
are `row` and the features, or `row`, `score` and `decision`.

No row's number is given twice to a running program, so an answer to an earlier block is told by its rows.
After one, or after what cannot be read, nobody knows which answer is next: the program is ended, and started
anew.
"""

import json
import os
import shlex
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from replay.adapters.adapter import Artefact, Loaded, named_inputs
from replay.adapters.answers import Answer, Output, read_answer
from replay.adapters.bundle import BUNDLE, pack, unpack, write_files
from replay.adapters.guard import CallFailed, guard, plain
from replay.adapters.json_values import json_values
from replay.adapters.python import column_of
from replay.adapters.reasons import BAD_ANSWER
from replay.adapters.uri import ModelUri
from replay.loading_errors import ModelNotLoaded
from replay.model_errors import ModelNotFound, NotAModel, UnknownModelUri

# 1 numbered the rows of each block from 0 (docs/adr/0101).
VERSION = 2
_LENGTH = struct.Struct("<I")
_ANSWER_BYTES_MAX = 64 * 2**20


def read(uri: ModelUri, folder: Path | None) -> tuple[str, bytes]:
    """Return the files that the command names, as one bundle; what they load themselves is not covered.

    Raises:
        ModelNotFound: the command is neither a file here nor a program of this system.
    """
    home = Path(folder or ".").resolve()
    words = _words(uri)
    files: dict[str, bytes] = {}
    for word in words:
        path = (home / word).resolve()
        if path.is_file() and path.is_relative_to(home):
            files[path.relative_to(home).as_posix()] = path.read_bytes()
    if not files and shutil.which(words[0]) is None:
        raise ModelNotFound(uri.text, f"no file {words[0]!r} in {home}, and no such program")
    return f"program{BUNDLE}", pack(uri.text, files)


def _words(uri: ModelUri) -> list[str]:
    try:
        return shlex.split(uri.target)
    except ValueError as error:
        raise UnknownModelUri(uri.text, f"the command cannot be read ({error})", "a command line") from error


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the running program as a model. It lives in this process's sandbox, and dies with it."""
    place = Path(tempfile.mkdtemp(prefix="program-"))
    files = unpack(uri.text, held.content)
    write_files(files, place)
    words = _words(uri)
    first = Path(words[0]).as_posix()
    command = [str(place / first) if first in files else words[0], *words[1:]]
    try:
        running = subprocess.Popen(  # noqa: S603  to run it is what was asked for; the sandbox holds it
            command, cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
        )
    except OSError as error:
        raise ModelNotLoaded(uri.text, f"it does not start: {error}") from error
    program = _Program(running)
    try:
        own = json.loads(program.line()).get("inputs")
    except (ValueError, AttributeError) as error:
        raise NotAModel(
            uri.text, f"program whose first line says {plain(str(error))!r}", ("JSON",)
        ) from error
    output = Output.of(uri.options, column_of(uri))
    ask = program.arrow if uri.options.get("format") == "arrow" else program.lines

    def call(block: pa.RecordBatch) -> Answer:
        asked = program.numbered(block.num_rows)
        rows, found = ask(block, asked)
        if rows != list(asked):
            _check_step(rows, asked)
            raise ValueError("answer in another order than its rows")
        return read_answer(found, output, block.num_rows)

    return Loaded(named_inputs(uri, own), call)


class _Program:
    def __init__(self, running: "subprocess.Popen[bytes]") -> None:
        assert running.stdin is not None, "it was made with pipes"
        assert running.stdout is not None, "it was made with pipes"
        self._in, self._out = running.stdin, running.stdout
        self._running = running
        self._numbered = 0

    def numbered(self, rows: int) -> range:
        """Return the numbers of the next rows; none comes twice."""
        first, self._numbered = self._numbered, self._numbered + rows
        return range(first, self._numbered)

    def line(self) -> bytes:
        """Return its next line."""
        line = self._out.readline(_ANSWER_BYTES_MAX)
        if not line.endswith(b"\n"):
            self._gone()
        return line

    def lines(self, block: pa.RecordBatch, rows: range) -> tuple[list[Any], Any]:
        """Return the rows and the answer to a block that is asked as a JSON line."""
        columns = {n: json_values(n, c) for n, c in zip(block.schema.names, block.columns, strict=True)}
        self._send(json.dumps({"rows": list(rows), "columns": columns}).encode() + b"\n")
        answer, unread = guard(json.loads, self.line())
        if unread is not None or not isinstance(answer, dict):
            raise _out_of_step("a line that is no JSON object")
        answered = answer.get("rows", [])
        if answer.get("error"):
            _check_step(answered, rows)
            raise ValueError(plain(str(answer["error"])))
        return answered, _table(answer.get("scores"), answer.get("decisions"))

    def arrow(self, block: pa.RecordBatch, rows: range) -> tuple[list[Any], Any]:
        """Return the rows and the answer to a block that is asked as an Arrow stream."""
        asked = block.add_column(0, "row", pa.array(rows, pa.int64()))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, asked.schema) as writer:
            writer.write_batch(asked)
        data = sink.getvalue()
        self._send(_LENGTH.pack(data.size) + data.to_pybytes())
        size = _LENGTH.unpack(self._exactly(_LENGTH.size))[0]
        if size > _ANSWER_BYTES_MAX:
            raise _out_of_step(f"{size} bytes")
        columns, unread = guard(_columns_of, self._exactly(size))
        if unread is not None:
            raise _out_of_step(f"no Arrow stream with a column row ({unread.reason})")
        return columns["row"], _table(columns.get("score"), columns.get("decision"))

    def _send(self, data: bytes) -> None:
        try:
            self._in.write(data)
            self._in.flush()
        except BrokenPipeError:
            self._gone()

    def _exactly(self, size: int) -> bytes:
        data = self._out.read(size)
        if len(data) < size:
            self._gone()
        return data

    def _gone(self) -> NoReturn:
        """End this process as the program ended: the parent starts both anew."""
        code = self._running.wait()
        os._exit(code if code > 0 else 128 - code)


def _columns_of(stream: bytes) -> dict[str, list[Any]]:
    table = pa.ipc.open_stream(stream).read_all()
    table.validate(full=True)
    return {
        n: table.column(n).to_pylist()
        for n in ("row", "score", "decision")
        if n == "row" or n in table.schema.names
    }


def _check_step(answered: Any, asked: range) -> None:
    """Raise CallFailed where rows are answered that were not asked now: what comes next answers others."""
    if not isinstance(answered, list) or not all(type(row) is int and row in asked for row in answered):
        raise _out_of_step(f"other rows than the {len(asked)} that were asked")


def _out_of_step(found: str) -> CallFailed:
    return CallFailed(f"{BAD_ANSWER}{plain(found)}", killed=True)


def _table(scores: Any, decisions: Any) -> Any:
    import pandas as pd

    if decisions is None:
        return np.array([np.nan if value is None else value for value in scores or ()], dtype=np.float64)
    columns = {"decision": decisions} | ({} if scores is None else {"score": scores})
    return pd.DataFrame(columns)
