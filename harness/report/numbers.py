"""How the report writes numbers, dates and digests. Nothing else in the report formats a value.

Figures follow one set of rules: U+2212 for minus, an explicit plus on differences, a comma between thousands,
a narrow no-break space before units. A value that rounds to zero has no sign.
"""

import math
from datetime import UTC, datetime

MINUS = "\u2212"
THIN = "\u202f"
NBSP = "\u00a0"
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_THOUSAND = 1_000
_MILLION = 1_000_000


def count(value: int) -> str:
    """Return a whole number with a comma between thousands.

    >>> count(-1386)
    '−1,386'
    """
    return f"{value:,}".replace("-", MINUS)


def compact(value: int) -> str:
    """Return a count in at most four characters and a letter, for the rows under a plot.

    >>> [compact(v) for v in (0, 640, 5277, 54262, 999_950, 1_204_000)]
    ['0', '640', '5.3k', '54.3k', '1.0M', '1.2M']
    """
    if value < _THOUSAND:
        return str(value)
    if value < _MILLION - 50:
        return f"{value / _THOUSAND:.1f}k"
    return f"{value / _MILLION:.1f}M"


def plain(value: float, decimals: int) -> str:
    """Return a value with a fixed number of decimals and no plus sign.

    >>> plain(-0.00004, 4)
    '0.0000'
    """
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def signed(value: float, decimals: int) -> str:
    """Return a difference: always with its sign, but none when it rounds to zero.

    >>> signed(0.0046, 4), signed(-0.0046, 4), signed(-0.00001, 4)
    ('+0.0046', '−0.0046', '0.0000')
    """
    text = plain(value, decimals)
    return f"+{text}" if value > 0 and float(text.replace(",", "")) != 0 else text


def interval(low: float, high: float, decimals: int) -> str:
    """Return both ends of an interval of differences.

    >>> interval(-0.0062, 0.0009, 4)
    '−0.0062 to +0.0009'
    """
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def percent(share: float, decimals: int = 1) -> str:
    """Return a share of 1 in percent.

    >>> percent(0.125) == "12.5" + THIN + "%"
    True
    """
    return f"{plain(share * 100, decimals)}{THIN}%"


def percent_tight(share: float) -> str:
    """Return a share in percent with as few decimals as it needs, two at most: as a limit is written.

    >>> [percent_tight(v).replace(THIN, " ") for v in (0.95, 0.005, 0.0001)]
    ['95 %', '0.5 %', '0.01 %']
    """
    text = f"{share * 100:.2f}".rstrip("0").rstrip(".")
    return f"{text.replace('-', MINUS)}{THIN}%"


def percent_fine(share: float) -> str:
    """Return a small share in percent with enough decimals to be told from zero, three at most.

    >>> [percent_fine(v).replace(THIN, " ") for v in (0.124, 0.0011, 0.00016, 0.0)]
    ['12.4 %', '0.11 %', '0.016 %', '0 %']
    """
    if share == 0:
        return f"0{THIN}%"
    decimals = 1 if abs(share) >= 0.01 else 2 if abs(share) >= 0.001 else 3  # noqa: PLR2004 -- steps of ten
    return percent(share, decimals)


def unit(value: str, name: str) -> str:
    """Return a formatted value with its unit behind a narrow no-break space."""
    return f"{value}{THIN}{name}"


def about(value: float) -> int:
    """Return a projection rounded to two significant digits.

    >>> [about(v) for v in (3112, 47, 3, 0.4, 96_500)]
    [3100, 47, 3, 0, 96000]
    """
    if value < 1:
        return round(value)
    step = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return int(round(value / step) * step)


def e_value(log_e: float) -> str:
    """Return an e-value from its natural logarithm: plain up to 10,000, else a power of ten.

    >>> [e_value(v).replace(NBSP, " ") for v in (0.0, 2.0149, 15.2, -9.0, -800.0)]
    ['1.0', '7.5', '4.0 × 10⁶', '1.2 × 10⁻⁴', '4 × 10⁻³⁴⁸']
    """
    tens = log_e / math.log(10)
    if -2 <= tens < 4:  # noqa: PLR2004 -- the range that reads well without a power
        value = math.exp(log_e)
        decimals = 0 if value >= 100 else 1 if value >= 1 else 2  # noqa: PLR2004 -- two or three figures
        return plain(value, decimals)
    power = math.floor(tens)
    lead = 10 ** (tens - power)
    text = f"{lead:.1f}" if abs(power) < 100 else f"{lead:.0f}"  # noqa: PLR2004 -- width of the row
    return f"{text}{NBSP}×{NBSP}10{str(power).translate(_SUPERSCRIPT)}"


def power_of_ten(tens: int) -> str:
    """Return a power of ten as an axis writes it.

    >>> power_of_ten(-6), power_of_ten(12)
    ('10⁻⁶', '10¹²')
    """
    return f"10{str(tens).translate(_SUPERSCRIPT)}"


def _utc(moment: datetime) -> datetime:
    assert moment.tzinfo is not None, "a naive datetime reached the report"
    return moment.astimezone(UTC)


def day(moment: datetime) -> str:
    """Return day and month as prose writes them, in UTC: "7 May"."""
    moment = _utc(moment)
    return f"{moment.day} {_MONTHS[moment.month - 1]}"


def day_short(moment: datetime) -> str:
    """Return day and month with at most three letters: "7 May", "25 Jun"."""
    moment = _utc(moment)
    return f"{moment.day} {_MONTHS[moment.month - 1][:3]}"


def day_year(moment: datetime) -> str:
    """Return day, month and year: "7 May 2013"."""
    return f"{day(moment)} {_utc(moment).year}"


def clock(moment: datetime) -> str:
    """Return the time of day in UTC: "20:05"."""
    return f"{_utc(moment):%H:%M}"


def stamp(moment: datetime) -> str:
    """Return date and time in UTC, without the zone: "2013-06-30 20:05"."""
    return f"{_utc(moment):%Y-%m-%d %H:%M}"


def elided(digest: str) -> str:
    """Return the first and last four digits of a digest, for prose.

    >>> elided("b40e62d9137f1e91")
    'b40e…1e91'
    """
    return f"{digest[:4]}…{digest[-4:]}"


def duration(hours: float) -> str:
    """Return a time span in hours, or in days from 72 hours on.

    >>> duration(24.0).replace(THIN, " "), duration(4.9).replace(THIN, " "), duration(96).replace(THIN, " ")
    ('24 h', '4.9 h', '4 days')
    """
    if hours >= 72:  # noqa: PLR2004 -- three days
        return unit(f"{hours / 24:.1f}".removesuffix(".0"), "days")
    return unit(f"{hours:.1f}".removesuffix(".0"), "h")


def width(text: str, size: float) -> float:
    """Return the estimated width of a label in px: 0.62 em a character, as in the widest fallback font."""
    return 0.62 * size * len(text)
