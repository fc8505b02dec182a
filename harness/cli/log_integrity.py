"""`harness log checkpoint|prove|check-proof|key`: sign the log's history, and prove what is in it."""

from pathlib import Path
from typing import Any

import click

from harness.cli.output import emit, folder_option, json_option

PROOFS = click.Path(dir_okay=False, path_type=Path)


def opened(folder: Path | None) -> Any:
    """Return the log of a folder; one that is configured elsewhere must exist already."""
    from harness.database import open_log

    return open_log(folder, create=False)


@click.command()
@folder_option
@json_option
def checkpoint(folder: Path | None, json: bool) -> None:
    """Verify what came since the last checkpoint; sign the root over all, have it cosigned and anchored.

    Witnesses and anchors are those of the table [integrity] in harness.toml.
    """
    from harness.cli.progress import progress
    from harness.integrity.log_keys import integrity_folder
    from harness.integrity.rounds import round_of

    with opened(folder) as source, progress(source.head().position, "verifying") as done:
        taken, anchors = round_of(source, folder, integrity_folder(folder), done)
    data = {
        "made": taken.made,
        "origin": taken.checkpoint.origin,
        "size": taken.checkpoint.size,
        "position": taken.checkpoint.position,
        "root": taken.checkpoint.root,
        "note": taken.note.render(),
        "anchors": [event.body for event in anchors],
    }
    lines = [taken.note.render().rstrip("\n"), *(f"anchored: {event.body['target']}" for event in anchors)]
    emit(data, json=json, text="\n".join(lines))


@click.command()
@click.argument("target")
@click.option("--roots", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              help="PEM of the roots that a time-stamp must lead to.")  # fmt: skip
@folder_option
@json_option
def anchor(target: str, roots: Path | None, folder: Path | None, json: bool) -> None:
    """Put the newest checkpoint at TARGET: a file, a webhook's URL, or rfc3161+URL for a time-stamp."""
    from harness.integrity.anchors import anchor as anchored
    from harness.integrity.checkpoints import latest
    from harness.integrity.errors import NotCovered
    from harness.integrity.log_keys import integrity_folder
    from harness.integrity.memory import open_memory

    with opened(folder) as source:
        memory = open_memory(source, integrity_folder(folder))
        memory.advance(source)
        last = latest(source, memory)
        if last is None:
            raise NotCovered("The log", 0)
        event = anchored(source, last.note, target, roots.read_bytes() if roots else None)
    emit(
        event.body,
        json=json,
        text=f"The checkpoint of {last.checkpoint.size} batches is at {event.body['target']}.",
    )


@click.command("check-receipts")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@folder_option
@json_option
def check_receipts(files: tuple[Path, ...], folder: Path | None, json: bool) -> None:
    """Check what writers were told (harness sidecar receipts) against the log. Exit 40 if it is another."""
    from harness.integrity.log_keys import integrity_folder
    from harness.integrity.receipts import check_receipts as checked
    from harness.integrity.receipts import read_receipts

    receipts = [receipt for path in files for receipt in read_receipts(path)]
    with opened(folder) as source:
        found = checked(source, integrity_folder(folder), receipts)
    text = (
        f"{found.held} receipts hold, {found.covered} of them under a checkpoint; "
        f"{found.moved} moved and {found.lost} lost since the log was restored."
    )
    emit(found._asdict(), json=json, text=text)


@click.command()
@click.argument("what", metavar="ID")
@click.option("-d", "--decision-point", help="Where the decision was made: then ID is no position.")
@click.option("--label", default=None, help="Prove the last outcome of this label for the decision ID.")
@click.option("-o", "--output", type=PROOFS, help="Where the proof goes. Default: POSITION.proof.")
@click.option(
    "--row", type=PROOFS, default=None, help="Also write the event's own values, to be shown with it."
)
@click.option("--cosigned", is_flag=True, help="Keep the witnesses' signatures below the checkpoint.")
@folder_option
@json_option
def prove(
    *,
    what: str,
    decision_point: str | None,
    label: str | None,
    output: Path | None,
    row: Path | None,
    cosigned: bool,
    folder: Path | None,
    json: bool,
) -> None:
    """Write the proof that one event is in the log: a decision's ID, or any position.

    A number is a position, unless -d or --label says that it is an ID.
    """
    from harness.integrity.log_keys import integrity_folder
    from harness.integrity.prove import find
    from harness.integrity.prove import prove as proven

    with opened(folder) as source:
        position = find(source, what, label, decision_point)
        made = proven(source, integrity_folder(folder), position, cosigned=cosigned)
    path = output or Path(f"{position}.proof")
    data = made.proof.render()
    _write(path, data)
    if row is not None:
        _write(row, made.row)
    fields = _fields(made.proof) | {"kind": made.kind, "proof": path, "bytes": len(data)}
    named = f"{made.kind} {made.proof.identifier} at position {position}"
    emit(fields, json=json, text=f"{path}: {named}, {len(data)} bytes")


