"""`harness log recover`: take a restored log to where all that is known of it agrees again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from msgspec import to_builtins

from harness.cli.output import emit, folder_option, json_option

_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHOWN = 20


@click.command()
@click.option("--receipts", type=_FILES, multiple=True,
              help='What "harness sidecar receipts" printed on a host. Repeat it for more.')  # fmt: skip
@click.option("--against", type=_FILES, multiple=True,
              help="A checkpoint kept elsewhere, or an anchor's file. Repeat it for more.")  # fmt: skip
@click.option("--key", "believed", default=None, help="The log's public key, for --against.")
@click.option("--unsigned", is_flag=True,
              help="The private key is lost: who believes it will not believe the new epoch.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what is lost and what comes back; change nothing.")
@folder_option
@json_option
def recover(
    *,
    receipts: tuple[Path, ...],
    against: tuple[Path, ...],
    believed: str | None,
    unsigned: bool,
    dry_run: bool,
    folder: Path | None,
    json: bool,
) -> None:
    """Recover a log that was restored from a backup: before anything is appended to it.

    Compares it with segments, this host's memory, receipts and checkpoints; names what is lost, and what
    refers to it; takes back what segments hold, to the byte; raises the epoch. Then sidecars ship again what
    they kept. Killed at any point, run it again.
    """
    from harness.cli.log_integrity import opened, public_key
    from harness.cli.progress import progress
    from harness.integrity.checkpoint import origin_of
    from harness.integrity.log_keys import epoch_signer, integrity_folder
    from harness.integrity.note import notes_of
    from harness.integrity.receipts import read_receipts
    from harness.recovery.evidence import gather
    from harness.recovery.kept import KeptSegments
    from harness.recovery.plan import make_plan
    from harness.recovery.recover import recover as recovered

    home = integrity_folder(folder)
    told = [receipt for path in receipts for receipt in read_receipts(path)]
    notes = [note for path in against for note in notes_of(path.read_bytes())]
    with opened(folder) as log:
        head = log.head()
        kept = KeptSegments(log.sealed.store, head.log_id)
        evidence = gather(log, home, told, notes, public_key(believed) if believed else None)
        with progress(evidence.last or None, "comparing", quiet=json) as done:
            plan = make_plan(log, evidence, kept, done)
        data: dict[str, Any] = {"plan": to_builtins(plan), "recovered": None}
        lines = list(planned(plan))
        if dry_run:
            lines.append("Nothing was changed.")
        else:
            origin = origin_of(head.log_id, plan.next_epoch)
            signer = None if unsigned else epoch_signer(log, home, evidence.keys, origin)
            with progress(plan.back, "giving back", quiet=json) as done:
                made = recovered(log, plan, kept, signer, done)
            data["recovered"] = made._asdict()
            lines += done_lines(made)
    emit(data, json=json, text="\n".join(lines))


def planned(plan: Any) -> Iterator[str]:
    """Yield what a recovery does, a sentence or a loss a line."""
    yield (
        f"The log ends at {plan.head}. Segments give back {plan.events:,} events in {plan.batches:,} "
        f"batches, up to position {plan.back}."
    )
    if plan.fenced:
        yield "A recovery was interrupted before: this one goes on where it was."
    for gone in plan.checkpoints[-_SHOWN:]:
        yield (
            f"Lost: the event of the checkpoint of {gone.size:,} batches up to position {gone.position}, "
            f"at {gone.position + 1} or after it."
        )
    if not plan.lost and not plan.checkpoints:
        yield "Nothing else is known to be lost."
    if not plan.lost:
        return
    yield f"Lost: positions {plan.back + 1} to {plan.last} ({plan.lost:,})."
    for one in plan.writers[:_SHOWN]:
        yield (
            f"  writer {one.writer}: {one.batches} batches, {one.first_sequence} to {one.last_sequence}; "
            f"{one.kept} of them with {one.events:,} events are kept and will be shipped again"
        )
    for one in plan.references[:_SHOWN]:
        state = f" {one.state}" if one.state else ""
        yield f"  INVALID: {one.type} {one.subject}{state} at position {one.position}"
    hidden = max(0, len(plan.writers) - _SHOWN) + max(0, len(plan.references) - _SHOWN)
    if hidden:
        yield f"  and {hidden} more (--json)"


def done_lines(made: Any) -> Iterator[str]:
    """Yield what was done, and what to do next."""
    yield (
        f"Epoch {made.epoch} begins at position {made.position}; {made.registered} segments were registered "
        "again. Writers may connect."
    )
    yield 'Next: "harness log verify", then "harness log checkpoint".'
