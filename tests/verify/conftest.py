"""Cases whose p-values are chosen, so that every verdict can be brought about."""

from collections.abc import Callable

import pytest

from gaugebias.verify import Case, CaseResult, Context, FigureData, Row


class FakeCase:
    """A case with given p-values at each attempt; it remembers its contexts."""

    def __init__(self, name: str, *attempts: dict[str, float], figure: bool = False) -> None:
        self.name, self.attempts, self.figure = name, attempts, figure
        self.contexts: list[Context] = []

    def __call__(self, context: Context) -> CaseResult:
        self.contexts.append(context)
        context.progress("simulating", 0.5)
        number = len(self.contexts) - 1
        rows = [
            Row(
                test=law,
                case=self.name,
                dynamics="fake noise",
                law=law,
                reference="lebesgue dw",
                role=law.split()[0],
                draws=context.chains,
                statistic=0.01,
                p_value=p_value,
                detail=f"detail of {law}",
                holds=p_value > 0.5 if law.startswith("refusal") else None,
            )
            for law, p_value in self.attempts[min(number, len(self.attempts) - 1)].items()
        ]
        figures = ()
        if self.figure:
            curve = ([0.0, 0.5, 1.0], [1.0, 1.0, 1.0])
            figures = (FigureData("Fake", "w", [0.1, 0.4, 0.6, 0.9], {"flat": curve}, ("flat",)),)
        return CaseResult(tuple(rows), figures, (f"note of attempt {number}",))

    @property
    def case(self) -> Case:
        return Case(self.name, f"Fake case {self.name}", self, chains=64, quick_chains=32)


@pytest.fixture
def fake() -> Callable[..., FakeCase]:
    """`fake(name, {law: p}, {law: p at the second attempt})`; a law begins with its role."""
    return FakeCase
