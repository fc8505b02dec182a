"""The table [integrity] of harness.toml: who cosigns checkpoints, and where they are anchored."""

from typing import Annotated

import msgspec
from msgspec import Meta

from harness.config import FILE, Config
from harness.integrity.note import parse_key
from harness.integrity.witness_client import Witness
from harness.strict_toml import TomlFileError, check_table


class WitnessTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A witness that must cosign every checkpoint."""

    url: Annotated[
        str, Meta(description="Where it answers, such as http://10.0.0.7:8470.", pattern="^https?://")
    ]
    key: Annotated[str, Meta(description='Its public key, as "harness witness show" prints it.')]


class Integrity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where checkpoints go."""

    witness: Annotated[tuple[WitnessTable, ...], Meta(description="Who cosigns.")] = ()
    anchors: Annotated[
        tuple[str, ...],
        Meta(
            description="Where each checkpoint is put: a file's path from here, a URL, or rfc3161+ and a URL."
        ),
    ] = ()
    timestamp_roots: Annotated[
        str | None, Meta(description="A PEM file with the roots that time-stamps must lead to.")
    ] = None

    def witnesses(self) -> list[Witness]:
        """Return the witnesses to ask."""
        return [Witness(one.url, parse_key(one.key)) for one in self.witness]


class _Tables(msgspec.Struct, frozen=True):
    integrity: Integrity = Integrity()


def read_integrity(config: Config) -> Integrity:
    """Return what harness.toml says of witnesses and anchors; nothing without such a table.

    Raises:
        TomlFileError: the table does not say what it should; every fault is listed.
    """
    if "integrity" not in config.sections:
        return Integrity()
    tables = {"integrity": config.sections["integrity"]}
    problems = list(check_table(tables, _Tables, root=_Tables))
    if problems:
        raise TomlFileError(str(config.folder / FILE), problems)
    return msgspec.convert(tables, _Tables).integrity
