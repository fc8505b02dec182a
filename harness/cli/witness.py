"""`harness witness`: cosign another account's checkpoints, and never a fork."""

import time
from pathlib import Path
from typing import Any

import click

from harness.cli.output import emit, json_option

folder_argument = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.group()
def witness() -> None:
    """Watch logs from another account: keep their last checkpoint, cosign what continues it."""


@witness.command()
@folder_argument
@click.option("--name", required=True, help="What the witness is called, such as witness.example/w1.")
@json_option
def init(folder: Path, name: str, json: bool) -> None:
    """Make a witness in FOLDER, with a key of its own, and print its public key."""
    from harness.integrity.witness_book import WitnessBook

    key = WitnessBook.create(folder, name, time.time).signer.key.render()
    emit({"key": key}, json=json, text=key)


@witness.command()
@folder_argument
@click.argument("key")
@json_option
def trust(folder: Path, key: str, json: bool) -> None:
    """Watch the log whose public KEY this is (harness log key show)."""
    from harness.cli.log_integrity import public_key

    found = public_key(key)
    _book(folder).trust(found)
    emit({"origin": found.name}, json=json, text=f"Watching {found.name}.")


@witness.command()
@folder_argument
@json_option
def show(folder: Path, json: bool) -> None:
    """Print the witness's public key, and the last checkpoint that it cosigned of each log."""
    book = _book(folder)
    seen = [one._asdict() for one in book.seen()]
    lines = [book.signer.key.render()]
    lines += [f"{one['origin']}: {one['size']} batches, root {one['root'].hex()}" for one in seen]
    emit({"key": book.signer.key.render(), "logs": seen}, json=json, text="\n".join(lines))


@witness.command()
@folder_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8470, show_default=True, help="0: any free one."
)
def serve(folder: Path, host: str, port: int) -> None:
    """Answer until interrupted."""
    from harness.integrity.witness_server import witness_server

    book = _book(folder)
    with witness_server(book, host, port) as server:
        click.echo(f"{book.signer.key.name} answers at http://{host}:{server.server_port}")
        server.serve_forever()


def _book(folder: Path) -> Any:
    from harness.integrity.witness_book import WitnessBook

    return WitnessBook(folder, time.time)
