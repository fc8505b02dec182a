"""Where the models differ: scores, decisions, calibration, and how much of it is noise of the harness."""

from itertools import pairwise

from harness.report import numbers as n
from harness.report.charts.calibration import FEWEST_BINS, calibration_chart
from harness.report.charts.differences import difference_chart
from harness.report.charts.flips import flip_chart, flip_table, named_cells
from harness.report.charts.hexbin import hexbin_chart, key_chart
from harness.report.charts.score_strip import strip_chart
from harness.report.data import ReportData
from harness.report.figure import NOTHING, Table, absent, figure, heading, pair
from harness.report.figures import Absent, Calibration, Flips, ScoreDifference, Scores
from harness.report.markup import Markup
from harness.report.scales import decimals
from harness.report.sections.frame import section


def differ(data: ReportData) -> Markup:
    """Return the section of four figures."""
    parts = (data.scores, data.flips, data.calibration, data.differences)
    if all(isinstance(part, Absent) for part in parts):
        assert isinstance(data.scores, Absent), "checked above"
        return section("differ", "Where they differ", absent(data.scores.sentence))
    upper = pair(_scores(data), _flips(data))
    lower = pair(_calibration(data), difference_figure(data))
    return section("differ", "Where they differ", upper, lower, rail=_rail(data))


def _rail(data: ReportData) -> tuple[str, ...]:
    if isinstance(data.scores, Absent):
        return ()
    notes = [f"{n.count(data.scores.total)} decisions that both models scored."]
    first, second = data.scores.champion_threshold, data.scores.challenger_threshold
    if first is not None and first == second:
        notes.append(f"Threshold {n.plain(first, 2)} for both.")
    if data.scores.outside:
        notes.append(f"{n.percent_fine(data.scores.outside)} of the scores lie outside the plot.")
    return tuple(notes)


def _scores(data: ReportData) -> Markup:
    title = heading("Scores", "both models, same snapshots")
    scores = data.scores
    if isinstance(scores, Absent):
        return absent(scores.sentence, title=title)
    flips = data.flips if isinstance(data.flips, Flips) else None
    what = f"probability of {flips.positive}" if flips is not None and flips.positive else "score"
    names = {"champion": data.champion.name, "challenger": data.challenger.name}
    if scores.constant is not None:
        drawings = [strip_chart(scores, **names)]
    else:
        drawings = [hexbin_chart(scores, **names, what=what, flips=flips)]
    if not scores.points:
        drawings.append(key_chart())
    return figure(
        *drawings, title=title, finding=_scores_finding(scores), change=NOTHING, table=_bands(scores)
    )


def _scores_finding(scores: Scores) -> str:
    if scores.constant is not None:
        return f"The scores of {scores.constant} never vary, so the models are drawn side by side."
    total = sum(sum(row) for row in scores.bands) or 1
    same = sum(scores.bands[i][i] for i in range(len(scores.bands))) / total
    above = sum(c for i, row in enumerate(scores.bands) for j, c in enumerate(row) if j > i) / total
    below = max(0.0, 1 - same - above)
    lean = "higher" if above >= below else "lower"
    return (
        f"Both scores lie in the same fifth of the scale in {n.percent(same, 0)} of decisions; elsewhere "
        f"the challenger’s is {lean} in {n.percent(max(above, below) / max(1 - same, 1e-9), 0)}."
    )


def _bands(scores: Scores) -> Table:
    size = (scores.high - scores.low) / len(scores.bands)
    places = max(1, decimals(size))
    edges = [scores.low + size * index for index in range(len(scores.bands) + 1)]
    names = [f"{n.plain(low, places)} to {n.plain(high, places)}" for low, high in pairwise(edges)]
    rows = [[name, *(n.count(count) for count in row)] for name, row in zip(names, scores.bands, strict=True)]
    return Table("Decisions by score band, champion in rows", ["Champion", *names], rows)


def _flips(data: ReportData) -> Markup:
    title = heading("Decisions flipped", "matured ones with their outcome")
    flips = data.flips
    if isinstance(flips, Absent):
        return absent(flips.sentence, title=title)
    names = {"champion": data.champion.name, "challenger": data.challenger.name}
    drawings = [flip_table(flips, **names)]
    dots = flip_chart(flips, **names)
    if dots is not None:
        drawings.append(dots)
    return figure(*drawings, title=title, finding=_flips_finding(data, flips), change=_flips_change(data))


def _flips_finding(data: ReportData, flips: Flips) -> str:
    if flips.flipped == 0:
        return f"0 decisions flip: both models decide alike in all {n.count(flips.scored)}."
    share = flips.flipped / flips.scored
    said = f"{n.count(flips.flipped)} decisions flip, {n.percent(share)} of those scored."
    rows = [
        row
        for row in named_cells(flips, champion=data.champion.name, challenger=data.challenger.name)
        if row[2]
    ]
    known = [(label, cell.share_positive) for label, cell, _ in rows if cell.share_positive is not None]
    if len(known) != 2:  # noqa: PLR2004 -- both kinds of flip
        return said
    clauses = [f"where {label}, {n.percent(value)} were {flips.positive}" for label, value in known]
    said += f" {clauses[0][:1].upper()}{clauses[0][1:]}; {clauses[1]}."
    if flips.threshold is None:
        return said
    (_, lost), (_, won) = known
    right = (won >= flips.threshold) + (lost < flips.threshold)
    words = ("Neither kind of flip goes", "One kind of flip goes", "Both kinds of flip go")[right]
    return f"{said} {words} the right way."


