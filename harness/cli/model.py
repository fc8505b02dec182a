"""`harness model`: what can be replayed, registered by digest; and who was champion when."""

from pathlib import Path
from typing import Any

import click

from harness.cli.log import opened
from harness.cli.model_check import check
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import names


@click.group()
def model() -> None:
    """Register, check and list models."""


model.add_command(check)


@model.command()
@click.argument("uri")
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", required=True, help="Its version; one version is one digest for ever.")
@click.option("--trained-until", metavar="PLACE", help="Last position or time that its training saw.")
@click.option("--inputs", help="Features it wants, comma-separated. Default: what the model says itself.")
@folder_option
@json_option
def add(
    uri: str,
    name: str,
    version: str,
    trained_until: str | None,
    inputs: str | None,
    folder: Path | None,
    json: bool,
) -> None:
    """Register a model by its URI: py:module:attr, sklearn:file.skops, onnx:file.onnx; see docs/models.md.

    It is opened once, in a process of its own, to see that it can score; it is kept by content in
    .harness/models.
    """
    from harness.models import add_model, described

    with opened(folder) as log:
        event = add_model(
            log,
            uri,
            name=name,
            version=version,
            trained_until=trained_until,
            inputs=names(inputs),
            folder=folder,
        )
    emit(
        described(event),
        json=json,
        text=f"{event.subject} is registered at position {event.position}.\n{_lines(event)}",
    )


@model.command("list")
@folder_option
@json_option
def list_command(folder: Path | None, json: bool) -> None:
    """List the registered models."""
    from harness.models import described, list_models

    with opened(folder) as log:
        events = list_models(log)
    lines = [f"{'model':<28}{'digest':<14}{'trained until':>14}  uri"]
    lines += [
        f"{event.subject:<28}{event.body['digest'][:12]:<14}{_until(event):>14}  {event.body['uri']}"
        for event in events
    ]
    text = "\n".join(lines) if events else 'No model is registered. Add one with "harness model add".'
    emit([described(event) for event in events], json=json, text=text)


@model.command()
@click.argument("reference", metavar="NAME:VERSION")
@folder_option
@json_option
def show(reference: str, folder: Path | None, json: bool) -> None:
    """Show one registered model."""
    from harness.models import described, registration

    with opened(folder) as log:
        event = registration(log, reference)
    emit(
        described(event),
        json=json,
        text=f"{event.subject}, registered at position {event.position}\n{_lines(event)}",
    )


@model.command()
@click.argument("decision_point")
@click.option("--time", "when", metavar="PLACE", help="A time or position. Default: the end of the log.")
@folder_option
@json_option
def at(decision_point: str, when: str | None, folder: Path | None, json: bool) -> None:
    """Show which model was champion: by promotion, and by what recorded decisions say."""
    from harness.models import champion_at, promoted_model

    with opened(folder) as log:
        found = champion_at(log, decision_point, when)
    promoted = None if found.promoted is None else promoted_model(found.promoted)
    lines = [f"{decision_point} at position {found.position:,} ({found.time.isoformat()})"]
    lines.append(
        "promoted  nobody"
        if found.promoted is None
        else f"promoted  {promoted} at position {found.promoted.position:,}"
    )
    lines.append(
        "recorded  no decision"
        if found.model is None
        else f"recorded  {found.model}:{found.version} at position {found.observed_at:,}"
    )
    if found.agrees is False:
        lines.append("The promotion is not seen in the decisions recorded up to there.")
    data = {name: getattr(found, name) for name in found.__struct_fields__}
    emit({**data, "promoted_model": promoted, "agrees": found.agrees}, json=json, text="\n".join(lines))


def _until(event: Any) -> str:
    until = event.body.get("trained_until")
    return "-" if until is None else f"{until:,}"


def _lines(event: Any) -> str:
    body = event.body
    return "\n".join(
        [
            f"uri            {body['uri']}",
            *([f"resolved       {body['resolved']}"] if "resolved" in body else []),
            f"inputs         {', '.join(body['inputs']) or '-'}",
            f"trained until  {_until(event)}",
            f"digest         {body['digest']}",
            f"artefact       {body['artefact']}",
        ]
    )
