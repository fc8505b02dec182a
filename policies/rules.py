"""The catalogue of policies: one row is one rule, and the checks find it the moment it exists."""

from typing import Literal

import msgspec

Hypothesis = Literal["superiority", "noninferiority", "harm", "equivalence", "advantage"]
Role = Literal["primary", "guardrail", "context"]
Combination = Literal["all", "bonferroni", "holm", "average"]
Alternative = Literal["obrien-fleming", "pocock", "mcnemar", "tost", "delong", "wilson"]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy asks of each role before it acts, and the sentence that says so.

    A primary metric must show `promotes_on`, a guardrail `guards_on`; with `rejects`, harm shown on any of
    them rejects. `combines` says how many of them must, unless the plan says it of its primaries: `all`, or
    one at a level that is corrected for their number (policies/combined.py). `guardrails_count` puts the
    guardrails among those of which one is enough.
    """

    name: str
    promotes_on: Hypothesis
    sentence: str
    guards_on: Hypothesis = "noninferiority"
    rejects: bool = True
    combines: Combination = "all"
    guardrails_count: bool = False

    def hypotheses(self, role: str) -> tuple[Hypothesis, ...]:
        """Return the hypotheses that are tested for a metric of this role unless the plan names others.

        >>> RULES["promotion"].hypotheses("guardrail")
        ('noninferiority', 'harm')
        """
        shown = self.guards_on if role == "guardrail" else self.promotes_on
        return (shown, "harm") if self.rejects else (shown,)


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
        Rule(
            name="rollback",
            promotes_on="advantage",
            guards_on="advantage",
            rejects=False,
            combines="bonferroni",
            guardrails_count=True,
            sentence="The challenger is the model that was live before. Promote it again when it is shown "
            "better, by more than the margin, on any primary metric or guardrail; else hold.",
        ),
        Rule(
            name="retraining",
            promotes_on="superiority",
            rejects=False,
            sentence="The challenger was trained on the recent log. Retrain when all seven parts of a proof "
            "pass: it beats the champion, and the champion recalibrated, on decisions that nobody learned "
            "from, and that pays. Drift alone never retrains.",
        ),
    )
}
