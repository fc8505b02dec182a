"""Options that say NAME=VALUE for one name each: all of them as a mapping, or what is wrong with them."""

from collections.abc import Iterable

from harness.errors import UsageError


def named_values(option: str, given: Iterable[str], form: str, example: str) -> dict[str, str]:
    """Return the value of each name; `form` and `example` are said in the error.

    Raises:
        UsageError: one is not of the form, or a name is there twice: the last one would win in silence.

    >>> named_values("--where", ["country=DE", "kind=a=b"], "FEATURE=VALUE", "country=DE")
    {'country': 'DE', 'kind': 'a=b'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(
                f"{option} {text!r} does not say which feature.",
                f"Expected {form}.",
                f"Write {option} {example}.",
            )
        if name in found:
            raise UsageError(
                f"{option} names {name} twice: {found[name]!r} and {value!r}.",
                "Expected each feature once.",
                "Leave one of them out.",
            )
        found[name] = value
    return found
