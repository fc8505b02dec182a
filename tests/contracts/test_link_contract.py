"""What every link promises a recorder: the same suite on the link to the log and on the link to a sidecar."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.log.log import Log
from recorders.errors import AppendError, LinkUnavailable
from recorders.fields import FeatureSet, Field
from recorders.inprocess import InProcessLink
from recorders.link import Link
from recorders.socket_link import SocketLink
from tests.support.sidecars import (
    FEATURES,
    Running,
    decision_ids,
    decisions,
    losses,
    names,
    new_writer,
    outcomes,
    until,
)

Make = Callable[[], Link]


@pytest.fixture(scope="module", params=["in-process", "socket"])
def make(
    request: pytest.FixtureRequest, log_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    if request.param == "in-process":
        yield lambda: InProcessLink(log_url, [FEATURES])
        return
    folder = tmp_path_factory.mktemp("link") / "spool"
    with Running(folder, log_url, "[ship]\nlinger_s = 0.05\n") as sidecar:
        yield lambda: SocketLink(sidecar.address, [FEATURES])


@pytest.fixture
def link(make: Make) -> Iterator[Link]:
    made = make()
    yield made
    made.close()


@pytest.fixture(scope="module")
def log(log_url: str) -> Iterator[Log]:
    with Log(log_url) as opened:
        yield opened


def test_frames_reach_the_log_once_and_in_order(link: Link, log: Log) -> None:
    writer = new_writer()
    frames = [decisions(writer, n) for n in range(1, 6)]
    for frame in frames:
        receipt = link.send(frame)
        assert receipt.position >= 1
        assert not receipt.duplicate
    until(lambda: set(names(frames)) <= set(decision_ids(log)))
    assert [name for name in decision_ids(log) if name.startswith(str(writer))] == names(frames)


def test_the_same_frame_again_is_a_duplicate_that_changes_nothing(link: Link, log: Log) -> None:
    frame = decisions(new_writer(), 1)
    link.send(frame)
    until(lambda: names([frame])[0] in decision_ids(log))
    head = log.head().position
    assert link.send(frame).duplicate
    assert log.head().position == head


def test_a_resend_over_a_new_link_is_a_duplicate(make: Make) -> None:
    frames = [decisions(new_writer(), 1)]
    for expected in (False, True):
        link = make()
        assert link.send(frames[0]).duplicate is expected
        link.close()


def test_every_kind_arrives(link: Link, log: Log) -> None:
    writer = new_writer()
    for frame in (decisions(writer, 1), outcomes(writer, 2), losses(writer, 3, 17)):
        link.send(frame)
    until(lambda: [c for c in log.controls("recorder.loss", str(writer)) if c.body["count"] == 17])
    (told,) = log.controls("recorder.loss", str(writer))
    assert told.body["reason"] == "full"
    found = log.read(1, log.head().position + 1, kind="outcome", columns=["decision_id"])
    ids = [value for batch in found for value in batch.column("decision_id").to_pylist()]
    assert set(names([outcomes(writer, 2)])) <= set(ids)


def test_an_unknown_feature_set_is_refused(link: Link) -> None:
    other = FeatureSet("other", 1, (Field("x", "int64"),))
    frame = decisions(new_writer(), 1)
    with pytest.raises(AppendError, match="Expected one that the link was given: shop:1"):
        link.send(
            type(frame)(
                **{f: getattr(frame, f) for f in frame.__struct_fields__} | {"schema_digest": other.digest}
            )
        )


def test_close_twice_and_send_again(link: Link) -> None:
    writer = new_writer()
    link.send(decisions(writer, 1))
    link.close()
    link.close()
    assert not link.send(decisions(writer, 2)).duplicate


@pytest.mark.parametrize(
    "away",
    [
        lambda path: InProcessLink("postgresql://nobody@127.0.0.1:1/none", [FEATURES]),
        lambda path: SocketLink(str(path / "nothing.sock"), [FEATURES]),
        lambda path: SocketLink("tcp://127.0.0.1:1", [FEATURES]),
    ],
)
def test_nothing_at_the_far_end_is_unavailable(away: Callable[[Path], Link], tmp_path: Path) -> None:
    link = away(tmp_path)
    with pytest.raises(LinkUnavailable):
        link.send(decisions(new_writer(), 1))
    link.close()
