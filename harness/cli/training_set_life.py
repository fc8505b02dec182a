"""`harness training-set extend | diff | prove | check-proof`: what becomes of a set after it was cut."""

from pathlib import Path

import click

from harness.cli.log import opened
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import edge
from harness.cli.training_set_text import summary, taken_over
from harness.written import written


@click.command()
@click.argument("before", metavar="ID|FOLDER")
@click.argument("after", metavar="ID|FOLDER")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows as Parquet.")
@folder_option
@json_option
def diff(before: str, after: str, out: Path | None, folder: Path | None, json: bool) -> None:
    """Show which rows were added, matured, corrected, relabelled, erased or removed between two sets."""
    import pyarrow.parquet as pq

    from harness.cli.progress import progress
    from harness.training.compare import diff_training_sets, readings

    with opened(folder) as log:
        total = sum(readings(log, name) for name in (before, after))
        with progress(total, "comparing", quiet=json) as done:
            found = diff_training_sets(log, before, after, done)
    if out is not None:
        with written(out), out.open("wb") as file:  # by its name, Arrow would remove what it cannot write
            pq.write_table(found.rows, file)
    lines = [f"{kind:<12}{rows:>12,}" for kind, rows in found.counts.items()]
    if found.apart:
        lines.append(f"The specifications differ in {', '.join(found.apart)}: rows come and go by that too.")
    data = {"before": before, "after": after, "counts": found.counts, "rows": out, "apart": found.apart}
    emit(data, json=json, text="\n".join(lines))


@click.command()
@click.argument("target", metavar="ID|FOLDER")
@click.argument("decision_id")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: the standard output.")
@folder_option
@json_option
def prove(target: str, decision_id: str, out: Path | None, folder: Path | None, json: bool) -> None:
    """Prove that a decision is a row of a set: a file that "check-proof" reads without any log."""
    import msgspec

    from harness.training.folder import named
    from harness.training.proof import prove_row

    name, backfill = named(target)
    with opened(folder) as log:
        proof = prove_row(log, name, decision_id, backfill=backfill)
    text = msgspec.json.encode(proof).decode()
    if out is not None:
        with written(out):
            out.write_text(text, encoding="utf-8")
        text = f"{decision_id} is row {proof.index + 1:,} of {proof.rows:,} of {name}; the proof is in {out}"
    emit(proof, json=json, text=text)


@click.command("check-proof")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def check_proof(file: Path, json: bool) -> None:
    """Check a proof of a row; exit code 40 when it does not hold. Needs no log and no database."""
    from harness.training.proof import check_row_proof

    proof = check_row_proof(file.read_bytes())
    text = (
        f"{proof.decision_id} is a row of {proof.set} if the event at position {proof.rooted_at} of log "
        f'{proof.log} names the root\n{proof.root}\nas "harness log prove {proof.rooted_at}" shows.'
    )
    emit(proof, json=json, text=text)


@click.command()
@click.argument("name", metavar="ID|FOLDER")
@click.option(
    "--to", "stop", metavar="PLACE", help="First position or time after the range. Default: the end."
)
@click.option("--as-of", metavar="PLACE", help="Where the longer set is known. Default: the end.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The longer set's own folder.")
@folder_option
@json_option
def extend(
    name: str, stop: str | None, as_of: str | None, out: Path | None, folder: Path | None, json: bool
) -> None:
    """Continue a set to a later place: with new decisions, and what matured or was corrected since."""
    import msgspec

    from harness.cli.progress import progress
    from harness.training.extend import extend_training_set
    from harness.training.sets import Place

    with opened(folder) as log:
        to = None if stop is None else edge(log, stop)
        place = Place(out, folder or Path.cwd())
        with progress(None, "extending", quiet=json) as done:
            made, reused = extend_training_set(log, name, to=to, as_of=as_of, place=place, progress=done)
    emit(
        {"folder": made.folder, **made.manifest, "reused": msgspec.to_builtins(reused)},
        json=json,
        text=f"{summary(made.manifest)}\nfolder   {made.folder}\n{taken_over(reused)}",
    )
