"""`make fuzz`: atheris sends to every door what no stranger thought of, and keeps what broke one."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

ALL = ("native", "bodies", "frames", "persons", "heads", "picks", "http", "ops")


def fuzz(target: str, seconds: int, findings: Path) -> None:
    """Fuzz one target until the time is up or something broke; the process ends with it."""
    with atheris.instrument_imports(include=["recorders"]):
        from tests.fuzz.strangers import TARGETS, seeds
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, seed in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(seed)
    bounds = [f"-max_total_time={seconds}", "-max_len=8192", "-print_final_stats=1"]
    arguments = [sys.argv[0], *bounds, f"-artifact_prefix={findings}/{target}-", str(corpus)]
    with TARGETS[target]() as strangers:
        atheris.Setup(arguments, strangers)
        atheris.Fuzz()


def main() -> int:
    """Fuzz the named target, or each of them in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=ALL)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--findings", type=Path, default=Path(".fuzz"))
    given = parser.parse_args()
    given.findings.mkdir(exist_ok=True)
    if given.target:
        fuzz(given.target, given.seconds, given.findings)
        return 0
    broken = 0
    for target in ALL:
        own = ["--target", target, "--seconds", str(given.seconds), "--findings", str(given.findings)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", *own], capture_output=True, text=True, check=False
        )
        runs = next(
            (line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "?"
        )
        broken += done.returncode != 0
        sys.stdout.write(f"{target:<8}{runs:>12} inputs  {'held' if done.returncode == 0 else 'BROKE'}\n")
        if done.returncode:
            sys.stdout.write(done.stdout[-3_000:] + done.stderr[-3_000:])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
