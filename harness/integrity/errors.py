"""What can go wrong with proofs and signatures. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── HistoryForked       the log is not the one that is remembered here              exit 40
├── MemoryDamaged       what this host remembers of the log cannot be read          exit 40
├── ProofInvalid        a proof, note or receipt that does not hold                 exit 40
├── WitnessMissing      a folder that holds no witness, or one that lost a part     exit 2
├── WitnessRefused      a witness knows another history                             exit 40
├── OutsideUnavailable  a witness, webhook or time-stamping service does not answer exit 1
├── KeyUnusable         a key file that is missing, readable by others, or no key   exit 2
├── IdAmbiguous         an id that decisions of several decision points have        exit 2
└── NotCovered          an event that no checkpoint covers yet                      exit 2
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from collections.abc import Mapping

from harness.log.lines import escaped
from recorders.errors import HarnessError


class HistoryForked(HarnessError):
    """The log is not the one that is remembered here: it was rewritten, cut off, or restored.

    `position` is where the two part, as far as it is known.
    """

    exit_code = 40

    def __init__(self, what: str, position: int, expected: str) -> None:
        super().__init__(
            f"{what} (position {position}).",
            f"Expected {expected}.",
            "Keep both: the log as it is and the folder that remembers it. If the log was restored from a "
            'backup, run "harness log recover" before anything else; if not, find who could write to it.',
        )
        self.position = position


class MemoryDamaged(HarnessError):
    """What this host remembers of the log was altered or cut in the middle."""

    exit_code = 40

    def __init__(self, path: object, batch: int) -> None:
        super().__init__(
            f"The memory of the log in {path} is damaged at its batch {batch}.",
            "Expected a record for each batch, as this host wrote it.",
            "Move the file away: the log is then verified from its first batch and against its checkpoints. "
            "Find out who could write there.",
        )
        self.path = str(path)
        self.batch = batch


class ProofInvalid(HarnessError):
    """A proof, a note or a receipt that does not hold. `reason` is the check that failed."""

    exit_code = 40

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what} does not hold: {reason}.",
            "Expected the bytes as they were made, and the public key of the log that made them.",
            "Check --key against the key that the log's owner publishes, and fetch the file again.",
        )
        self.what = what
        self.reason = reason


class WitnessRefused(HarnessError):
    """A witness does not cosign: what it has seen of this log is no beginning of what it is shown."""

    exit_code = 40

    def __init__(self, witness: str, reason: str) -> None:
        reason = escaped(reason)  # it may be the witness's own words
        super().__init__(
            f"The witness {witness} refuses to cosign: {reason}.",
            "Expected a checkpoint that continues the last one that it cosigned.",
            'Compare: "harness witness show" on its host names the checkpoint that it holds. After '
            '"harness log key rotate", tell it the new key: "harness witness trust".',
        )
        self.witness = witness
        self.reason = reason


class WitnessMissing(HarnessError):
    """A folder without a witness, or with one that lost its key or its book: `lacks` is the file."""

    exit_code = 2

    def __init__(self, folder: object, lacks: str) -> None:
        super().__init__(
            f"There is no witness in {folder}: it has no {lacks}.",
            'Expected the folder of a "harness witness init FOLDER", whole.',
            "Name that one, or make a witness in a new folder. One that lost its key or its book is retired, "
            "name and key: an empty one would cosign a fork.",
        )
        self.folder = str(folder)
        self.lacks = lacks


class OutsideUnavailable(HarnessError):
    """A witness, a webhook or a time-stamping service does not answer as it should.

    `in_log`: the checkpoint is in the log already; it is not before every witness has cosigned it.
    """

    def __init__(self, what: str, reason: str, *, in_log: bool = True) -> None:
        reason = escaped(reason)  # it may hold what came as an answer
        super().__init__(
            f"{what} did not take the checkpoint: {reason}.",
            "Expected an answer within 10 seconds.",
            "Nothing is lost: the checkpoint is in the log. Try again when the service is up."
            if in_log
            else "The log did not get it either, and nothing changed. Try again when the service is up.",
        )
        self.what = what
        self.reason = reason


class KeyUnusable(HarnessError):
    """A key that is missing, readable by others, or none."""

    exit_code = 2

    def __init__(self, what: str, reason: str, remedy: str, expected: str = "") -> None:
        expected = expected or "Expected an Ed25519 key that is ours alone."
        super().__init__(f"{what}: {reason}.", expected, remedy)
        self.reason = reason


class IdAmbiguous(HarnessError):
    """An id that decisions of several decision points have. `places`: a position for each of the points."""

    exit_code = 2

    def __init__(self, identifier: str, places: Mapping[str, int]) -> None:
        listed = ", ".join(f"{point} (position {place})" for point, place in sorted(places.items()))
        super().__init__(
            f'"{identifier}" is at {len(places)} decision points: {escaped(listed)}.',
            "Expected an id of one of them.",
            "Name the decision point with -d.",
        )
        self.places = dict(places)


class NotCovered(HarnessError):
    """An event that no checkpoint covers yet."""

    exit_code = 2

    def __init__(self, what: str, covered: int) -> None:
        super().__init__(
            f"{what} is not covered by a checkpoint; the last one covers positions up to {covered}.",
            "Expected an event that was appended before the checkpoint.",
            'Take one now: "harness log checkpoint".',
        )
        self.covered = covered
