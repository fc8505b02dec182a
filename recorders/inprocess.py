"""The in-process link: frames become Arrow batches and go straight to `append`, writer and sequence kept."""

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import pyarrow as pa

from recorders.append import Appender, Batch
from recorders.canonical import canonical_json, digest
from recorders.columns import encode_batch, occurred_range, to_batch
from recorders.errors import AppendError, CorruptBatch
from recorders.fields import FeatureSet
from recorders.frame import CONTROL_SCHEMA_DIGEST, Frame, Receipt
from recorders.losses import Loss
from recorders.sidecar.sealed_frames import open_keys

OUTCOME_DIGEST: Final = digest(b"outcome/1")
CLOSE_S: Final = 0.2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Connections that a fork left in this process belong to the parent: closing one here would end its session.
_inherited: list[Appender] = []


class InProcessLink:
    """Appends frames to the log at `url`, from the service's own process. May serve several recorders.

    It registers nothing: a frame whose feature set is not among `feature_sets` is refused. Sensitive fields
    are encrypted here, in the service's own process: it then needs what the sidecar otherwise has
    (HARNESS_SUBJECT_SECRET and, elsewhere than beside the log, HARNESS_KEYS_URL).
    """

    def __init__(self, url: str, feature_sets: Sequence[FeatureSet]) -> None:
        # The first conversion imports pandas wherever it is installed. Left to the background thread, that
        # made a short program's first frame miss `close`, and fail once the interpreter was ending.
        pa.array([])
        self._url = url
        self._feature_sets = {feature_set.digest: feature_set for feature_set in feature_sets}
        self._keys = open_keys(url) if any(one.sealed for one in feature_sets) else None
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._appender: Appender | None = None
        self._acked: dict[UUID, int] = {}

    def send(self, frame: Frame) -> Receipt:
        """Return the receipt of `frame` once the log holds it.

        Raises:
            LinkUnavailable: no answer; send the same frame again.
            EventAhead: nothing of it was taken; send what of it is not ahead under the same sequence.
            AppendError: the log refuses it, or its feature set is unknown here.
        """
        if self._pid != os.getpid():
            if self._appender is not None:
                _inherited.append(self._appender)
            self._begin()
        batch = self._batch(frame)
        with self._lock:
            if self._appender is None:
                self._appender = Appender(self._url)
            receipt = self._appender.append(batch)
        self._acked[frame.writer] = frame.sequence
        return receipt

    def close(self) -> None:
        """Give the connection back. A later `send` opens it again.

        Does not wait for a frame that is under way, another recorder's perhaps: then it stays open.
        """
        if self._pid != os.getpid() or not self._lock.acquire(timeout=CLOSE_S):
            return
        try:
            if self._appender is not None:
                self._appender.close()
                self._appender = None
        finally:
            self._lock.release()

    def _batch(self, frame: Frame) -> Batch:
        """Return the batch of a frame: the same bytes for the same frame, so that a resend is known."""
        if digest(frame.payload) != frame.digest:
            raise CorruptBatch(
                f"frame {frame.sequence} of writer {frame.writer} is not what its digest names"
            )
        if frame.kind == "loss":
            return self._loss(frame)
        feature_set = self._feature_set(frame) if frame.kind == "decision" else None
        if feature_set is not None and feature_set.sealed:
            from recorders.sealing import seal

            assert self._keys is not None, "made for such feature sets"
            frame = msgspec.structs.replace(frame, payload=seal(frame.payload, feature_set, self._keys))
        columns = to_batch(frame, feature_set)
        first, last = occurred_range(columns)
        payload = encode_batch(columns)
        return Batch(
            kind=frame.kind,
            decision_point=frame.decision_point,
            schema_digest=frame.schema_digest if frame.kind == "decision" else OUTCOME_DIGEST,
            writer=frame.writer,
            sequence=frame.sequence,
            events=frame.events,
            occurred_min=first,
            occurred_max=last,
            payload=payload,
            digest=digest(payload),
            acked=self._acked.get(frame.writer, 0),
        )

    def _feature_set(self, frame: Frame) -> FeatureSet:
        known = self._feature_sets.get(frame.schema_digest)
        if known is None:
            labels = ", ".join(feature_set.label for feature_set in self._feature_sets.values()) or "none"
            raise AppendError(
                f"Frame {frame.sequence} of {frame.decision_point} has schema {frame.schema_digest[:12]}.",
                f"Expected one that the link was given: {labels}.",
                "Pass the recorder's feature set to InProcessLink.",
            )
        return known

    def _loss(self, frame: Frame) -> Batch:
        payload = canonical_json(_loss_event(frame))
        return Batch(
            kind="control",
            decision_point="",
            schema_digest=CONTROL_SCHEMA_DIGEST,
            writer=frame.writer,
            sequence=frame.sequence,
            events=1,
            occurred_min=None,
            occurred_max=None,
            payload=payload,
            digest=digest(payload),
            acked=self._acked.get(frame.writer, 0),
        )


def _loss_event(frame: Frame) -> dict[str, Any]:
    """Return the control event `recorder.loss` that a loss frame stands for."""
    try:
        (loss,) = msgspec.msgpack.decode(frame.payload, type=list[Loss])
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptBatch(f"frame {frame.sequence} of writer {frame.writer}: {error}") from error
    return {
        "type": "recorder.loss",
        "subject": str(loss.writer),
        "actor": f"recorder:{frame.decision_point}",
        "body": {
            "decision_point": frame.decision_point,
            "writer": str(loss.writer),
            "reason": loss.reason,
            "count": loss.count,
            "first": _instant(loss.first_us),
            "last": _instant(loss.last_us),
        },
    }


def _instant(microseconds: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
