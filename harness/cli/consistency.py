"""`harness consistency check`: does the transformation of today compute what production served?"""

from pathlib import Path
from typing import Any

import click

from harness.cli.finite import Finite
from harness.cli.log import opened
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import range_of, range_options

INVALID = 30


@click.group()
def consistency() -> None:
    """Compare recomputed features with what was served."""


@consistency.command()
@click.argument("transformation", metavar="py:MODULE:FUNCTION")
@range_options
@click.option(
    "--raw",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parquet of raw inputs with decision_id. Default: the recorded fields of role context.",
)
@click.option("--feature-set", help="name:version, when the range holds several.")
@click.option(
    "--sample",
    type=Finite(),
    default=0.05,
    show_default=True,
    help="The share of decisions to recompute.",
)
@click.option("--seed", default="", help="Another seed is another sample.")
@click.option(
    "--tolerance",
    multiple=True,
    metavar="FEATURE=TOLERANCE",
    help="exact, ulp:N, abs:X or rel:X for a feature; repeatable. Default: exact.",
)
@folder_option
@json_option
def check(transformation: str, folder: Path | None, json: bool, **given: Any) -> int:
    """Recompute features on a seeded sample and compare cell by cell; exit code 30 when they differ."""
    from harness.cli.named_values import named_values
    from harness.consistency import Sample, check_consistency, read_raw
    from replay.consistency import Tolerance

    said = named_values("--tolerance", given["tolerance"], "FEATURE=TOLERANCE", "amount=abs:1e-9")
    tolerances = {name: Tolerance.parse(words) for name, words in said.items()}
    raw = None if given["raw"] is None else read_raw(given["raw"])
    with opened(folder) as log:
        first, after = range_of(log, given["decision_point"], given["start"], given["stop"])
        sample = Sample(
            given["decision_point"], first, after, given["sample"], given["seed"], given["feature_set"]
        )
        found = check_consistency(
            log, transformation, sample, raw=raw, tolerances=tolerances, folder=folder or Path.cwd()
        )
    emit({"agrees": found.agrees, "result": found}, json=json, text=lambda: _table(found))
    return 0 if found.agrees else INVALID


def _table(found: Any) -> str:
    point, span = found.decision_point, f"[{found.start}, {found.stop})"
    lines = [
        f"{found.transformation} on {found.sampled:,} of {found.decisions:,} decisions of {point} in {span}",
        f"{'feature':<24}{'rows':>10}{'mismatch':>10}{'missing':>9}{'extra':>8}{'special':>9}{'SMAPE':>12}",
    ]
    for field in found.fields:
        smape = "" if field.smape is None else f"{field.smape:.3g}"
        lines.append(
            f"{field.feature:<24}{field.rows:>10,}{field.mismatch:>10,}{field.missing:>9,}{field.extra:>8,}"
            f"{field.special:>9,}{smape:>12}"
        )
    worst = [(field.feature, row) for field in found.fields for row in field.worst]
    if worst:
        lines.append("worst rows")
        lines += [
            f"  {feature:<22}{row['decision_id']}: served {row['served']!r}, now {row['recomputed']!r}"
            for feature, row in worst
        ]
    if found.absent:
        lines.append(f"{found.absent:,} sampled decisions have no raw inputs.")
    lines.append("They agree." if found.agrees else "They differ.")
    return "\n".join(lines)
