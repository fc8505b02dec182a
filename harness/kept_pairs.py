"""Paired columns kept beside the segments: a later look folds them, and joins nothing again (docs/adr/0043).

What is kept is a function of the log and may be lost: what is gone, altered or outdated is paired anew.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Log
from harness.measured_columns import beside, blocking, errors_column, unread
from harness.measured_part import Account, PairedPart, Question
from harness.owned_folder import owned_folder
from harness.pair_files import PairFile, write
from harness.segment_errors import StoreError
from recorders.canonical import canonical_json, digest
from replay.columns import grouped, ids
from replay.digest import CELL_BYTES, CHUNK_ROWS
from replay.ranges import AsOf

KEPT = "pairs.kept"
FORMAT = "pairs/1"
# So many ids of outcomes are looked for at once.
_TOGETHER = 2**20

Range = tuple[int, int]


class KeptPart(msgspec.Struct, frozen=True):
    """The pairs of one part as they were at `as_of`, with the scores known up to `scores_up_to`.

    `settled`: every decision had matured and had its scores, so that only an outcome can change them. `cells`
    are those of their digest in hex, chunk by chunk, from row `lead` on. A later look takes them over where
    as many rows lack to a whole chunk.
    """

    part: Range
    as_of: AsOf
    scores_up_to: int
    settled: bool
    account: Account
    noise: dict[str, Any] | None
    path: str
    bytes: int
    digest: str
    lead: int = 0
    cells: str = ""

    def with_cells(self, before: int, cells: str) -> "KeptPart":
        """Return the same with the cells that its rows have where `before` rows precede them."""
        return msgspec.structs.replace(self, lead=lead_of(before) if cells else 0, cells=cells)


class Loaded(NamedTuple):
    """Kept pairs in the columns that a plan reads, and the whole rows that no chunk of the kept cells covers.

    `fringe`: those before `lead`, then the last; None where there are no cells.
    """

    pairs: PairedPart
    fringe: pa.Table | None


def lead_of(before: int) -> int:
    """Return how many rows a chunk of the digest still takes that has begun when there were `before` rows.

    >>> lead_of(65_530), lead_of(65_536)
    (6, 0)
    """
    return -before % CHUNK_ROWS


def key_of(log: Log, question: Question) -> str | None:
    """Return what the pairs of a question's parts are kept under; None: they are not kept.

    It covers all that decides the pairs beside the log, the part and the place. Encrypted features are never
    kept: they would outlive their key.
    """
    experiment, plan = question.experiment, question.experiment.plan
    if plan.features and any(one.sealed for one in log.feature_sets().values()):
        return None
    rescore = experiment.rescore
    said = {
        "format": FORMAT,
        "log": str(log.head().log_id),
        "decision_point": experiment.decision_point,
        "label": experiment.declared.label.name,
        "label_window": experiment.label_window.total_seconds(),
        "bounds": msgspec.to_builtins(experiment.bounds),
        "start": question.start,
        "timezone": plan.unit.timezone if plan.unit.kind == "day" else None,
        "challenger": experiment.challenger.digest,
        "champion": None if rescore is None else [rescore.name, rescore.version, rescore.digest],
        "champion_error": question.rescore_error,
        "beside": beside(plan),
        "errors": errors_column(plan),
        "blocking": blocking(plan),
    }
    return digest(canonical_json(said))


def kept_parts(log: Log, key: str, question: Question, parts: Sequence[Range]) -> list[KeptPart | None]:
    """Return for each part what was kept last that can be of use at the question's place."""
    known: dict[Range, KeptPart] = {}
    for event in log.controls(KEPT, key):
        found = msgspec.convert(event.body, KeptPart)
        if _of_the_past(log, found, question):
            known[found.part] = found
    return [known.get(part) for part in parts]


def _of_the_past(log: Log, kept: KeptPart, question: Question) -> bool:
    """Return whether it was made of nothing that the question does not know, in this very history."""
    now, then = question.as_of, kept.as_of
    if (then.position, kept.scores_up_to) == (now.position, question.scores_up_to):
        return then.digest == now.digest
    earlier = then.position <= now.position and kept.scores_up_to <= question.scores_up_to
    return kept.settled and earlier and log.as_of(then.position).digest == then.digest


