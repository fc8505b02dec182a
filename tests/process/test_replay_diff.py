"""Two models on the same decisions: what differs, where, by how much, and what was known beforehand."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cli.main import run
from harness.cli.replay_diff import _p, _text
from harness.differences import Question, compare_models
from harness.errors import NotFound, UsageError
from harness.known_differences import KnownDifference, covered, known_differences, register_known
from harness.models import add_model
from harness.replay_errors import FeatureUnknown
from harness.replay_runner import run_replay
from replay.tolerance import Tolerance
from tests.support.history import POINT, History

ROWS = 2_000
SOURCE = """
import pandas as pd

def plain(frame):
    risk = frame["amount"] / 20 + 0.5
    return pd.DataFrame({"score": risk, "decision": ["block" if r > 0.5 else "pass" for r in risk]})
plain.inputs = ("amount", "kind")

def bent(frame):
    risk = frame["amount"] / 20 + 0.5 + (frame["kind"] == "coin") * 0.2 + 1e-12
    return pd.DataFrame({"score": risk, "decision": ["block" if r > 0.5 else "pass" for r in risk]})
bent.inputs = ("amount", "kind")
"""


@pytest.fixture
def world(event_log, tmp_path):
    (tmp_path / "two_models.py").write_text(SOURCE)
    start, stop = History(event_log).decisions(0, ROWS)
    for name in ("plain", "bent"):
        add_model(event_log, f"py:two_models:{name}", name=name, version="1", folder=tmp_path)
        part = {"decision_point": POINT, "start": start, "stop": stop}
        run_replay(event_log, f"{name}:1", **part, folder=tmp_path)
    return event_log, (start, stop), tmp_path


def asked(world, a="plain:1", b="bent:1", **more):
    log, part, folder = world
    return compare_models(log, Question(a, b, POINT, *part, **more), folder=folder)


def test_every_row_is_accounted_for_and_the_guilty_slice_is_named(world):
    found = asked(world, tolerance=Tolerance("absolute", 1e-9))
    states = found.account.by_state
    assert sum(states.values()) == found.account.rows == ROWS
    assert states["lacking"] == ROWS // 97
    # Every third decision is paid in coins; the rest is moved by less than the tolerance.
    assert states["equal"] == 0
    assert 640 < states["differs"] < 668
    assert states["within"] == ROWS - states["differs"] - states["lacking"]
    assert found.slices[0].slice == "kind coin"
    assert found.slices[0].share == 1.0
    assert found.searched > 10


def test_what_flips_is_told_with_the_change_that_flips_it_back(world):
    found = asked(world, tolerance=Tolerance("decision"))
    assert set(found.account.flips) == {("block", "block"), ("pass", "block"), ("pass", "pass")}
    assert found.account.by_state["differs"] == found.account.flips["pass", "block"] > 50
    assert found.changes
    for change in found.changes.values():
        assert change is not None
        assert change["feature"] in {"amount", "kind"}
    flips = found.worst.filter(found.worst.column("flipped"))
    assert flips.num_rows == found.worst.num_rows == 20


def test_the_smallest_change_is_told_as_finely_as_a_block_has_room_for(world):
    log, _part, folder = world
    (folder / "edge_models.py").write_text(
        "import pandas as pd\n"
        "def low(frame):\n"
        "    return pd.DataFrame({'decision': ['block' if a > 0 else 'pass' for a in frame['amount']]})\n"
        "def high(frame):\n"
        "    return pd.DataFrame({'decision': ['block' if a > 6.5 else 'pass' for a in frame['amount']]})\n"
        "low.inputs = high.inputs = ('amount',)\n"
    )
    start, stop = world[1]
    for name in ("low", "high"):
        add_model(log, f"py:edge_models:{name}", name=name, version="1", folder=folder)
        run_replay(log, f"{name}:1", decision_point=POINT, start=start, stop=stop, folder=folder)
    found = asked(world, "low:1", "high:1", tolerance=Tolerance("decision"))
    assert found.changes
    # Of 2,000 recorded amounts every second or third is tried: no farther than needed, but for a hundredth.
    for change in found.changes.values():
        assert change["feature"] == "amount"
        assert 6.5 < change["to"] < 6.6


def test_a_known_difference_is_counted_apart_until_it_ends(world):
    log, _part, _folder = world
    said = {"decision_point": POINT, "models": ("bent:1", "plain:1"), "reason": "coins are dearer now"}
    with pytest.raises(UsageError, match="no end that lies ahead"):
        register_known(log, **said, where={"kind": "coin"}, until="2024-01-01T00:00:00Z")
    with pytest.raises(UsageError, match="needs features"):
        register_known(log, **said, where={}, until="2025-01-01T00:00:00Z")
    with pytest.raises(FeatureUnknown, match="no 'colour'"):
        register_known(log, **said, where={"kind": "coin", "colour": "red"}, until="2025-01-01T00:00:00Z")
    with pytest.raises(NotFound, match='no decision point "shop'):
        register_known(
            log,
            **{**said, "decision_point": "shop.frau"},
            where={"kind": "coin"},
            until="2025-01-01T00:00:00Z",
        )
    with pytest.raises(UsageError, match="plain:1 does not differ from itself"):
        register_known(
            log,
            **{**said, "models": ("plain:1", "plain:1")},
            where={"kind": "coin"},
            until="2025-01-01T00:00:00Z",
        )
    with pytest.raises(NotFound):
        register_known(
            log, **{**said, "models": ("bent:1", "b:1")}, where={"kind": "coin"}, until="2025-01-01T00:00:00Z"
        )
    endless = {**said, "reason": "coins " * 2_000_000}
    with pytest.raises(UsageError, match=r"reason has 11,999,999 characters\. Expected 1 to 2,000"):
        register_known(log, **endless, where={"kind": "coin"}, until="2025-01-01T00:00:00Z")
    register_known(log, **said, where={"kind": "coin"}, until="2024-03-10T00:00:00Z")
    found = asked(world, tolerance=Tolerance("absolute", 1e-9))
    assert found.account.by_state["differs"] == 0
    assert found.account.by_state["known"] > 640
    assert found.slices == ()
    # What is known is in no flip, and in no largest difference.
    assert {pair for pair in found.account.flips if pair[0] != pair[1]} == set()
    assert found.account.largest < 1e-9
    History(log, name="later").decisions(20_000, 20_001)  # the log's time is two weeks later
    known, ended = known_differences(log, POINT, ("plain:1", "bent:1"))
    assert (known, [each.where for each in ended]) == ([], [{"kind": "coin"}])
    again = asked(world, tolerance=Tolerance("absolute", 1e-9))
    assert again.account.by_state["known"] == 0
    told = "1 more ended, the last on 2024-03-10T00:00:00+00:00: they count as differing"
    assert told in _text(again, None)


@pytest.mark.parametrize(
    ("column", "value", "about"),
    [
        (pa.array([True, False, None]), "True", [True, False, False]),
        (pa.array([True, False, None]), "true", [True, False, False]),
        (pa.array([1.0, 1.5, None]), "1", [True, False, False]),
        (pa.array([5, 50, None]), "5", [True, False, False]),
        (pa.array(["True", "true", None]), "true", [False, True, False]),
        (pa.array([5, 50, None]), "many", [False, False, False]),
    ],
)
def test_a_value_is_what_its_column_holds_however_it_is_spelled(column, value, about):
    until = datetime(2030, 1, 1, tzinfo=UTC)
    known = KnownDifference("a:1", "b:1", POINT, {"x": value}, "said", until, 1)
    assert covered(pa.table({"f.x": column}), [known]).tolist() == about


def test_a_value_that_a_feature_never_has_is_refused_and_no_p_value_is_0(world):
    log, _part, _folder = world
    said = {"decision_point": POINT, "models": ("bent:1", "plain:1"), "reason": "r"}
    with pytest.raises(UsageError, match="'items' is of type int64 and never 'three'"):
        register_known(log, **said, where={"items": "three"}, until="2025-01-01T00:00:00Z")
    assert (_p(0.0), _p(0.012345)) == ("< 1e-300", "0.012")


def test_the_weight_is_the_difference_times_its_cost(world):
    found = asked(world, tolerance=Tolerance("absolute", 1e-9), cost="items", keep=5)
    assert found.worst.num_rows == 5
    assert found.worst.column("weight").to_pylist() == pytest.approx([0.2 * 6] * 5)
    with pytest.raises(FeatureUnknown):
        asked(world, cost="colour")
    with pytest.raises(UsageError, match="Expected a number"):
        asked(world, cost="kind")


def test_the_champion_is_compared_by_what_it_recorded(world):
    found = asked(world, a="recorded", b="plain:1", threshold=0.5)
    assert found.account.rows == ROWS
    ((reason, count),) = found.account.lacking.items()
    assert (reason[:3], count) == ("b: ", ROWS // 97)
    assert {pair for pair in found.account.flips if pair[0] != pair[1]} == set()


def test_the_noise_floor_is_the_champion_against_itself(world, capsys, monkeypatch):
    log, part, folder = world
    assert asked(world).noise is None
    # The champion's own score, off by as much as bent:1 is where nobody pays in coins.
    (folder / "rules.py").write_text(
        "import numpy as np\nimport pandas as pd\n\ndef rules(frame):\n"
        "    score = 1 / (1 + np.exp(-frame['amount'] / 10)) + 1e-9\n"
        "    decision = ['block' if a > 0 else 'pass' for a in frame['amount']]\n"
        "    return pd.DataFrame({'score': score, 'decision': decision})\nrules.inputs = ('amount',)\n"
    )
    add_model(log, "py:rules:rules", name="rules", version="1", folder=folder)
    run_replay(log, "rules:1", decision_point=POINT, start=part[0], stop=part[1], folder=folder)
    found = asked(world)
    assert found.noise["models"] == ["rules:1"]
    assert found.noise["rows"] == ROWS - ROWS // 97
    assert found.noise["differing_decisions"] == 0
    assert found.noise["max_abs_difference"] == pytest.approx(1e-9, rel=1e-3)
    # All but coins differ by 1e-12, which is less than the champion differs from itself.
    assert found.below_noise == pytest.approx(ROWS * 2 / 3, rel=0.05)
    assert found.below_noise < found.account.by_state["differs"]
    monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
    run(["replay", "diff", "plain:1", "bent:1", "-d", POINT, "--from", str(part[0]), "--to", str(part[1])])
    text = capsys.readouterr().out
    assert f"noise      rules:1 scored again: 0 of {found.noise['rows']:,} decided anew" in text
    assert f"{found.below_noise:,} of the differences are no larger than that" in text


def test_the_command_says_it_exits_by_it_and_writes_the_rows(world, monkeypatch, capsys):
    log, part, folder = world
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
    words = ["replay", "diff", "plain:1", "bent:1", "-d", POINT, "--from", str(part[0]), "--to", str(part[1])]
    assert run([*words, "--tolerance", "decision", "-o", "worst.parquet"]) == 10
    text = capsys.readouterr().out
    assert "from pass to block" in text
    assert "flips it back" in text
    assert pq.read_table(folder / "worst.parquet").num_rows == 20
    assert run([*words, "--tolerance", "absolute:1", "--json"]) == 10  # a flip is one under any tolerance
    assert json.loads(capsys.readouterr().out)["states"]["differs"] > 50
    same = ["plain:1" if word == "bent:1" else word for word in words]
    assert run(same) == 0
    assert run([*words, "--tolerance", "close"]) == 2
    known = ["replay", "known-difference", "add", "plain:1", "bent:1", "-d", POINT, "--reason", "r"]
    assert run([*known, "--where", "kind", "--until", "2030-01-01T00:00:00Z"]) == 2
    both = ["--where", "kind=coin", "--where", "kind=card"]
    assert run([*known, *both, "--until", "2030-01-01T00:00:00Z"]) == 2
    assert run([*known, "--where", "kind=coin", "--until", "2030-01-01T00:00:00Z"]) == 0
    assert run([*words, "--tolerance", "absolute:1e-9"]) == 0
