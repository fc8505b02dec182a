"""A certificate as text for a terminal."""

from harness.certify.certificate import Certificate, Tried

_TRUTH, _SHARE = 54, 10


def certificate_text(name: str, found: Certificate) -> str:
    """Return the table of one certificate with what was assumed for it."""
    assumed = found.assumed
    columns = ("PROMOTE", "REJECT", "HOLD", "limit", "naive z", "decisions")
    lines = [
        f"{name}: policy {found.policy}, alpha {found.alpha:g}, {', '.join(found.metrics)}",
        (
            f"  {assumed.runs:,} runs of {found.looks} looks, each of {assumed.per_look:,} decisions and "
            f"{found.units_per_look:,} units ({found.unit}), {assumed.cluster} a unit"
        ),
        (
            f"  the models differ on {assumed.discordance:.3g} of decisions; labels come "
            f"{assumed.delay} looks late; seed {assumed.seed}"
        ),
        "",
        f"  {'truth':<{_TRUTH}}" + "".join(f"{each:>{_SHARE}}" for each in columns),
    ]
    lines += [_row(each) for each in found.tried]
    if found.invalid:
        lines += ["", f"  {found.invalid}"]
    tolerance = f"three standard errors (up to {max(each.tolerance for each in found.tried):.3f})"
    if found.holds:
        lines += ["", f"  Every error rate holds its limit, within {tolerance}."]
    else:
        lines += ["", f"  An error rate exceeds its limit by more than {tolerance}."]
    return "\n".join(lines)


def _row(each: Tried) -> str:
    limit = "" if each.limit is None else f"{each.limit:.3g}"
    mark = {True: "✓", False: "✗", None: " "}[each.holds]
    shares = (_share(each, "PROMOTE"), _share(each, "REJECT"), f"{each.held:.3f} ")
    return (
        f"  {each.truth:<{_TRUTH}}{''.join(f'{share:>{_SHARE}}' for share in shares)}{limit:>{_SHARE}}"
        f"{each.naive:>{_SHARE}.3f}{each.decisions:>{_SHARE},.0f} {mark}"
    )


def _share(each: Tried, state: str) -> str:
    """Return a share, marked where that state is wrong (!) or right (*)."""
    share = each.promoted if state == "PROMOTE" else each.rejected
    mark = "!" if each.wrong_is == state else "*" if each.right_is == state else " "
    return f"{share:.3f}{mark}"
