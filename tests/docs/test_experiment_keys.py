from pathlib import Path

from harness.experiment_reference import markdown
from harness.schedule_file import Schedule

DOCUMENT = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text()


def test_the_reference_is_what_the_program_prints() -> None:
    written = DOCUMENT.partition("### Top of the file")
    assert (written[1] + written[2]).rstrip() == markdown().rstrip(), (
        'paste what "harness experiment keys" prints'
    )


def test_every_key_of_a_schedule_is_shown() -> None:
    section = DOCUMENT.partition("## Look by schedule")[2].partition("## Keys")[0]
    for name in Schedule.__struct_fields__:
        assert f"{name} = " in section
