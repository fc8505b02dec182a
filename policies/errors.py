"""What can go wrong between columns and a verdict. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
└── PolicyError
    ├── PlanError           a plan that cannot be registered
    ├── ColumnsError        columns that cannot be folded
    ├── OutOfBounds         a value beyond its declared bounds, where the plan says "refuse"
    ├── EvidenceMismatch    evidence of another plan, scale or format
    └── EvidenceOverflow    sums beyond 64 bits: more data than the scale was proved for
"""

from recorders.errors import HarnessError


class PolicyError(HarnessError):
    """Base of the errors of `policies`."""


class PlanError(PolicyError):
    """A plan that cannot be registered: correct the named key of the experiment and register again."""

    exit_code = 2

    def __init__(self, key: str, value: object, expected: str, remedy: str) -> None:
        super().__init__(f"{key} is {value!r}.", f"Expected {expected}.", remedy)
        self.key = key
        self.value = value


class ColumnsError(PolicyError):
    """Columns that cannot be folded: hand over the table that pairing returns."""

    def __init__(self, column: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(f'Column "{column}" is {found}.', f"Expected {expected}.", remedy)
        self.column = column
        self.found = found


class OutOfBounds(PolicyError):  # noqa: N818  # the name says what happened, as its siblings do
    """Values beyond their declared bounds: widen the bound in a new experiment, or declare "clip"."""

    def __init__(self, metric: str, count: int, worst: float, bound: float) -> None:
        super().__init__(
            f'At least {count} values of metric "{metric}" lie outside its bounds, the furthest seen at '
            f"{worst!r}.",
            f"Expected values from 0 to {bound!r}.",
            'Register a new experiment with a wider "bound", or with outside = "clip".',
        )
        self.metric = metric
        self.count = count
        self.worst = worst
        self.bound = bound


class EvidenceMismatch(PolicyError):  # noqa: N818  # the name says what happened, as its siblings do
    """Evidence of another plan, scale or format: fold the columns again under this plan."""

    exit_code = 30

    def __init__(self, what: str, found: object, expected: object) -> None:
        super().__init__(
            f"The evidence has {what} {found!r}.",
            f"Expected {expected!r}.",
            "Fold the columns again under the registered plan; evidence of two plans is never mixed.",
        )
        self.what = what
        self.found = found
        self.wanted = expected


class EvidenceOverflow(PolicyError):  # noqa: N818  # the name says what happened, as its siblings do
    """A sum beyond 64 bits: register the experiment with a smaller scale."""

    def __init__(self, what: str, value: int) -> None:
        super().__init__(
            f"The sum of {what} reaches {value}.",
            "Expected less than 2**63.",
            'Register a new experiment with a smaller "scale" or smaller units.',
        )
        self.what = what
        self.value = value
