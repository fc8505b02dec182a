"""Feature sets: the versioned, typed schema of a feature snapshot, in Python or in TOML."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from recorders.canonical import canonical_json, digest
from recorders.errors import FeatureSetError

FIELD_TYPES: Final = ("float64", "int64", "bool", "string", "category", "timestamp", "bytes", "list[float64]")
MUTABLE: Final = ("bytes", "list[float64]")  # whose values a service may change in place
ROLES: Final = ("feature", "context")
FLAGS: Final = ("pseudonym", "subject", "sensitive")
HIDEABLE: Final = ("string", "category")
FIELDS_MAX: Final = 256
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,127}")
_VERSION_MAX = 2**31 - 1


class Field(msgspec.Struct, frozen=True):
    """One named, typed value of a snapshot.

    `type` is one of FIELD_TYPES. `role` is `feature` (a model may read it) or `context` (recorded
    beside the features; no model input unless asked for by name). A `pseudonym` never leaves the process
    as it is: a keyed digest of it is recorded (recorders/pseudonyms.py); strings and categories only.
    The `subject` names the person whom the snapshot is about, what is `sensitive` is that person's: both are
    kept encrypted under the subject's key, and are gone when it is (docs/erasure.md).

    >>> Field("age", "int")
    Traceback (most recent call last):
    recorders.errors.FeatureSetError: Field 'age' has type 'int'. Expected one of float64, int64, bool, \
string, category, timestamp, bytes, list[float64]. Did you mean 'int64'?
    """

    name: str
    type: str
    role: str = "feature"
    pseudonym: bool = False
    subject: bool = False
    sensitive: bool = False

    def __post_init__(self) -> None:
        """Refuse a name, type or role that no snapshot can have."""
        _check_name("Field", self.name)
        if self.type not in FIELD_TYPES:
            raise _unknown(f"Field {self.name!r} has type {self.type!r}.", self.type, FIELD_TYPES)
        if self.role not in ROLES:
            raise _unknown(f"Field {self.name!r} has role {self.role!r}.", self.role, ROLES)
        if type(self.pseudonym) is not bool or (self.pseudonym and self.type not in HIDEABLE):
            raise FeatureSetError(
                f"Field {self.name!r} of type {self.type} has pseudonym {self.pseudonym!r}.",
                f"Expected true or false, and true only for {' or '.join(HIDEABLE)}.",
                "Declare the field as a string.",
            )
        if {type(self.subject), type(self.sensitive)} != {bool} or (
            self.subject and self.type not in HIDEABLE
        ):
            raise FeatureSetError(
                f"Field {self.name!r} of type {self.type} has subject {self.subject!r}, "
                f"sensitive {self.sensitive!r}.",
                f"Expected true or false; a subject is a {' or '.join(HIDEABLE)}.",
                "Correct the field.",
            )

    @property
    def sealed(self) -> bool:
        """Whether the field is kept encrypted."""
        return self.subject or self.sensitive


class FeatureSet(msgspec.Struct, frozen=True):
    """The schema of a decision point's snapshots. Another type, order or role is another version.

    >>> FeatureSet("fraud", 1, ())
    Traceback (most recent call last):
    recorders.errors.FeatureSetError: Feature set fraud:1 has 0 fields. Expected 1 to 256. Declare what \
