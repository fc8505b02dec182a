"""What every state of the report is made of: invented figures, without chance, so that bytes stay."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from harness.beside import Aside
from harness.report import aggregate
from harness.report.data import (
    Command,
    Event,
    Gate,
    Levels,
    Look,
    Metric,
    Model,
    Plan,
    PlannedLook,
    Provenance,
    ReportData,
)
from harness.report.figures import (
    Absent,
    Missing,
    NoiseFloor,
    ScoreDifference,
    Serving,
    Slice,
    Slices,
    Stage,
)
from harness.report.findings import Promote, Verdict

START = datetime(2013, 5, 1, 4, 0, tzinfo=UTC)
COUNT = 6000
POINTS = (0.0011, 0.0003, -0.0009, -0.0016, -0.0025, -0.0036, -0.0041, -0.0045, -0.0047)
HALVES = (0.0061, 0.0036, 0.0027, 0.0023, 0.0021, 0.0019, 0.0018, 0.0017, 0.0016)
LOG_E = (-0.1, 0.4, 0.77, 2.0, 2.8, 3.1, 4.4, 5.6, 6.9)
NAIVE = (-5.5, 9.9, 12.7, 21.2, 22.0, 24.9, 26.3, 27.8, 29.4)


def spread(count: int, multiplier: int, offset: int = 0) -> np.ndarray:
    """Evenly spread numbers in [0, 1) without chance: an exact low-discrepancy sequence over integers."""
    steps = (np.arange(count, dtype=np.int64) * multiplier + offset) % 10_007
    return steps / 10_007


def scores(count: int = COUNT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Champion's scores, challenger's scores and labels of `count` decisions."""
    base = spread(count, 7_919) ** 2
    shift = (
        spread(count, 104_729, 5) + spread(count, 1_299_709, 11) + spread(count, 15_485_863, 3) - 1.5
    ) / 3
    champion = np.round(0.05 + 0.72 * base, 4)
    challenger = np.round(np.clip(0.03 + 0.9 * base + 0.42 * shift, 0.005, 0.99), 4)
    label = (spread(count, 49_979_687, 17) < 0.06 + 0.88 * base).astype(np.float64)
    return champion, challenger, label


def metric(**changes: object) -> Metric:
    made = Metric("Brier score", "Brier difference", "lower", 4, 0.0020)
    return replace(made, **changes)


def plan(**changes: object) -> Plan:
    made = Plan(
        policy="promotion",
        registered_at=216_371,
        alpha=0.05,
        unit="days",
        unit_note="local day at the origin",
        min_units=35,
        min_decisions=4_000,
        max_looks=12,
        every="weekly",
        exact=True,
        window_hours=24.0,
        expected=tuple(PlannedLook(START + timedelta(days=7 * k, hours=16), 6_280 * k) for k in range(1, 10)),
    )
    return replace(made, **changes)


def look(number: int, **changes: object) -> Look:
    """The look of this number (from 1) of a story that ends in a promotion at look 6."""
    at = (number - 1) % len(POINTS)
    point, half = POINTS[at], HALVES[at]
    made = Look(
        number=number,
        position=216_377 + 18_500 * number,
        time=START + timedelta(days=7 * number, hours=16),
        used=6_280 * number - 1_003,
        units=7 * number - 1,
        difference=point,
        low=round(point - half, 6),
        high=round(point + half, 6),
        state="PROMOTE" if number >= 6 else "HOLD",
        log_e=LOG_E[at],
        noninferior=number >= 3,
        superior=number >= 6,
        naive_z=NAIVE[at],
    )
    return replace(made, **changes)


def looks(count: int) -> tuple[Look, ...]:
    return tuple(look(number) for number in range(1, count + 1))


