"""What each key of an experiment file means: one text for the template, the reference and its test."""

import datetime as dt
import re
from collections.abc import Iterator

import msgspec

from harness.experiment_file import ExperimentFile
from harness.strict_toml import describe, field_of, known_keys

TABLES = {
    "": "Top of the file",
    "experiment": "What is asked, where, and by whom.",
    "window": "Which decisions count. Half-open; both ends are times with offset, or both are positions.",
    "champion": "The model whose recorded decisions are compared against.",
    "challenger": "The candidate, which never acts.",
    "label": "The outcome that both models are judged by.",
    "unit": "What counts as one independent observation.",
    "metrics": "One table for each figure by which the models differ.",
    "policy": "The rule from evidence to verdict. Nothing outside this file can change it.",
    "slices": "Where harm is searched for, if it is: every level of every column is a slice.",
    "wealth": "The ledger that a sequence of candidates draws its levels from, if there is one.",
    "retraining": 'What a proof of retraining must show, for policy "retraining".',
    "rivals": "Whom the challenger must beat too, and the past that is the reference. Half-open.",
    "arms": "In which shares decisions come, where traffic was split by chance; other shares are INVALID.",
    "completeness": "Which decisions must not lack the challenger's answer, each level for itself; where "
    "more do, the look is INVALID.",
    "looks": "How often somebody intends to look. Looks at other times are as valid.",
}

