"""The catalogue of policies: one row is one rule, and the checks find it the moment it exists."""

from typing import Literal

import msgspec

Hypothesis = Literal["superiority", "noninferiority", "harm", "equivalence"]
Role = Literal["primary", "guardrail", "context"]


class Rule(msgspec.Struct, frozen=True):
    """What a policy asks of each role before it promotes, and the sentence that says so.

    A primary metric must show `promotes_on`; every guardrail must be shown not worse by more than its
    margin; harm shown on any of them rejects.
    """

    name: str
    promotes_on: Hypothesis
    sentence: str

    def hypotheses(self, role: str) -> tuple[Hypothesis, ...]:
        """Return the hypotheses that are tested for a metric of this role unless the plan names others.

        >>> RULES["promotion"].hypotheses("guardrail")
        ('noninferiority', 'harm')
        """
        return ("noninferiority" if role == "guardrail" else self.promotes_on, "harm")


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            name="promotion",
            promotes_on="superiority",
            sentence="Promote when the challenger is shown better on every primary metric and not worse, "
            "by more than the margin, on every guardrail; reject when harm is shown on any of them.",
        ),
        Rule(
            name="noninferiority",
            promotes_on="noninferiority",
            sentence="Promote when the challenger is shown not worse, by more than the margin, on every "
            "primary metric and every guardrail; reject when harm is shown on any of them.",
        ),
        Rule(
            name="equivalence",
            promotes_on="equivalence",
            sentence="Promote when the challenger is shown neither better nor worse, by more than the "
            "margin, on every primary metric and not worse on every guardrail; reject when harm is shown.",
        ),
    )
}
