"""The table of an experiment's looks, as "harness experiment show" prints it."""

import datetime as dt

from harness.cli.experiment_text import looks_table
from harness.experiment_status import Shown


def test_figures_of_a_strong_look_do_not_run_together() -> None:
    look = Shown(
        number=1,
        position=7,
        as_of=6,
        time=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        state="PROMOTE",
        units=20_000,
        used=20_000,
        point=-0.0813642,
        low=-0.0867845,
        high=-0.0759177,
        e_value=1.26e155,
        largest_e_value=1.26e155,
        e_limit=20.0,
        noun="decisions",
        more_units=None,
        more_leads_to=None,
    )
    heading, line = looks_table([look]).splitlines()
    assert line.split()[-2:] == ["1.26e+155", "PROMOTE"]
    assert heading.index("e-value") + len("e-value") == line.index("1.26e+155") + len("1.26e+155")