def load(log: Log, kept: KeptPart | None, question: Question) -> Loaded | None:
    """Return the pairs that were kept; None where they are no more what pairing again would give."""
    if kept is None:
        return None
    account = _at(log, kept, question)
    if account is None:
        return None
    file = _checked(log, kept, unread(question.experiment.plan))
    if file is None:
        return None
    fringe = None
    if kept.cells:
        covered = len(kept.cells) // (2 * CELL_BYTES * file.columns) * CHUNK_ROWS
        fringe = file.ends(kept.lead, kept.lead + covered)
    return Loaded(PairedPart(account, kept.noise, file.table, kept.settled), fringe)


def _at(log: Log, kept: KeptPart, question: Question) -> Account | None:
    """Return the account at the question's place; None when an outcome came for one of its decisions."""
    start, stop = kept.as_of.position + 1, question.as_of.position + 1
    point, label = question.experiment.decision_point, question.experiment.declared.label.name
    known = other_label = 0
    wanted = ["decision_id", "label"]
    outcomes = log.read(start, max(start, stop), kind="outcome", decision_point=point, columns=wanted)
    for some in grouped(outcomes, _TOGETHER):
        table = pa.Table.from_batches([batch.select(wanted) for batch in some])
        own = table.filter(pc.equal(table.column("label").cast(pa.large_string()), label))
        known += own.num_rows
        other_label += table.num_rows - own.num_rows
        if own.num_rows and _names_any(log, point, kept.part, ids(own.column("decision_id"), "decision_id")):
            return None
    account = kept.account
    return msgspec.structs.replace(
        account, known=account.known + known, other_label=account.other_label + other_label
    )


def _names_any(log: Log, point: str, part: Range, named: pa.ChunkedArray) -> bool:
    named = named.combine_chunks()
    decisions = log.read(*part, kind="decision", decision_point=point, columns=["decision_id"])
    return any(
        pc.any(pc.is_in(ids(batch.column("decision_id"), "decision_id"), value_set=named)).as_py()
        for batch in decisions
    )


def read(log: Log, kept: KeptPart) -> pa.Table | None:
    """Return the kept columns; None when their file is gone, out of reach, or not what its digest names."""
    file = _checked(log, kept)
    return None if file is None else file.table


def _checked(log: Log, kept: KeptPart, without: Collection[str] = ()) -> PairFile | None:
    try:
        store = log.sealed.store
        file = store.mapped(kept.path)
        data: Any = store.read(kept.path) if file is None else file.read_buffer()
    except (FileNotFoundError, StoreError):
        return None
    if len(data) != kept.bytes or hashlib.sha256(data).hexdigest() != kept.digest:
        return None
    return PairFile(data, without)


def keep(log: Log, key: str, question: Question, part: Range, pairs: PairedPart) -> KeptPart | None:
    """Write the pairs of a part into the store; None when it takes nothing: no look needs it."""
    with owned_folder("harness-pairs-") as folder:
        file = folder / "pairs.arrow"
        write(file, pairs.table)
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        # Never over another: who reads the one that stands there goes on reading it.
        path = f"pairs/{log.head().log_id}/{key}/{part[0]}-{part[1]}.{found[:16]}.arrow"
        try:
            log.sealed.store.put(path, file)
        except StoreError:
            return None
        size = file.stat().st_size
    return KeptPart(
        part,
        question.as_of,
        question.scores_up_to,
        pairs.settled,
        pairs.account,
        pairs.noise,
        path,
        size,
        found,
    )


def tell(log: Log, key: str, kept: Iterable[KeptPart], instead: Iterable[KeptPart]) -> None:
    """Say in the log what was kept, then take away the files of what it was kept `instead` of."""
    for each in kept:
        log.control(KEPT, key, msgspec.to_builtins(each))
    named = {each.path for each in kept}
    for old in instead:
        if old.path not in named:
            with suppress(StoreError):
                log.sealed.store.delete(old.path)
