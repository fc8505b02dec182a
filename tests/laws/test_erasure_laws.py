"""The laws of erasure: recorded, sealed, released, cut and erased in any order, a value is there or erased.

More of them: `python -m tests.laws.test_erasure_laws EXAMPLES`.
"""

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.database import create_log, upgrade
from harness.erasure import erase
from harness.errors import UsageError
from harness.log.compact import compact
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal
from harness.training.extend import extend_training_set
from harness.training.folder import TrainingSet
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from recorders.subject_keys import SubjectKeys
from replay.labels import LabelRule
from tests.support import servers
from tests.support.subjects import SECRET, SHOP, snapshot

POINT, FIRST = "shop.checkout", datetime(2020, 1, 1, tzinfo=UTC)
NAMES = ("ada", "bob", "cleo")
LABELS = (LabelRule(name="bought", window=timedelta(hours=1)),)
Step = Callable[["House"], None]


class House:
    """A log with persons in it, and what is known of each of its rows: whose it is, and whether erased."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log, self.folder = log, folder
        self.keys = SubjectKeys.from_environment(log.url)
        self.keys.create()
        log.register_feature_set(SHOP)
        self.owners: list[str | None] = []
        self.erased: set[int] = set()
        self.sets: list[tuple[TrainingSet, int, set[int]]] = []

    def record(self, owners: list[str | None]) -> None:
        link = InProcessLink(self.log.url, [SHOP])
        with Recorder(POINT, SHOP, link, model="m", model_version="1") as recorder:
            for owner in owners:
                number = len(self.owners)
                values = snapshot(owner, number)
                recorder.record(values, decision_id=f"d{number}", occurred_at=FIRST)
                recorder.outcome(f"d{number}", "bought", number % 2 == 0, occurred_at=FIRST)
                self.owners.append(owner)
            assert recorder.flush(60)

    def erase(self, name: str) -> None:
        theirs = {number for number, owner in enumerate(self.owners) if owner == name}
        if not theirs:
            with pytest.raises(UsageError):
                erase(self.log, self.keys, name)
            return
        lost = theirs - self.erased
        receipt = erase(self.log, self.keys, name)
        if lost:
            assert receipt.body["rows"] == len(lost)
            holding = {made.id for made, rows, _ in self.sets if lost & {*range(rows)}}
            assert {*receipt.body["training_sets"]} == holding
        assert erase(self.log, self.keys, name) == receipt
        self.erased |= theirs

    def cut(self) -> None:
        if self.owners:
            self._keep(
                build_training_set(self.log, self._spec(self.log.head().position + 1), place=self._place())
            )

    def extend(self) -> None:
        if self.sets:
            longer, _ = extend_training_set(self.log, self.sets[-1][0].folder, place=self._place())
            stop, at = longer.manifest["cut"]["stop"], longer.manifest["as_of"]["position"]
            anew = build_training_set(self.log, self._spec(stop), as_of=at, place=self._place())
            assert (longer.digest, longer.id) == (anew.digest, anew.id)
            self._keep(longer)

    def check(self) -> None:
        """Compare what is read, and every set, with what is known."""
        with Log(self.log.url, store=self.log.sealed._place) as anew:
            end = anew.head().position + 1
            found = [row for batch in anew.read(1, end, kind="decision") for row in batch.to_pylist()]
            assert len(found) == len(self.owners)
            for number, row in enumerate(found):
                whole = snapshot(self.owners[number], number)
                gone = number in self.erased
                read = {name: row[f"f.{name}"] for name in whole}
                kept = {"amount", "country"} if gone else {*whole}
                assert read == {name: value if name in kept else None for name, value in whole.items()}
                told = {one["field"] for one in row["statuses"] or () if one["status"] == "erased"}
                assert told == ({*whole} - kept)
            assert anew.verify().holds
            for made, rows, before in self.sets:
                said = made.verify(anew)
                assert (said["holds"], said["rows"]) == (True, rows)
                assert said.get("erased", 0) == len((self.erased & {*range(rows)}) - before)

    def _keep(self, made: TrainingSet) -> None:
        rows = made.manifest["rows"]
        assert rows == len(self.owners)
        self.sets.append((made, rows, set(self.erased)))

    def _spec(self, stop: int) -> Spec:
        return Spec(decision_point=POINT, start=1, stop=stop, labels=LABELS)

    def _place(self) -> Place:
        return Place(Path(tempfile.mkdtemp(dir=self.folder)) / "set")


STEPS = st.one_of(
    st.lists(st.sampled_from([*NAMES, None]), min_size=1, max_size=6).map(
        lambda owners: ("record", lambda house: house.record(owners))
    ),
    st.sampled_from(NAMES).map(lambda name: ("erase", lambda house: house.erase(name))),
    st.sampled_from(
        [
            ("seal", lambda house: seal(house.log, events=15)),
            ("compact", lambda house: compact(house.log)),
            ("release", lambda house: release(house.log, timedelta(0))),
        ]
    ),
    st.sampled_from([("cut", House.cut), ("extend", House.extend)]),
)


def lives(url: str, template: str, steps: list[tuple[str, Step]]) -> None:
    """Let a house take these steps, and compare after each erasure and at the end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.fresh_database(url, template) as fresh,
        create_log(Path(folder), url=fresh, partition_positions=20) as log,
    ):
        house = House(log, Path(folder))
        for name, step in steps:
            step(house)
            if name == "erase":
                house.check()
        house.check()


# The same lives each time: others are for the sweep below, that nobody is held up by a find of chance.
@settings(max_examples=12, derandomize=True, suppress_health_check=[*HealthCheck])
@given(steps=st.lists(STEPS, min_size=4, max_size=14))
def test_a_value_is_there_or_erased_whatever_came_before(
    database_url: str, migrated: str, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, Step]]
) -> None:
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    lives(database_url, migrated, steps)


def test_what_was_erased_before_a_set_was_cut_is_not_erased_since(
    database_url: str, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    steps: list[Step] = [
        lambda house: house.record(["ada", "bob"]),
        lambda house: house.erase("ada"),
        lambda house: house.record(["ada", "ada"]),
        House.cut,
        lambda house: house.erase("ada"),
    ]
    lives(database_url, migrated, [(("erase" if at == 4 else ""), step) for at, step in enumerate(steps)])


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch, servers.embedded() as server:
        patch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
        with servers.fresh_database(server) as made:
            upgrade(made)

            @settings(max_examples=int(sys.argv[1]), deadline=None, suppress_health_check=[*HealthCheck])
            @given(steps=st.lists(STEPS, min_size=4, max_size=20))
            def many(steps: list[tuple[str, Step]]) -> None:
                lives(server, servers.database_of(made), steps)

            many()
