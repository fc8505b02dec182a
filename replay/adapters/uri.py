"""Model URIs: one string that names a model everywhere, on the command line, in TOML and in the log."""

import difflib
from urllib.parse import parse_qsl

import msgspec

from replay.errors import UnknownModelUri

OUTPUT_OPTIONS = ("class", "decisions", "method", "nulls", "threshold")
OPTIONS = {"recorded": (), "py": OUTPUT_OPTIONS, "sklearn": OUTPUT_OPTIONS}
METHODS = ("predict_proba", "predict", "score")


class ModelUri(msgspec.Struct, frozen=True):
    """A parsed URI: `scheme:target?option=value&...`."""

    text: str
    scheme: str
    target: str
    options: dict[str, str]


def parse_uri(text: str) -> ModelUri:
    """Return the parts of a model URI.

    Raises:
        UnknownModelUri: no such adapter, no target, or an option that the adapter does not know.

    >>> parse_uri("sklearn:late.skops?methd=predict")
    Traceback (most recent call last):
    replay.errors.UnknownModelUri: Model URI 'sklearn:late.skops?methd=predict': option 'methd' is unknown. \
Expected class, decisions, method, nulls, threshold (nearest: method). \
Write it as "recorded:champion", "py:module:attr" or "sklearn:file.skops?method=predict_proba".
    """
    scheme, _, rest = text.partition(":")
    if scheme not in OPTIONS:
        raise UnknownModelUri(text, f"no adapter {scheme!r}", "one of " + ", ".join(sorted(OPTIONS)))
    target, _, query = rest.partition("?")
    if not target:
        raise UnknownModelUri(text, "it names nothing", "a module and attribute, or a file")
    if scheme == "recorded" and target != "champion":
        raise UnknownModelUri(text, f"only the champion is recorded, not {target!r}", "recorded:champion")
    if scheme == "py" and len([part for part in target.split(":") if part]) != 2:  # noqa: PLR2004
        raise UnknownModelUri(text, f"{target!r} is not module:attr", "py:package.module:attr")
    return ModelUri(text, scheme, target, _options(text, scheme, query))


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
    _check(text, options)
    return options


def _check(text: str, options: dict[str, str]) -> None:
    if options.get("nulls", "error") not in {"error", "pass"}:
        raise UnknownModelUri(text, f"nulls={options['nulls']!r}", "nulls=error or nulls=pass")
    if options.get("method", "predict") not in METHODS:
        raise UnknownModelUri(text, f"method={options['method']!r}", "one of " + ", ".join(METHODS))
    if "threshold" in options:
        try:
            float(options["threshold"])
        except ValueError as error:
            raise UnknownModelUri(text, f"threshold={options['threshold']!r}", "a number") from error
    if "decisions" in options and (
        "threshold" not in options or len([name for name in options["decisions"].split(",") if name]) != 2  # noqa: PLR2004
    ):
        raise UnknownModelUri(
            text, f"decisions={options['decisions']!r}", "two names, at or above first, beside a threshold"
        )