# The gates of a promotion, as `Gate` takes them.
_DIFFERENCE, _SHARE = ("passes", "difference", "above"), ("passes", "share", "above")
_GATES = (
    Gate(
        "Non-inferior", "primary", "upper end below +0.0020", *_DIFFERENCE, -0.0036, -0.0055, -0.0017, 0.0020
    ),
    Gate("Superior", "primary", "upper end below 0", *_DIFFERENCE, -0.0036, -0.0055, -0.0017, 0.0),
    Gate("Decisions flipped", "guardrail", "at most 15 %", *_SHARE, 0.125, 0.12, 0.129, 0.15),
    Gate(
        "Calibration error, difference",
        "guardrail",
        "at most +0.0050",
        *_DIFFERENCE,
        -0.048,
        -0.0538,
        -0.0422,
        0.005,
    ),
    Gate("Failed to score", "guardrail", "at most 0.1 %", *_SHARE, 0.00016, 0.00006, 0.00036, 0.001),
    Gate("Noise floor", "data", "0 differences", "passes", "words", words="0 of 37,640"),
    Gate(
        "Coverage, used of eligible", "data", "at least 95 %", "passes", "share", "below", 0.969, limit=0.95
    ),
    Gate("Matured and used", "data", "at least 35,000", "passes", "count", "below", 36_677, limit=35_000),
    Gate("Challenger trained until", "data", "before position 216,377", "passes", "words", words="214,880"),
)


def gates(**states: str) -> tuple[Gate, ...]:
    """The gates of a promotion; `states` says which do not pass, by the first words of their names."""
    return tuple(replace(gate, state=states.get(_key(gate.name), gate.state)) for gate in _GATES)


def _key(name: str) -> str:
    return name.split(",", maxsplit=1)[0].lower().replace(" ", "_").replace("-", "_")


def coverage() -> tuple[Stage, ...]:
    return (
        Stage("Eligible", 37_850),
        Stage(
            "Scored by both", 37_844, (("timeout, over 200 ms", 4), ("refused: unknown category in dest", 2))
        ),
        Stage("Matured", 37_691, (("younger than 24 h at this look", 153),)),
        Stage(
            "With an outcome",
            36_715,
            (("missing: no arrival", 872), ("late: after 24 h", 104), ("duplicate", 0)),
        ),
        Stage("Used", 36_677, (("excluded: weather older than 3 h", 38),)),
    )


def slices() -> Slices:
    names = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL")
    rows = []
    for index, name in enumerate(names):
        used = 9_723 - 880 * index if index < 10 else 478
        worse = name == "FL"
        point = 0.0160 if worse else -0.0047 + 0.0004 * (index % 3)
        half = 0.0028 + 0.0009 * index
        low, high = point - half, point + half
        state = "worse" if worse else "better" if high < 0 else "not separated"
        rows.append(Slice("Carrier", name, used, point, round(low, 5), round(high, 5), state))
    rows.append(Slice("Carrier", "5 others", 385, -0.0159, -0.0338, 0.0020, "not separated"))
    for name, point in (("EWR", -0.0060), ("JFK", -0.0047), ("LGA", -0.0028)):
        rows.append(
            Slice(
                "Origin",
                name,
                12_200,
                point,
                point - 0.0029,
                point + 0.0029,
                "better" if point < -0.003 else "not separated",
            )
        )
    return Slices(tuple(rows), "Flags are corrected for 15 slices (e-BH, 5 %).")


def serving() -> Serving:
    champion = 1.2 + 6.4 * spread(12_000, 7_919) ** 6
    challenger = 2.1 + 14.0 * spread(12_000, 104_729) ** 7
    return Serving(
        latency=aggregate.latency_rows(champion, challenger),
        timed=12_000,
        slo_ms=20.0,
        failures=(
            ("timeout", 4, "over 200 ms"),
            ("refused input", 2, "unknown category in dest"),
            ("crash", 0, ""),
        ),
        scorings=37_850,
    )


def difference(noise: NoiseFloor | Absent | None = None) -> ScoreDifference:
    champion, challenger, _ = scores()
    gap = challenger - champion
    start, width, counts, inside = aggregate.histogram(gap)
    floor = NoiseFloor(37_640, 0, 0, 0.0) if noise is None else noise
    middle = [round(float(v), 3) for v in np.quantile(gap, [0.5, 0.05, 0.95], method="inverted_cdf")]
    return ScoreDifference(start, width, counts, inside, *middle, floor)


def events(count: int) -> tuple[Event, ...]:
    made = [
        Event(
            214_902,
            START - timedelta(hours=30),
            "model hgb-apr:1 registered, trained until 214,880",
            "j.alvarez",
        ),
        Event(216_371, START - timedelta(minutes=2), "experiment registered, digest 7c19…54e2", "j.alvarez"),
    ]
    made += [
        Event(each.position, each.time, f"look {each.number}: {each.state}", "schedule")
        for each in looks(count)
    ]
    if count:
        made.append(
            Event(made[-1].position + 1, made[-1].time, f"verdict {looks(count)[-1].state}", "policy")
        )
    return tuple(made)


