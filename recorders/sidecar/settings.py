"""Settings: where a sidecar listens, keeps and ships, from one TOML file; secrets from the environment."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from recorders.segment_file import FOLDER
from recorders.sidecar.errors import SettingsError
from recorders.sidecar.segment import WAL_BYTES

URL_VARIABLE: Final = "HARNESS_DATABASE_URL"
TOKEN_VARIABLE: Final = "HARNESS_SIDECAR_TOKEN"  # noqa: S105  # the variable's name, not its value
FOLDER_VARIABLE: Final = "HARNESS_SIDECAR_FOLDER"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=1e9)]  # 31 years: no thread can be told to wait for ever, or longer


class DoorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where services connect. `socket` "" means `<folder>/door.sock`; `tcp` is `host:port`, "" for none.

    `memory` is the folder where crash-proof recorders keep events: see docs/recorder.md.
    """

    socket: str = ""
    socket_mode: str = "0660"
    tcp: str = ""
    memory: str = str(FOLDER)
    connections: Positive = 1_024
    hello_s: Seconds = 5.0
    message_s: Seconds = 30.0
    lost_s: Seconds = 60.0


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the disk may hold. Sizes in bytes. `durability` is "power" (fsync) or "process"."""

    durability: str = "power"
    quota_bytes: Positive = 10 * 2**30
    segment_bytes: Annotated[int, Meta(ge=65_536)] = 16 * 2**20
    segment_age_s: Seconds = 600.0
    free_bytes_min: Annotated[int, Meta(ge=0)] = 64 * WAL_BYTES
    ballast_bytes: Annotated[int, Meta(ge=0)] = 8 * WAL_BYTES


class ShipSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How batches are made and kept. A batch leaves at `target_events`, or after `linger_s`."""

    target_events: Annotated[int, Meta(ge=1, le=100_000)] = 4_000
    linger_s: Seconds = 1.0
    retain_s: Annotated[float, Meta(ge=0)] = 86_400.0
    backoff_s: Seconds = 0.2
    backoff_max_s: Seconds = 15.0


class OpsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where metrics and health are read: `host:port`, "" for the socket `<folder>/ops.sock` alone."""

    http: str = ""


class DoorsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where services that we do not control send to, and what is taken. `http` is `host:port`, "" for none.

    `mappings` are files; relative paths start at the settings' file.
    """

    http: str = ""
    mappings: tuple[str, ...] = ()
    connections: Positive = 1_024
    body_bytes: Positive = 4 * 2**20
    unpacked_bytes: Positive = 16 * 2**20
    request_s: Seconds = 10.0
    pair_wait_s: Seconds = 60.0
    halves: Positive = 100_000
    halves_bytes: Positive = 256 * 2**20


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a sidecar can be told.

    `folder` holds the spool. The database address is never in the file.
    """

    folder: str = "spool"
    door: DoorSettings = DoorSettings()
    spool: SpoolSettings = SpoolSettings()
    ship: ShipSettings = ShipSettings()
    ops: OpsSettings = OpsSettings()
    doors: DoorsSettings = DoorsSettings()
    url: str = ""
    token: str = ""

    @property
    def path(self) -> Path:
        """The spool's folder."""
        return Path(self.folder)

    @property
    def door_socket(self) -> Path:
        """The path of the UNIX socket that services connect to."""
        return Path(self.door.socket) if self.door.socket else self.path / "door.sock"

    @property
    def ops_socket(self) -> Path:
        """The path of the UNIX socket that the operator's commands use."""
        return self.path / "ops.sock"


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a TOML file (none: the defaults), with the secrets that the environment holds.

    Raises:
        SettingsError: no such file, no TOML, an unknown key (with the nearest known one), or a value that
            cannot be.
    """
    document = _read(path) if path else {}
    for name in ("url", "token"):
        if name in document:
            variable = URL_VARIABLE if name == "url" else TOKEN_VARIABLE
            raise SettingsError(
                f'"{name}" stands in {path}.', "Expected no secret in the file.", f"Set {variable} instead."
            )
    _check_keys(path, document)
    document["url"] = environment.get(URL_VARIABLE, "")
    document["token"] = environment.get(TOKEN_VARIABLE, "")
    if environment.get(FOLDER_VARIABLE):
        document["folder"] = environment[FOLDER_VARIABLE]
    try:
        settings = _placed(msgspec.convert(document, Settings), path)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{path}: {error}.", "Expected the types of the defaults.", "Correct it."
        ) from error
    _check_values(settings)
    return settings


def address(text: str, setting: str = "The address") -> tuple[str, int]:
    """Return host and port of `host:port`. `setting` is what an error calls it.

    >>> address("[::1]:7071")
    ('::1', 7071)
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004  # the highest port
        raise SettingsError(
            f'{setting} is "{text}".',
            "Expected host:port, the port at most 65535.",
            "Write it as 127.0.0.1:7071.",
        )
    return host.strip("[]"), int(port)


def _placed(settings: Settings, path: Path | None) -> Settings:
    """Return the settings with the paths of mappings from where they stand."""
    base = path.parent if path else Path()
    mappings = tuple(str(base / name) for name in settings.doors.mappings)
    doors = msgspec.structs.replace(settings.doors, mappings=mappings)
    return msgspec.structs.replace(settings, doors=doors)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error}.",
            "Expected a file that this user may read.",
            "Name it with --config, or let this user read it.",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error}.", "Expected TOML.", "Correct the file."
        ) from error


def _check_keys(path: Path | None, document: Mapping[str, Any]) -> None:
    sections = {
        "door": DoorSettings,
        "spool": SpoolSettings,
        "ship": ShipSettings,
        "ops": OpsSettings,
        "doors": DoorsSettings,
    }
    for key, value in document.items():
        _known(path, key, ["folder", *sections])
        if key in sections and isinstance(value, dict):
            for name in value:
                _known(path, f"{key}.{name}", [f"{key}.{field}" for field in sections[key].__struct_fields__])


def _known(path: Path | None, key: str, known: list[str]) -> None:
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise SettingsError(
            f'"{key}" in {path} is unknown.',
            f"Expected one of {', '.join(known)}.",
            f'Did you mean "{near}"?',
        )


def _check_values(settings: Settings) -> None:
    if not settings.folder:
        raise SettingsError(
            "folder is empty: the spool would lie open in whatever folder this was started in.",
            "Expected where the spool is.",
            'Write folder = "/var/lib/harness-sidecar", or leave the line out.',
        )
    if settings.spool.durability not in ("power", "process"):
        raise SettingsError(
            f'spool.durability is "{settings.spool.durability}".',
            'Expected "power" (survives a power cut) or "process" (survives the death of the process alone).',
            "Correct it.",
        )
    mode = settings.door.socket_mode
    if len(mode) != 4 or set(mode) - set("01234567") or int(mode, 8) & 0o007:  # noqa: PLR2004  # four octal digits
        raise SettingsError(
            f'door.socket_mode is "{mode}".',
            "Expected four octal digits, nothing for others.",
            'Write "0660".',
        )
    door, ops, doors = settings.door.tcp, settings.ops.http, settings.doors.http
    for name, text in (("door.tcp", door), ("ops.http", ops), ("doors.http", doors)):
        if text and address(text, name)[0] not in LOOPBACK and not settings.token:
            raise SettingsError(
                f'{name} is "{text}", which others can reach.',
                "Expected a loopback address, or a token.",
                f"Use 127.0.0.1, or set {TOKEN_VARIABLE}.",
            )