def _flips_change(data: ReportData) -> str:
    for gate in data.gates:
        if "flip" in gate.name.lower() and gate.limit is not None:
            return f"more than {n.percent_tight(gate.limit)} of decisions flipped."
    return NOTHING


def _calibration(data: ReportData) -> Markup:
    title = heading("Calibration", "observed against predicted")
    calibration = data.calibration
    if isinstance(calibration, Absent):
        return absent(calibration.sentence, title=title)
    if min(len(calibration.champion), len(calibration.challenger)) < FEWEST_BINS:
        return absent(
            f"Too few decisions were {calibration.positive} for three bins of 50 each; "
            f"the mean gap is {n.signed(calibration.champion_gap, 4)} for the champion and "
            f"{n.signed(calibration.challenger_gap, 4)} for the challenger.",
            title=title,
        )
    return figure(
        calibration_chart(calibration, champion=data.champion.name, challenger=data.challenger.name),
        title=title,
        finding=_calibration_finding(calibration),
        change=_calibration_change(data),
        table=_bins(calibration),
    )


def _calibration_finding(calibration: Calibration) -> str:
    def side(gap: float) -> str:
        if abs(gap) < 0.00005:  # noqa: PLR2004 -- rounds to 0.0000
            return "predicts the mean exactly"
        return f"predicts too {'low' if gap > 0 else 'high'} by {n.plain(abs(gap), 4)} on average"

    return (
        f"The champion {side(calibration.champion_gap)}; the challenger {side(calibration.challenger_gap)}. "
        f"Whiskers: 95{n.THIN}% Wilson intervals of each bin, at this look alone."
    )


def _calibration_change(data: ReportData) -> str:
    for gate in data.gates:
        if "calibration" in gate.name.lower() and gate.limit is not None:
            return f"a calibration error beyond {n.signed(gate.limit, gate.decimals)}."
    return "nothing by itself: no gate of this policy reads calibration."


def _bins(calibration: Calibration) -> Table:
    rows = []
    most = max(len(calibration.champion), len(calibration.challenger))
    for index in range(most):
        row = [str(index + 1)]
        for bins in (calibration.champion, calibration.challenger):
            known = index < len(bins)
            row += (
                [n.plain(bins[index].predicted, 3), n.plain(bins[index].observed, 3)]
                if known
                else ["none", "none"]
            )
        rows.append(row)
    columns = ("Bin", "Champion predicted", "observed", "Challenger predicted", "observed")
    return Table(f"Calibration in {most} bins", columns, rows)


def difference_figure(data: ReportData) -> Markup:
    """Return the score difference with its noise floor; in INVALID it proves the defect."""
    title = heading("Score differences and noise floor", "one axis")
    difference = data.differences
    if isinstance(difference, Absent):
        return absent(difference.sentence, title=title)
    return figure(
        difference_chart(difference),
        title=title,
        finding=_floor_finding(difference),
        change=_floor_change(data),
        table=_histogram(difference),
    )


def _floor_change(data: ReportData) -> str:
    if data.verdict.state == "INVALID":
        return "a champion that decides again as it decided live, within the registered tolerance."
    return "a champion that decides differently beyond the registered tolerance gives INVALID."


def _floor_finding(difference: ScoreDifference) -> str:
    noise = difference.noise
    if isinstance(noise, Absent):
        return f"The champion was not re-scored: {noise.sentence}"
    if noise.differing == 0:
        return (
            "The champion, re-scored on its own snapshots, gives the recorded score every time, "
            "so no part of the spread above is noise of the harness."
        )
    flips = f"{n.count(noise.differing_decisions)} decisions" if noise.differing_decisions else "no decision"
    return (
        f"The champion, re-scored on its own snapshots, differs in {n.count(noise.differing)} of "
        f"{n.count(noise.rows)} scores, by at most {noise.largest:.2g}, and in {flips}."
    )


def _histogram(difference: ScoreDifference) -> Table:
    """Return the histogram in at most twelve rows."""
    count = len(difference.counts)
    group = -(-count // 12)
    places = max(2, decimals(difference.width))
    rows = []
    for first in range(0, count, group):
        last = min(first + group, count)
        ends = (difference.start + difference.width * first, difference.start + difference.width * last)
        rows.append(
            (
                n.signed(ends[0], places),
                n.signed(ends[1], places),
                n.count(sum(difference.counts[first:last])),
            )
        )
    inside = n.percent_fine(difference.inside)
    return Table(f"Score difference, {inside} of decisions", ("From", "To", "Decisions"), rows)
