"""Model URIs: one string that names a model everywhere, on the command line, in TOML and in the log."""

import difflib
import math
from collections.abc import Callable
from urllib.parse import parse_qsl

import msgspec

from recorders.events import IDENTIFIER_MAX
from replay.adapters.forms import FORMS, VALUE
from replay.model_errors import UnknownModelUri

_OUTPUT = ("class", "decisions", "nulls", "threshold")
_REMOTE = (*_OUTPUT, "token")
OPTIONS: dict[str, tuple[str, ...]] = {
    "recorded": (),
    "py": (*_OUTPUT, "input", "key", "method"),
    "sklearn": (*_OUTPUT, "method"),
    "onnx": (*_OUTPUT, "output"),
    "lightgbm": _OUTPUT,
    "xgboost": _OUTPUT,
    "torch": (*_OUTPUT, "builder"),
    "mlflow": (*_OUTPUT, "pickle"),
    "pickle": (*_OUTPUT, "input", "method", "pickle"),
    "oip+http": (*_REMOTE, "output"),
    "oip+https": (*_REMOTE, "output"),
    "http+json": (*_REMOTE, "in", "out"),
    "https+json": (*_REMOTE, "in", "out"),
    "exec": (*_OUTPUT, "format"),
}
METHODS = ("predict_proba", "predict", "score")
_DIGEST_LENGTH = 64


class ModelUri(msgspec.Struct, frozen=True):
    """A parsed URI: `scheme:target?option=value&...`."""

    text: str
    scheme: str
    target: str
    options: dict[str, str]

    @property
    def nulls(self) -> str:
        """What becomes of a row that lacks an input: `error`, `pass` or `value:...`."""
        return self.options.get("nulls", "error")

    @property
    def key(self) -> str | None:
        """The input by which a model remembers rows; None for one that remembers none."""
        return self.options.get("key")

    @property
    def remote(self) -> bool:
        """Whether another process, reached through the network, scores."""
        return "http" in self.scheme


def parse_uri(text: str) -> ModelUri:
    """Return the parts of a model URI.

    Raises:
        UnknownModelUri: no such adapter, no target, or an option that the adapter does not know.

    >>> parse_uri("sklearn:a.skops?mthd=predict")
    Traceback (most recent call last):
    replay.model_errors.UnknownModelUri: Model URI 'sklearn:a.skops?mthd=predict': option 'mthd' is unknown. \
Expected class, decisions, nulls, threshold, method (nearest: method). \
Write it as "py:module:attr", "sklearn:file.skops", "onnx:file.onnx" or as another of docs/models.md.
    """
    scheme, _, rest = text.partition(":")
    if scheme not in OPTIONS:
        raise UnknownModelUri(text, f"no adapter {scheme!r}", "one of " + ", ".join(sorted(OPTIONS)))
    target, _, query = rest.partition("?")
    if not target.strip("/"):
        raise UnknownModelUri(text, "it names nothing", "a module and attribute, or a file")
    if scheme == "recorded" and target != "champion":
        raise UnknownModelUri(text, f"only the champion is recorded, not {target!r}", "recorded:champion")
    if scheme == "py" and not _names_attribute(target):
        raise UnknownModelUri(text, f"{target!r} is not module:attr", "py:package.module:attr")
    return ModelUri(text, scheme, target, _options(text, scheme, query))


def _names_attribute(text: str) -> bool:
    return len([part for part in text.split(":") if part]) == 2  # noqa: PLR2004  module and attribute


def _options(text: str, scheme: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise UnknownModelUri(text, f"the options {query!r} cannot be read", "?option=value&...") from error
    options: dict[str, str] = {}
    for key, value in pairs:
        known = OPTIONS[scheme]
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" (nearest: {near[0]})" if near else ""
            raise UnknownModelUri(text, f"option {key!r} is unknown", (", ".join(known) or "none") + hint)
        if key in options:
            raise UnknownModelUri(text, f"option {key!r} is given twice", "each option once")
        options[key] = value
    for key, value in options.items():
        rule = _RULES.get(key)
        if rule is not None and not rule[0](value):
            raise UnknownModelUri(text, f"{key}={value!r}", rule[1])
    if "decisions" in options and "threshold" not in options:
        raise UnknownModelUri(text, "decisions without a threshold", "two names beside a threshold")
    return options


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_finite(text: str) -> bool:
    return _is_number(text) and math.isfinite(float(text))


def _is_nulls(text: str) -> bool:
    return text in {"error", "pass"} or (text.startswith(VALUE) and _is_number(text.removeprefix(VALUE)))


def _is_digest(text: str) -> bool:
    return len(text) == _DIGEST_LENGTH and set(text) <= set("0123456789abcdef")


# What an option's value must be, and how to say it.
_RULES: dict[str, tuple[Callable[[str], bool], str]] = {
    "nulls": (_is_nulls, "nulls=error, nulls=pass or nulls=value:NUMBER"),
    "key": (bool, "the name of an input"),
    "method": (METHODS.__contains__, "one of " + ", ".join(METHODS)),
    "input": (FORMS.__contains__, "one of " + ", ".join(FORMS)),
    "format": (("arrow", "jsonl").__contains__, "format=arrow or format=jsonl"),
    "threshold": (_is_finite, "a number that is neither NaN nor infinite"),
    "builder": (_names_attribute, "module:attr of the function that builds the network"),
    "pickle": (_is_digest, "the SHA-256 of the artefact, in 64 hex digits: what may be unpickled"),
    "decisions": (
        lambda text: [1 <= len(name) <= IDENTIFIER_MAX for name in text.split(",")] == [True, True],
        f"two names of at most {IDENTIFIER_MAX} characters, at or above the threshold first",
    ),
}
