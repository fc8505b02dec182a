"""Small source tables in the shape of those that the demo reads."""

import pandas as pd

from harness.demo.flights import Tables


def flight(**changes: object) -> dict[str, object]:
    """Return one row of the flights table: UA 1 from EWR to IAH on the first morning, on time."""
    row: dict[str, object] = {
        "time_hour": "2013-01-01T14:00:00Z",
        "minute": 0,
        "carrier": "UA",
        "flight": 1,
        "tailnum": "N1",
        "origin": "EWR",
        "dest": "IAH",
        "distance": 1400,
        "dep_delay": 0.0,
        "arr_time": 1200.0,
        "arr_delay": 0.0,
        **changes,
    }
    local = pd.Timestamp(str(row["time_hour"])).tz_convert("America/New_York")
    return {"hour": local.hour, **row}


def tables(*flights: dict[str, object], observed: pd.DataFrame | None = None) -> Tables:
    """Return source tables with these flights, and with the weather `observed` or that of one hour."""
    frame = pd.DataFrame(list(flights))
    for name in ("dep_delay", "arr_time", "arr_delay"):
        frame[name] = frame[name].astype("float64")
    frame["tailnum"] = frame["tailnum"].astype("str" if frame["tailnum"].notna().all() else "object")
    return Tables(frame, weather() if observed is None else observed, planes(), airports())


def weather() -> pd.DataFrame:
    """Return one hour of weather at EWR, its pressure missing."""
    return pd.DataFrame([report("2013-01-01T10:00:00Z")])


def report(time_hour: str, *, origin: str = "EWR", temp: float = 39.0) -> dict[str, object]:
    """Return one row of the weather table, without pressure."""
    row = {"origin": origin, "time_hour": time_hour, "temp": temp, "humid": 60.0}
    return row | {"wind_speed": 12.0, "precip": 0.0, "pressure": float("nan"), "visib": 10.0}


def planes() -> pd.DataFrame:
    """Return one plane, built in 2004."""
    return pd.DataFrame([{"tailnum": "N1", "year": 2004.0, "seats": 55}])


def airports() -> pd.DataFrame:
    """Return the two destinations that have a row, each with its zone."""
    return pd.DataFrame({"faa": ["IAH", "BOS"], "tzone": ["America/Chicago", "America/New_York"]})
