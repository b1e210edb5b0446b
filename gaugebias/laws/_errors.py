"""What a law's conditions look like, and the errors raised where they fail."""

import equinox as eqx


class Condition(eqx.Module):
    """One checked condition of a law.

    - `name`: what was checked, in a few words.
    - `holds`: whether it holds on the sample of parameters it was checked on.
    - `value`: the number that decided it (a residual, a drift, an exponent).
    - `detail`: one sentence: what was measured, where, and what follows.
    """

    name: str = eqx.field(static=True)
    holds: bool = eqx.field(static=True)
    value: float = eqx.field(static=True)
    detail: str = eqx.field(static=True)


class LawRefused(ValueError):
    """A law was asked for outside its conditions.

    - `law`: its name.
    - `conditions`: every [`gaugebias.laws.Condition`][] checked, failing ones included.
    - `alternatives`: what still holds instead, one sentence each.
    """

    law: str
    conditions: tuple[Condition, ...]
    alternatives: tuple[str, ...]

    def __init__(
        self,
        law: str,
        reason: str,
        conditions: tuple[Condition, ...] = (),
        alternatives: tuple[str, ...] = (),
    ):
        self.law = law
        self.reason = reason
        self.conditions = tuple(conditions)
        self.alternatives = tuple(alternatives)
        text = f"the {law} law is refused: {reason}"
        if self.alternatives:
            text += " What still holds: " + " ".join(
                f"({i + 1}) {a}" for i, a in enumerate(self.alternatives)
            )
        super().__init__(text)

    def __reduce__(self):
        return type(self), (self.law, self.reason, self.conditions, self.alternatives)


class NotNormalisable(LawRefused):
    """The density has infinite mass: near a stratum, or at infinity."""


def require(law: str, conditions: tuple[Condition, ...], alternatives: tuple[str, ...]) -> None:
    """Raise [`gaugebias.laws.LawRefused`][] naming the first condition that fails."""
    for condition in conditions:
        if not condition.holds:
            raise LawRefused(law, condition.detail, conditions, alternatives)
