"""A monitor's plan cut from a reference: bins, levels and limits as the reference shows them."""

from typing import Any

import pyarrow as pa

from policies.checks import refuse
from policies.drift.arrow import fits
from policies.drift.edges import Edges, cut_edges
from policies.drift.plan import FeaturePlan, Role
from policies.drift.survey import Survey, finite_numbers


def cut_feature(
    name: str, kind: str, values: Any, *, role: Role = "feature", column: str = ""
) -> FeaturePlan:
    """Return the plan of one feature, with its bins, levels and limit of missing values, from one column.

    Of a reference that does not fit into memory, take a `Survey` of its blocks, and their cells.

    Raises:
        PlanError: the reference column is of another type than `kind`.

    >>> cut_feature("carrier", "category", pa.array(["UA", None, "UA"])).levels
    ('UA',)
    """
    if not fits(kind, values.type) and not pa.types.is_null(values.type):
        refuse(f"features.{name}.type", kind, f"the reference's type, {values.type}", "Correct one of them.")
    survey = Survey(kind, len(values))
    survey.add(values)
    grid = survey.grid()
    edges: Edges | None = None if grid is None else cut_edges(grid, grid.cells(finite_numbers(values)))
    return survey.plan(name, role=role, column=column, edges=edges)