def provenance(position: int) -> Provenance:
    return Provenance(
        commands=(
            Command(
                "recompute the verdict from the log and compare it byte by byte",
                "harness verdict explain flights-late-hgb-apr",
            ),
            Command("check the chain up to the verdict", f"harness log verify --to {position}"),
            Command(
                "write this report again",
                f"harness report flights-late-hgb-apr --as-of {position} -o report.html",
            ),
        ),
        digests=(
            ("Log range", f"[216377, {position + 1}), head", "5f0a6be1d7c2" * 5 + "7d3e"),
            ("Experiment", "", "7c19f2a08b34" * 5 + "54e2"),
            ("Champion", "rule-jan:1", "d2f4417c90aa" * 5 + "0c18"),
            ("Challenger", "hgb-apr:1", "91be3355f6e0" * 5 + "aa47"),
            ("Evidence", "", "b40e62d9137f" * 5 + "1e91"),
        ),
    )


def asides() -> tuple[Aside, ...]:
    return (
        Aside(
            "brier: group-sequential, obrien-fleming, planned looks",
            "z -2.816, bound 2.040: told apart",
            "asymptotic",
            "units are independent and many, 61 of them are planned, and no look's time was chosen by "
            "what was seen",
        ),
        Aside(
            "brier: adjusted for covariates",
            "-0.0031 (-0.0052 to -0.0011), 32.4% of the variance less, e-value 71",
            "asymptotic",
            "units are independent, and the covariates' means are those that were registered",
        ),
        Aside(
            "latency_over: quantile 0.99, challenger",
            "16640 to no end; 480 decisions do not bound it from above yet",
            "exact",
            "given the decisions before it, each lies below the quantile alike often",
        ),
    )


def promote(count: int = 6) -> ReportData:
    """The complete page."""
    champion, challenger, label = scores()
    known = np.where(np.arange(label.size) % 40 == 0, np.nan, label)
    position = 216_377 + 18_500 * count
    ages = 3.0 + 6.0 * spread(35_600, 7_919) ** 2 + 8.0 * spread(35_600, 104_729) ** 12
    return ReportData(
        decision_point="flights.late",
        question="Will this flight arrive more than 15 minutes late?",
        predicts="late flights",
        experiment="flights-late-hgb-apr",
        position=position + 1,
        time=START + timedelta(days=7 * count, hours=16),
        champion=Model("rule-jan:1", (1, 52_612)),
        challenger=Model("hgb-apr:1", (1, 214_881)),
        metric=metric(),
        plan=plan(),
        verdict=Verdict(
            "PROMOTE",
            Promote(superior=True, flipped=0.125, finding="One carrier, FL, is predicted worse."),
            (0, 2),
        ),
        looks=looks(count),
        evaluated=(216_377, position),
        window=(START, START + timedelta(days=7 * count)),
        gates=gates(),
        levels=Levels(0.1884, 0.1848),
        coverage=coverage(),
        scores=aggregate.score_figure(
            champion, challenger, thresholds=(0.4, 0.4), names=("rule-jan:1", "hgb-apr:1")
        ),
        flips=aggregate.flip_figure(
            np.where(champion >= 0.4, "late", "on_time"),
            np.where(challenger >= 0.4, "late", "on_time"),
            known,
            words="late",
            positive_decision="late",
            threshold=0.4,
        ),
        calibration=aggregate.calibration_figure(champion, challenger, label, words="late"),
        differences=difference(),
        slices=slices(),
        serving=serving(),
        maturity=aggregate.maturity_figure(ages, mature=36_600, window_hours=24.0, label="arrived_late"),
        missing=Missing(976, -0.0013, -0.0064),
        bounds=None,
        events=(*events(count), Event(None, None, "two approvals, then the champion is replaced")),
        provenance=provenance(position + 1),
        asides=asides(),
        limits=(
            (
                "A shadow test is a paired prediction study, not a randomised experiment: it says which model"
                " predicted better, not what would have happened after the other answer."
            ),
            "May and June are two months of one year; the comparison holds for this range of the log.",
            (
                "Decisions of one day share their weather and are counted as one unit; weather that lasts "
                "over midnight is not modelled."
            ),
        ),
    )