@click.command("check-proof")
@click.argument("proof", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", required=True, help="The log's public key, or a file that holds it.")
@click.option("--row", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              help="The event's values: check that they are those of the proof, and show them.")  # fmt: skip
@json_option
def check_proof(proof: Path, key: str, row: Path | None, json: bool) -> None:
    """Check a proof with the log's public key alone: no database, no network. Exit 40 if it does not hold."""
    from harness.integrity.checkpoint import Checkpoint
    from harness.integrity.errors import ProofInvalid
    from harness.integrity.proof import PROOF_BYTES_MAX, parse_proof
    from harness.integrity.proof import check_proof as checked
    from harness.integrity.prove import row_digest, row_values

    with proof.open("rb") as file:
        found = parse_proof(file.read(PROOF_BYTES_MAX + 1))
    under: Checkpoint = checked(found, public_key(key))
    values: dict[str, Any] = {}
    if row is not None:
        data = row.read_bytes()
        if row_digest(data) != found.row:
            raise ProofInvalid("The row", "its digest is not the one in the proof")
        values = row_values(data)
    text = (
        f"{found.identifier} is at position {found.position} of {under.origin}, "
        f"under its checkpoint of {under.size} batches."
    )
    lines = [text, *(f"  {name:<20} {value}" for name, value in values.items())]
    emit(_fields(found) | {"size": under.size, "values": values}, json=json, text="\n".join(lines))


@click.group()
def key() -> None:
    """Show, make, rotate or pin the key that signs the log's checkpoints."""


@key.command()
@folder_option
@json_option
def show(folder: Path | None, json: bool) -> None:
    """Print the log's public key: what proofs and checkpoints are checked with."""
    from harness.integrity.log_keys import integrity_folder, the_key
    from harness.integrity.memory import open_memory

    with opened(folder) as source:
        found = the_key(source, open_memory(source, integrity_folder(folder)))
    emit({"key": found.render(), "name": found.name}, json=json, text=found.render())


@key.command()
@folder_option
@json_option
def make(folder: Path | None, json: bool) -> None:
    """Make the log's first key on this host and say so in the log, whatever others said of it before."""
    from harness.integrity.checkpoints import make_log_key
    from harness.integrity.log_keys import integrity_folder

    with opened(folder) as source:
        found = make_log_key(source, integrity_folder(folder))
    emit({"key": found.render(), "name": found.name}, json=json, text=found.render())


@key.command()
@folder_option
@json_option
def rotate(folder: Path | None, json: bool) -> None:
    """Make another key, signed for by the one before it, which stays beside it."""
    from harness.integrity.log_keys import integrity_folder
    from harness.integrity.log_keys import rotate as rotated

    with opened(folder) as source:
        found = rotated(source, integrity_folder(folder))
    emit({"key": found.render(), "name": found.name}, json=json, text=found.render())


@key.command()
@click.argument("public")
@folder_option
@json_option
def pin(public: str, folder: Path | None, json: bool) -> None:
    """Believe the log's public key PUBLIC (or the file that holds it) from now on, whatever the log says."""
    from harness.integrity.log_keys import integrity_folder
    from harness.integrity.log_keys import pin as pinned
    from harness.integrity.memory import open_memory

    with opened(folder) as source:
        memory = open_memory(source, integrity_folder(folder))
        pinned(memory, [public_key(public)])
    emit({"key": public_key(public).render()}, json=json, text=f"Pinned {public_key(public).render()}.")


def public_key(given: str) -> Any:
    """Return the public key that is given as text, or in a file that holds it."""
    from harness.integrity.note import parse_key

    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else given
    except OSError:  # it is no name of a file, or none that we may read
        text = given
    return parse_key((text.splitlines() or [""])[-1])


def _fields(proof: Any) -> dict[str, Any]:
    return {
        "position": proof.position,
        "identifier": proof.identifier,
        "batch": proof.batch,
        "row": proof.row,
        "chain": proof.chain,
    }


def _write(path: Path, data: bytes) -> None:
    from harness.written import written

    with written(path):
        path.write_bytes(data)