KEYS = {
    "schema": "The version of this format.",
    "experiment.id": "Its name for ever: a changed experiment is a new id.",
    "experiment.decision_point": "The named place in production where a model decides.",
    "experiment.question": "The question in one sentence, as the report prints it.",
    "experiment.owner": "Who answers for it.",
    "window.from": "The first that counts. A time selects decisions by when they occurred.",
    "window.to": "The end, not counted itself.",
    "champion.uri": "What was decided live, as it was recorded.",
    "champion.rescore": "A registered copy of the champion, scored again for the noise floor.",
    "challenger.model": "A registered model, as name:version.",
    "label.name": "The name under which the outcomes are recorded.",
    "label.window": "The age at which a decision counts, however early its outcome came.",
    "unit.kind": "request: each decision. column: the recorded unit. day: the local calendar day.",
    "unit.timezone": 'The time zone of the local day, for kind "day".',
    "metrics.name": "Which metric; py:module:function is one of your own.",
    "metrics.role": "primary: it decides. guardrail: it must not be harmed. context: it is only shown.",
    "metrics.direction": "Which way is better; known for most metrics.",
    "metrics.identification": (
        "direct: the outcome does not depend on the decision. logged_action: it is seen only for what was "
        "decided. blocked: a blocked request never shows it."
    ),
    "metrics.clip": "A unit's paired difference is held to plus or minus this much.",
    "metrics.margin": "How much worse is still no worse, in the metric's unit.",
    "metrics.hypotheses": "What is tested; by default what the policy needs for the role.",
    "metrics.threshold": "A score of at least this much counts as positive.",
    "metrics.positive_decision": "The decision that counts as positive, in place of a threshold.",
    "metrics.bound": "The largest value of a metric that has no bound of its own.",
    "metrics.epsilon": "Where probabilities stop in log_loss.",
    "metrics.cost": "The cost of a true positive, false positive, false negative and true negative.",
    "metrics.gain": "What the same four cells gain, for profit; the numerator of a ratio.",
    "metrics.per": "What the same four cells add to the denominator of a ratio.",
    "metrics.reference": "The ratio that is to be beaten.",
    "metrics.quantile": "For pinball: the share of labels that should lie below the score.",
    "metrics.prior": "The spread of differences that were plausible before the data: asks for a posterior, "
    "which is shown and never gates.",
    "metrics.slo_us": "For latency_over: the latency that an answer should not exceed, in microseconds.",
    "metrics.k": "For ndcg: how many of a group's first places count.",
    "metrics.bins": "For calibration_error: the number of bins of equal width.",
    "metrics.least": "For metrics of groups: the fewest positives (auc: of either label) a group needs.",
    "metrics.features": "For a function of your own: the features it reads, as columns f.<name>.",
    "metrics.source": "The digest of your own function's source; filled in when the file is read.",
    "metrics.weight_max": "For logged_action: the largest weight, 1 over the smallest propensity that the "
    "exploration of the log gives. With it the metric is estimated from propensities.",
    "metrics.weight_clip": "For logged_action: where its sequences cut weights; by default at weight_max.",
    "metrics.reward_model": "For logged_action: py:module:function that predicts the metric's value of a "
    "decision, for the doubly robust estimate.",
    "metrics.blocked_decision": "For blocked: the decision that hides the outcome. With it the metric is "
    "bounded, whatever is hidden.",
    "metrics.effect": "For blocked: the difference that exploration should be able to show.",
    "metrics.covariates": "Features that were known before the decision, to adjust the difference for; it is "
    "shown and never gates.",
    "metrics.covariate_means": "The mean of each covariate in the population that is asked about.",
    "metrics.planned_units": "The units that are planned: where the adjusted sequence, and what stands "
    "beside the gate, is sharpest.",
    "metrics.planned_variance": "The planned variance of a unit's difference: asks for the self-normalised "
    "e-value, the asymptotic sequence and the planned tests beside the gate.",
    "metrics.planned": "Tests that are right where their looks were planned, shown beside the gate: "
    "obrien-fleming and pocock (group-sequential, at the share of planned_units that was seen), mcnemar, "
    "tost, delong and wilson (at one look).",
    "metrics.quantiles": "Shares, such as 0.99: sequences of that quantile of both models' values, of "
    "latency_over in microseconds; they are shown and never gate.",
    "metrics.ask_every": "For latency_over: the challenger is asked one of so many decisions alone and "
    "timed. It must be said where that gates.",
    "metrics.discordant_pairs": "For metrics of 0 and 1 without a margin: the sequential McNemar test in "
    "place of the betting grid, sharpest at so many pairs that differ.",
    "metrics.outside": "What happens to a value beyond the bounds; it is counted either way.",
    "policy.name": "promotion: the challenger must win. noninferiority: not lose. equivalence: neither. "
    "rollback: the challenger was live before, and one metric on which it is better is enough. retraining: "
    "it was trained on the recent log, and the seven parts of the proof must pass.",
    "policy.alpha": "The chance of a wrong promotion, over all looks together.",
    "policy.min_units": "The least independent units before a promotion.",
    "policy.min_decisions": "The least mature, used decisions before a promotion.",
    "policy.max_looks": "The most looks.",
    "policy.max_failed_share": "The largest share of decisions that the challenger may fail to score.",
    "policy.min_coverage": "The least share of mature decisions that could be used.",
    "policy.max_repeats": 'The largest share of decisions whose unit came before, for unit kind "request".',
    "policy.max_noise_share": "The largest share of decisions that the champion, scored again, decides anew; "
    "of scores where no decision was recorded.",
    "policy.max_noise_difference": "The largest change of one of the champion's scores when scored again; "
    "smaller ones are no difference.",
    "policy.grid": "The bets that the e-value mixes, geometric, as shares of the largest possible bet.",
    "policy.primaries": "all: every primary metric must be shown. bonferroni, holm: one is enough, at a "
    "level corrected for their number. average: their mean e-value is enough.",
    "slices.columns": "The features whose levels are slices: categories, text, bools or whole numbers.",
    "slices.metric": "The metric that is searched; by default the first primary one.",
    "slices.margin": "How much worse is no harm yet, in the metric's unit.",
    "slices.levels": "How many levels of a column have a slice of their own; all others share one.",
    "wealth.ledger": "Its name. The policy's alpha is that of the whole ledger, the same in all of it.",
    "wealth.control": "share: alpha is the expected share of wrong promotions. any: the chance of one.",
    "retraining.margin": "How much better than the champion a challenger must be, in the metric's unit.",
    "retraining.slice_margin": "How much worse it may be on a guarded slice.",
    "retraining.min_coverage": "The least share of matured decisions with a label.",
    "retraining.max_label_bias": "The largest distance between the scores of decisions with and without a "
    "label, from 0 to 1.",
    "retraining.max_skew": "The largest share of the champion's scores that another value comes of again.",
    "retraining.decisions_per_day": "The traffic that a gain is counted on.",
    "retraining.horizon_days": "How long the retrained model is to pay.",
    "retraining.worth": "What one unit of the metric on one decision is worth.",
    "retraining.cost": "What retraining costs, in the same currency.",
    "retraining.cooldown_days": "The least time since the last retraining at the decision point.",
    "rivals.all": "A registered model trained on all of the log; [challenger] is that of the recent log.",
    "rivals.from": "The first position or time of the reference: the champion is recalibrated there.",
    "rivals.to": "Its end, before the window.",
    "arms.feature": "The feature that names the arm.",
    "arms.levels": "The arms. A decision of any other arm is INVALID.",
    "arms.shares": "The share of each arm, 1 in all.",
    "arms.alpha": "The chance of a false alarm, over all looks together.",
    "completeness.levels": "The levels that are watched; all others share one.",
    "completeness.feature": "The feature whose levels they are; by default the live decision.",
    "completeness.limit": "The largest share of a level that may lack the challenger's answer.",
    "completeness.alpha": "The chance of a false alarm on any of them, over all looks together.",
    "looks.every": "The intended time between looks.",
}


