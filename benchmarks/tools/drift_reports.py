"""Drift reports by one tool in a process of its own: `python drift_reports.py TOOL FOLDER...`.

Stands alone, because Evidently and NannyML need an environment that cannot hold this project. Each FOLDER has
reference.parquet and current.parquet, and for "ours" plan.json and reference.json. Prints JSON: processor
seconds from the files to the answers (imports apart), memory before and at most, and for each folder which
columns were called drifted. HARNESS_BENCH_MB and HARNESS_BENCH_SECONDS bound memory and processor time.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHUNKS = 10
Report = Callable[[Path], list[str]]


def ours() -> Report:
    """Return a report that folds batches of the current file and compares them with the stored reference."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from policies.drift import MonitorPlan, WindowState, compare, fold_window
    from policies.drift.reference import Reference

    pa.set_memory_pool(pa.system_memory_pool())  # the default one keeps what it has once touched

    def report(folder: Path) -> list[str]:
        plan = MonitorPlan.from_json((folder / "plan.json").read_bytes())
        reference = Reference.from_json((folder / "reference.json").read_bytes(), plan)
        categories = [feature.column for feature in plan.features if feature.type == "category"]
        file = pq.ParquetFile(folder / "current.parquet", read_dictionary=categories)
        window = WindowState.empty(plan)
        for group in range(file.num_row_groups):
            window = window.merge(fold_window(file.read_row_group(group, use_threads=False), plan))
        found = compare(window, reference, plan).features
        return [f"f.{row.feature}" for row in found if row.answer == "drift"]

    return report


def scipy() -> Report:
    """Return a report by exact Kolmogorov-Smirnov and chi-square tests over pandas columns."""
    import pandas as pd
    from scipy.stats import chi2_contingency, ks_2samp

    def report(folder: Path) -> list[str]:
        a, b = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "current"))
        chances = {}
        for name in a.columns:
            if name.startswith("f.n"):
                chances[name] = ks_2samp(a[name], b[name], method="asymp").pvalue
            else:
                table = pd.concat([a[name].value_counts(), b[name].value_counts()], axis=1).fillna(0)
                chances[name] = chi2_contingency(table.to_numpy().T).pvalue
        return [name for name, chance in chances.items() if chance < 0.05]

    return report


def duckdb() -> Report:
    """Return a report by SQL: histograms of 50 quantile bins and counts of levels, distance 0.1."""
    import duckdb as engine

    def report(folder: Path) -> list[str]:
        link = engine.connect(config={"threads": 1})
        names = [row[0] for row in link.sql(f"describe from '{folder}/reference.parquet'").fetchall()]
        drifted = []
        cuts = ", ".join(str(i / 50) for i in range(1, 50))
        numbers = [name for name in names if name.startswith("f.n")]
        levels = [f'histogram("{name}")' for name in names if name not in numbers]
        asked = ", ".join(f'approx_quantile("{name}", [{cuts}])' for name in numbers)
        edges = link.sql(f"select {asked} from '{folder}/reference.parquet'").fetchall()[0]
        bins = [f'histogram("{n}", {sorted(set(e))})' for n, e in zip(numbers, edges, strict=True)]
        found = [
            link.sql(f"select {', '.join(bins + levels)} from '{folder}/{side}.parquet'").fetchall()[0]
            for side in ("reference", "current")
        ]
        for name, a, b in zip(numbers + [n for n in names if n not in numbers], *found, strict=True):
            keys = sorted(a.keys() | b.keys())
            n, m = sum(a.values()), sum(b.values())
            gap = [a.get(key, 0) / n - b.get(key, 0) / m for key in keys]
            if sum(map(abs, gap)) / 2 > 0.1:
                drifted.append(name)
        return drifted

    return report


def evidently() -> Report:
    """Return Evidently's preset with its defaults."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    def report(folder: Path) -> list[str]:
        a, b = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "current"))
        found = Report([DataDriftPreset()]).run(b, a).dict()
        drifted = []
        for metric in found["metrics"]:
            if "column" in metric["config"]:
                said, limit = float(metric["value"]), metric["config"]["threshold"]
                far = said < limit if "p_value" in metric["config"]["method"] else said >= limit
                drifted += [metric["config"]["column"]] * far
        count = next(m["value"]["count"] for m in found["metrics"] if "drift_share" in m["config"])
        assert count == len(drifted)
        return drifted

    return report


def nannyml() -> Report:
    """Return NannyML's univariate drift with its defaults: ten chunks, which are days where there are ten."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
    import nannyml as nml
    import pandas as pd

    def report(folder: Path) -> list[str]:
        a, b = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "current"))
        size = len(b) if len(a) == CHUNKS * len(b) else len(a) // CHUNKS
        calculator = nml.UnivariateDriftCalculator(column_names=list(a.columns), chunk_size=size)
        found = calculator.fit(a).calculate(b).to_df(multilevel=False)
        seen = found[found["chunk_period"] == "analysis"]
        alerts = [name for name in found.columns if name.endswith("_alert") and seen[name].any()]
        return [column for column in a.columns if any(name.startswith(f"{column}_") for name in alerts)]

    return report


TOOLS = {tool.__name__: tool for tool in (ours, scipy, duckdb, evidently, nannyml)}


def rss_mb() -> float:
    """Return the largest resident memory so far, in MB; `getrusage` would tell that of the parent too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def bound() -> None:
    """Hold this process to the memory and processor time that it was given."""
    for name, limit, unit in (
        ("HARNESS_BENCH_MB", resource.RLIMIT_AS, 2**20),
        ("HARNESS_BENCH_SECONDS", resource.RLIMIT_CPU, 1),
    ):
        if given := os.environ.get(name):
            resource.setrlimit(limit, (int(given) * unit, int(given) * unit))


def main() -> None:
    """Run one tool and print its figures."""
    bound()
    report = TOOLS[sys.argv[1]]()
    before, start = rss_mb(), time.process_time()
    drifted = {folder: report(Path(folder)) for folder in sys.argv[2:]}
    found = {"cpu_s": time.process_time() - start, "imported_cpu_s": start, "before_mb": before}
    print(json.dumps({**found, "peak_mb": rss_mb(), "drifted": drifted}))


if __name__ == "__main__":
    main()
