"""Laws of the join: equal to a slow, obvious oracle; a function of the prefix; every row accounted for."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.columns import ids
from replay.id_index import IdIndex
from replay.join import OUTCOMES, REASONS, OneLabel, join, one_label
from replay.ranges import AsOf

T0 = datetime(2013, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
DECISIONS = pa.schema([("position", pa.int64()), ("decision_id", pa.string()), ("occurred_at", INSTANT)])
OUTCOME_ROWS = pa.schema(
    [
        ("position", pa.int64()),
        ("decision_id", pa.string()),
        ("label", pa.string()),
        ("value", pa.float64()),
        ("occurred_at", INSTANT),
    ]
)

names = st.sampled_from(["a", "b", "c", "d", "é"])
minutes = st.integers(0, 12)
decision = st.tuples(st.just("decision"), names, minutes, st.booleans())
outcome = st.tuples(
    st.just("outcome"),
    names,
    minutes,
    st.tuples(st.sampled_from(["late", "late", "fraud"]), st.sampled_from([0.0, 1.0, None, float("nan")])),
)
histories = st.lists(st.one_of(decision, outcome), max_size=40)


def tables(history):
    decisions, outcomes, excluded = [], [], []
    for position, (kind, name, minute, more) in enumerate(history, start=1):
        at = T0 + timedelta(minutes=minute)
        if kind == "decision":
            decisions.append({"position": position, "decision_id": name, "occurred_at": at})
            excluded.append(more)
        else:
            label, value = more
            row = {
                "position": position,
                "decision_id": name,
                "label": label,
                "value": value,
                "occurred_at": at,
            }
            outcomes.append(row)
    return (
        pa.Table.from_pylist(decisions, schema=DECISIONS),
        pa.Table.from_pylist(outcomes, schema=OUTCOME_ROWS),
        pa.array(excluded, pa.bool_()),
    )


def latest_within(history, name, until):
    """The latest outcome of `name` that happened by `until`, and whether one came that happened later."""
    latest, came_late = None, False
    for at, (kind, of, minute, more) in enumerate(history, start=1):
        if kind == "outcome" and of == name and more[0] == "late":
            happened = T0 + timedelta(minutes=minute)
            latest, came_late = (latest, True) if happened > until else ((at, happened, more[1]), came_late)
    return latest, came_late


def oracle(history, position, now, window):
    """What the definition says, one event at a time."""
    kept, reasons, seen = [], dict.fromkeys(REASONS, 0), set()
    for at, (kind, name, minute, excluded) in enumerate(history[:position], start=1):
        if kind != "decision":
            continue
        decided = T0 + timedelta(minutes=minute)
        latest, came_late = latest_within(history[:position], name, decided + window)
        if name in seen:
            reasons["duplicate"] += 1
        elif excluded:
            reasons["excluded"] += 1
        elif now - decided < window:
            reasons["immature"] += 1
        elif latest is None and came_late:
            reasons["late"] += 1
        elif latest is None or latest[2] is None or latest[2] != latest[2]:
            reasons["missing"] += 1
        else:
            kept.append((at, name, latest[2], *latest[:2]))
        seen.add(name)
    return kept, reasons


def as_of(position, minute):
    return AsOf(epoch=1, position=position, time=T0 + timedelta(minutes=minute), digest="0" * 64)


def rows(joined):
    columns = ["position", "decision_id", "label", "outcome_position", "outcome_occurred_at"]
    return list(zip(*(joined.table.column(name).to_pylist() for name in columns), strict=True))


@settings(max_examples=300)
@given(histories, st.integers(0, 45), st.integers(0, 20), st.integers(0, 8))
def test_it_equals_the_oracle_and_accounts_for_every_row(history, position, minute, width):
    decisions, outcomes, excluded = tables(history)
    window = timedelta(minutes=width)
    at = as_of(position, minute)
    joined = join(decisions, outcomes, as_of=at, window=window, label="late", exclude=excluded)
    assert (rows(joined), joined.reasons) == oracle(history, position, at.time, window)
    assert joined.rows_in == joined.table.num_rows + sum(joined.reasons.values())
    assert joined.rows_in == sum(kind == "decision" for kind, *_ in history[:position])
    assert set(joined.outcomes) == set(OUTCOMES)
    assert sum(joined.outcomes.values()) == sum(kind == "outcome" for kind, *_ in history[:position])
    assert joined.outcomes["used"] == joined.table.num_rows


@given(histories, st.integers(0, 45), st.integers(0, 20), st.integers(0, 40))
def test_outcomes_that_were_sorted_before_join_alike(history, position, minute, cut):
    at, (decisions, outcomes, _excluded) = as_of(position, minute), tables(history)
    how = {"as_of": at, "window": timedelta(minutes=3), "label": "late"}
    expected = join(decisions, outcomes, **how)
    before = []
    for table in (outcomes.slice(0, cut), outcomes.slice(cut)):
        of_label = one_label(table, "late", position)
        keys = IdIndex(of_label.names.ids).by_key
        before.append(OneLabel(of_label.table, IdIndex(of_label.names.ids, keys), of_label.other_label))
    decisions = decisions.filter(pc.less_equal(decisions.column("position"), position))
    index = IdIndex(ids(decisions.column("decision_id"), "decision_id"))
    found = join(decisions, before, **how, index=index)
    assert rows(found) == rows(expected)
    assert (found.reasons, found.outcomes) == (expected.reasons, expected.outcomes)


@given(histories, st.integers(0, 45), st.integers(0, 20), st.randoms(use_true_random=False))
def test_it_is_a_function_of_the_prefix_in_any_order_and_layout(history, position, minute, random):
    window, at = timedelta(minutes=3), as_of(position, minute)
    decisions, outcomes, excluded = tables(history)
    expected = join(*tables(history[:position])[:2], as_of=at, window=window, label="late")

    def shuffled(table):
        order = list(range(table.num_rows))
        random.shuffle(order)
        cut = random.randint(0, len(order))
        mixed = table.take(pa.array(order, pa.int64()))
        mixed = pa.concat_tables([mixed.slice(0, cut), mixed.slice(cut)])
        return mixed.set_column(1, "decision_id", mixed.column("decision_id").dictionary_encode())

    found = join(shuffled(decisions), shuffled(outcomes), as_of=at, window=window, label="late")
    assert rows(found) == rows(expected)
    assert (found.reasons, found.outcomes, found.rows_in) == (
        expected.reasons,
        expected.outcomes,
        expected.rows_in,
    )
    assert excluded is not None


@given(histories, st.integers(0, 20))
def test_later_outcomes_never_change_what_was_known(history, minute):
    window, at = timedelta(minutes=3), as_of(len(history), minute)
    later = [*history, *(("outcome", name, 0, ("late", 9.0)) for name in "abcd")]
    assert rows(join(*tables(history)[:2], as_of=at, window=window, label="late")) == rows(
        join(*tables(later)[:2], as_of=at, window=window, label="late")
    )