class KeyReference(msgspec.Struct, frozen=True):
    """One key of a table: what it may hold and what it means. A `default` of None: it must be given."""

    table: str
    key: str
    holds: str
    default: str | None
    meaning: str


def reference() -> list[KeyReference]:
    """Return every key of an experiment file, in file order; the structs are the only source of keys."""
    return [_key(table, key) for table, keys in known_keys(ExperimentFile).items() for key in keys]


def _key(table: str, key: str) -> KeyReference:
    field = field_of(ExperimentFile, table, key)
    name = f"{table}.{key}" if table else key
    return KeyReference(
        table=table,
        key=key,
        holds=describe(field.type),
        default=None if field.required else _toml(field.default),
        meaning=KEYS[name],
    )


def _toml(value: object) -> str:
    if value is None or value is msgspec.UNSET or value in ((), ""):
        return "unset"
    if isinstance(value, msgspec.Struct):
        return str(list(msgspec.structs.astuple(value)))
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def markdown() -> str:
    """Return the reference as the tables of docs/experiments.md."""
    return "\n".join(_sections())


def _sections() -> Iterator[str]:
    keys = reference()
    for table, sentence in TABLES.items():
        title = {"": TABLES[""], "metrics": "`[[metrics]]`"}.get(table, f"`[{table}]`")
        yield f"### {title}\n"
        if table:
            yield f"{sentence}\n"
        yield "| key | holds | default | meaning |\n|---|---|---|---|"
        for each in keys:
            if each.table == table:
                default = "required" if each.default is None else f"`{each.default}`"
                yield f"| `{each.key}` | {each.holds} | {default} | {each.meaning} |"
        yield ""


def template(values: dict[str, str], *, start: dt.datetime, stop: dt.datetime) -> str:
    """Return a commented experiment file that lints clean, with the given values by dotted key.

    Keys that must be given are written out, the others, and tables that may be left out, stand as comments.
    """
    given = {
        "experiment.question": "Is the challenger better than the champion?",
        "experiment.owner": "team@example.com",
        "window.from": start.isoformat(),
        "window.to": stop.isoformat(),
        "label.window": "24h",
        "unit.kind": "request",
        "metrics.name": "brier",
        "metrics.role": "primary",
        **values,
    }
    lines = [f"# {line}" for line in _HEADING]
    keys = reference()
    for table, sentence in TABLES.items():
        if table:
            head = "[[metrics]]" if table == "metrics" else f"[{table}]"
            lines += ["", f"# {sentence}", f"# {head}" if table in _OPTIONAL else head]
        for each in keys:
            if each.table == table:
                lines += _template_key(each, given)
    return "\n".join(lines) + "\n"


_OPTIONAL = frozenset(
    field.name for field in msgspec.structs.fields(ExperimentFile) if field.default is msgspec.UNSET
)
_HEADING = (
    "An experiment: registered before its data is looked at, and never changed after.",
    'Check it with "harness experiment lint", register it with "harness experiment register".',
)


def _template_key(each: KeyReference, given: dict[str, str]) -> Iterator[str]:
    name = f"{each.table}.{each.key}" if each.table else each.key
    yield f"# {each.meaning} Holds {each.holds}."
    if name in given:
        value = given[name]
        quoted = value if each.table == "window" else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        yield f"{each.key} = {quoted}"
    elif each.key == "schema":
        yield f"schema = {each.default}"
    else:
        yield f"# {each.key} = {each.default or '...'}"