the model reads; put long vectors into one list[float64] field.
    """

    name: str
    version: int
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        """Refuse a set that has no fields, too many, or one name twice."""
        _check_name("Feature set", self.name)
        if type(self.version) is not int or not 1 <= self.version <= _VERSION_MAX:
            raise FeatureSetError(
                f"Feature set {self.name!r} has version {self.version!r}.",
                "Expected a whole number from 1.",
                "Count versions 1, 2, 3.",
            )
        if not 1 <= len(self.fields) <= FIELDS_MAX:
            raise FeatureSetError(
                f"Feature set {self.label} has {len(self.fields)} fields.",
                f"Expected 1 to {FIELDS_MAX}.",
                "Declare what the model reads; put long vectors into one list[float64] field.",
            )
        seen: set[str] = set()
        for field in self.fields:
            if field.name in seen:
                raise FeatureSetError(
                    f"Feature set {self.label} declares field {field.name!r} twice.",
                    "Expected each name once.",
                    "Remove or rename one of them.",
                )
            seen.add(field.name)
        subjects = [field.name for field in self.fields if field.subject]
        if len(subjects) > 1 or (not subjects and self.sealed):
            raise FeatureSetError(
                f"Feature set {self.label} has {len(subjects)} subjects ({', '.join(subjects) or 'none'}).",
                "Expected one field with subject = true beside what is sensitive.",
                "Mark the field that names the person.",
            )

    @property
    def sealed(self) -> tuple[Field, ...]:
        """The fields that are kept encrypted, in order."""
        return tuple(field for field in self.fields if field.sealed)

    @property
    def label(self) -> str:
        """The set's `name:version`, as people write it."""
        return f"{self.name}:{self.version}"

    @property
    def digest(self) -> str:
        """The set's identity: SHA-256 of its canonical JSON, 64 hex digits."""
        return digest(self.canonical())

    def canonical(self) -> bytes:
        """Return the set's canonical JSON. The order of fields counts; defaults are written out.

        But for the flags, which came later: where one is false it is left out, and older digests stand.

        >>> FeatureSet("fraud", 1, (Field("age", "int64"),)).canonical().decode()
        '{"fields":[{"name":"age","role":"feature","type":"int64"}],"name":"fraud","version":1}'
        """
        document = msgspec.to_builtins(self)
        for field in document["fields"]:
            for flag in FLAGS:
                if not field[flag]:
                    del field[flag]
        return canonical_json(document)

    @classmethod
    def from_json(cls, data: bytes | Mapping[str, Any]) -> "FeatureSet":
        """Return the set that `data` declares: canonical JSON, or its decoded value.

        Raises:
            FeatureSetError: an unknown or missing key, or a declaration that cannot be used.
        """
        try:
            document = msgspec.json.decode(data) if isinstance(data, bytes) else dict(data)
        except msgspec.DecodeError as error:
            raise FeatureSetError(
                f"The text is not JSON: {error}.",
                "Expected a feature set's canonical JSON.",
                "Take it from `harness log`.",
            ) from error
        return _from_document(document)

    @classmethod
    def from_toml(cls, source: Path | str) -> "FeatureSet":
        r"""Return the set that a TOML document declares. A `str` with a line break is the document itself.

        Raises:
            FeatureSetError: no such file, no TOML, an unknown key (the nearest known one is named), or
                a declaration that cannot be used.

        >>> FeatureSet.from_toml('name = "fraud"\nversion = 1\n[[fields]]\nname = "age"\ntipe = "int64"'
        ... )  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        recorders.errors.FeatureSetError: Field 1 has the unknown key 'tipe'. ... Did you mean 'type'?
        """
        text = source if isinstance(source, str) and "\n" in source else _read(Path(source))
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise FeatureSetError(
                f"The feature set is not TOML: {error}.",
                "Expected name, version and [[fields]].",
                "Mend the line that it names.",
            ) from error
        return _from_document(document)

    def to_toml(self) -> str:
        """Return the set as TOML; `from_toml` gives an equal set back."""
        lines = [f'name = "{self.name}"', f"version = {self.version}"]
        for field in self.fields:
            lines += ["", "[[fields]]", f'name = "{field.name}"', f'type = "{field.type}"']
            if field.role != "feature":
                lines.append(f'role = "{field.role}"')
            lines += [f"{flag} = true" for flag in FLAGS if getattr(field, flag)]
        return "\n".join(lines) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatureSetError(
            f"Cannot read {path}: {error}.", "Expected a feature set in TOML.", "Check the path."
        ) from error


def _from_document(document: Mapping[str, Any]) -> FeatureSet:
    _check_keys("The feature set", document, FeatureSet.__struct_fields__, FeatureSet.__struct_fields__)
    listed = document["fields"]
    if not isinstance(listed, list | tuple):
        raise FeatureSetError(
            f"`fields` is a {type(listed).__name__}.",
            "Expected a list of tables.",
            "Write each as [[fields]].",
        )
    fields = []
    for number, entry in enumerate(listed, start=1):
        if not isinstance(entry, Mapping):
            raise FeatureSetError(
                f"Field {number} is a {type(entry).__name__}.", "Expected a table.", "Write it as [[fields]]."
            )
        _check_keys(f"Field {number}", entry, Field.__struct_fields__, ("name", "type"))
        fields.append(Field(**entry))
    return FeatureSet(document["name"], document["version"], tuple(fields))


def _check_keys(
    where: str, document: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...]
) -> None:
    for key in document:
        if key not in known:
            raise _unknown(f"{where} has the unknown key {key!r}.", key, known)
    for key in needed:
        if key not in document:
            raise FeatureSetError(
                f"{where} has no {key!r}.", f"Expected {', '.join(needed)}.", f"Add a line `{key} = ...`."
            )


def _unknown(happened: str, word: object, known: tuple[str, ...]) -> FeatureSetError:
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.0)
    return FeatureSetError(happened, f"Expected one of {', '.join(known)}.", f"Did you mean {near[0]!r}?")


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FeatureSetError(
            f"{what} name {name!r} cannot be used.",
            "Expected 1 to 128 letters, digits, '_', '.' or '-', beginning with a letter or '_'.",
            "Rename it.",
        )
