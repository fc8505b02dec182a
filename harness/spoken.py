"""What a person says into the log: a sentence, no file; it stays for ever, and every reader fetches it."""

from harness.errors import UsageError

SENTENCE_MAX, NAME_MAX = 2_000, 256


def sentence(text: str, what: str, most: int = SENTENCE_MAX) -> str:
    """Return the text without the space around it.

    Raises:
        UsageError: nothing is said, too much, or half of a character.
    """
    said = text.strip()
    try:
        said.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} is not UTF-8.", "Expected a text.", "Write it anew.") from error
    if not 1 <= len(said) <= most:
        found = f"has {len(said):,} characters" if said else "is empty"
        raise UsageError(
            f"{what} {found}.",
            f"Expected 1 to {most:,}.",
            "Say it in a few sentences; keep what is longer elsewhere, and name the place.",
        )
    return said
