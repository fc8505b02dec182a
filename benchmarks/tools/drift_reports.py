"""One drift report by one tool in a process of its own: `python drift_reports.py TOOL FOLDER`.

Stands alone, because Evidently and NannyML need an environment that cannot hold this project. FOLDER has
reference.parquet and current.parquet, and for "ours" plan.json and reference.json. Prints JSON: processor
seconds from the files to the answer (imports apart), memory before and at most, and how many columns were
called drifted.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()


def ours() -> Callable[[], int]:
    """Return a report that folds batches of the current file and compares them with the stored reference."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from policies.drift import MonitorPlan, WindowState, compare, fold_window
    from policies.drift.reference import Reference

    pa.set_memory_pool(pa.system_memory_pool())  # the default one keeps what it has once touched

    def report() -> int:
        plan = MonitorPlan.from_json((FOLDER / "plan.json").read_bytes())
        reference = Reference.from_json((FOLDER / "reference.json").read_bytes(), plan)
        categories = [feature.column for feature in plan.features if feature.type == "category"]
        file = pq.ParquetFile(FOLDER / "current.parquet", read_dictionary=categories)
        window = WindowState.empty(plan)
        for group in range(file.num_row_groups):
            window = window.merge(fold_window(file.read_row_group(group, use_threads=False), plan))
        return sum(row.answer == "drift" for row in compare(window, reference, plan).features)

    return report


def scipy() -> Callable[[], int]:
    """Return a report by exact Kolmogorov-Smirnov and chi-square tests over pandas columns."""
    import pandas as pd
    from scipy.stats import chi2_contingency, ks_2samp

    def report() -> int:
        a, b = (pd.read_parquet(FOLDER / f"{name}.parquet") for name in ("reference", "current"))
        drifted = 0
        for name in a.columns:
            if name.startswith("f.n"):
                drifted += ks_2samp(a[name], b[name], method="asymp").pvalue < 0.05
            else:
                table = pd.concat([a[name].value_counts(), b[name].value_counts()], axis=1).fillna(0)
                drifted += chi2_contingency(table.to_numpy().T).pvalue < 0.05
        return int(drifted)

    return report


def duckdb() -> Callable[[], int]:
    """Return a report by SQL: histograms of 50 quantile bins and counts of levels, distance 0.1."""
    import duckdb as engine

    def report() -> int:
        link = engine.connect(config={"threads": 1})
        names = [row[0] for row in link.sql(f"describe from '{FOLDER}/reference.parquet'").fetchall()]
        drifted = 0
        cuts = ", ".join(str(i / 50) for i in range(1, 50))
        numbers = [name for name in names if name.startswith("f.n")]
        levels = [f'histogram("{name}")' for name in names if name not in numbers]
        asked = ", ".join(f'approx_quantile("{name}", [{cuts}])' for name in numbers)
        edges = link.sql(f"select {asked} from '{FOLDER}/reference.parquet'").fetchall()[0]
        bins = [f'histogram("{n}", {sorted(set(e))})' for n, e in zip(numbers, edges, strict=True)]
        found = [
            link.sql(f"select {', '.join(bins + levels)} from '{FOLDER}/{side}.parquet'").fetchall()[0]
            for side in ("reference", "current")
        ]
        for a, b in zip(*found, strict=True):
            keys = sorted(a.keys() | b.keys())
            n, m = sum(a.values()), sum(b.values())
            gap = [a.get(key, 0) / n - b.get(key, 0) / m for key in keys]
            drifted += sum(map(abs, gap)) / 2 > 0.1
        return drifted

    return report


def evidently() -> Callable[[], int]:
    """Return Evidently's preset with its defaults."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    def report() -> int:
        a, b = (pd.read_parquet(FOLDER / f"{name}.parquet") for name in ("reference", "current"))
        found = Report([DataDriftPreset()]).run(b, a).dict()
        values = [metric["value"] for metric in found["metrics"]]
        return int(next(value["count"] for value in values if isinstance(value, dict) and "count" in value))

    return report


def nannyml() -> Callable[[], int]:
    """Return NannyML's univariate drift over ten chunks with its defaults."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
    import nannyml as nml
    import pandas as pd

    def report() -> int:
        a, b = (pd.read_parquet(FOLDER / f"{name}.parquet") for name in ("reference", "current"))
        calculator = nml.UnivariateDriftCalculator(column_names=list(a.columns), chunk_number=10)
        found = calculator.fit(a).calculate(b).to_df(multilevel=False)
        alerts = [name for name in found.columns if name.endswith("_alert")]
        return int(found.loc[found["chunk_period"] == "analysis", alerts].any().sum())

    return report


TOOLS = {tool.__name__: tool for tool in (ours, scipy, duckdb, evidently, nannyml)}


def rss_mb() -> float:
    """Return the largest resident memory so far, in MB; `getrusage` would tell that of the parent too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Run one tool and print its figures."""
    report: Callable[[], Any] = TOOLS[sys.argv[1]]()
    before, start = rss_mb(), time.process_time()
    drifted = report()
    found = {"cpu_s": time.process_time() - start, "imported_cpu_s": start, "before_mb": before}
    print(json.dumps({**found, "peak_mb": rss_mb(), "drifted": drifted}))


if __name__ == "__main__":
    main()
