"""`harness erase` and `harness subject-keys`: the keys of persons, and their end."""

from pathlib import Path
from typing import Any

import click

from harness.cli.output import emit, folder_option, json_option


@click.command()
@click.option("--subject", required=True, help="The person, as the services recorded them.")
@click.option("--dry-run", is_flag=True, help="Only say what holds their events; destroy nothing.")
@folder_option
@json_option
def erase(*, subject: str, dry_run: bool, folder: Path | None, json: bool) -> None:
    """Destroy a person's keys, and append the receipt: what held their events, and how many.

    Nothing brings the values back. --dry-run shows first what would be on the receipt.
    """
    from harness.cli.progress import progress
    from harness.erasure import erase as erased
    from harness.erasure import foresee

    with _opened(folder) as source:
        decisions = sum(events for kind, _, _, events, *_ in source.rows("stats") if kind == "decision")
        with progress(decisions, "searching", quiet=json) as done:
            if dry_run:
                position, body = foresee(source, _keys(source), subject, done)
            else:
                receipt = erased(source, _keys(source), subject, done)
                position, body = receipt.position, receipt.body
    if position is None:
        lines = [f"Would erase {body['rows']} rows. Nothing was changed."]
    else:
        lines = [f"Erased: {body['rows']} rows, receipt at position {position}."]
    lines += [
        f"  {point}: {span['rows']} rows between {span['first']} and {span['last']}"
        for point, span in body["decision_points"].items()
    ]
    for word in ("segments", "training_sets", "models"):
        if body[word]:
            lines.append(f"  {word.replace('_', ' ')}: {', '.join(body[word])}")
    if body["training_sets"] or body["models"]:
        lines.append("Training sets hold values in clear, and models what they learnt: build them anew.")
    emit({"position": position, **body}, json=json, text="\n".join(lines))


@click.group("subject-keys")
def subject_keys() -> None:
    """Make the store of persons' keys, wrap them anew, erase again after a restore."""


@subject_keys.command()
@folder_option
@json_option
def init(folder: Path | None, json: bool) -> None:
    """Make the key store at HARNESS_KEYS_URL, or beside the log. Made already, it stays as it is."""
    with _opened(folder) as source:
        _keys(source).create()
    emit({"made": True}, json=json, text="The key store is ready.")


@subject_keys.command()
@folder_option
@json_option
def rewrap(folder: Path | None, json: bool) -> None:
    """Wrap every key with HARNESS_SUBJECT_SECRET; HARNESS_SUBJECT_SECRET_OLD has what wrapped them before."""
    from harness.cli.progress import progress

    with _opened(folder) as source:
        keys = _keys(source)
        with progress(keys.wrapped_otherwise(), "wrapping", quiet=json, unit="keys") as done:
            count = keys.rewrap(done)
    emit({"rewrapped": count}, json=json, text=f"{count} keys are wrapped anew. Destroy the old secret.")


@subject_keys.command()
@folder_option
@json_option
def reapply(folder: Path | None, json: bool) -> None:
    """Destroy again what the log says was erased: after the key store was restored from a backup."""
    from harness.erasure import reapply as reapplied

    with _opened(folder) as source:
        count = reapplied(source, _keys(source))
    emit({"destroyed": count}, json=json, text=f"{count} keys had come back, and are destroyed.")


def _opened(folder: Path | None) -> Any:
    from harness.database import open_log

    return open_log(folder, create=False)


def _keys(source: Any) -> Any:
    from recorders.subject_keys import SubjectKeys

    return SubjectKeys.from_environment(source.url)
