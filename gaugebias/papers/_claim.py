"""A claim of a publication as a measurable statement, and the verdict on it."""

import dataclasses
import math

VERDICTS = ("supported", "not supported", "undecided")
KINDS = ("published", "derived", "control")


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement that a run supports or not.

    - `name`: short, unique in its publication.
    - `statement`: what is measured and the bounds it is held against, in one sentence.
    - `kind`: `"published"` (a claim of the publication, made measurable by us), `"derived"` (a
        statement of our own derivation) or `"control"` (what a rival explanation would show).
    - `measured`: the numbers, as text.
    - `verdict`: `"supported"`, `"not supported"` or `"undecided"`; see
        [`gaugebias.papers.judge`][].
    - `expected`: the verdict that a correct program gives. It is `"not supported"` for a claim
        that is known to fail as stated.
    """

    name: str
    statement: str
    kind: str
    measured: str
    verdict: str
    expected: str = "supported"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`kind` is {self.kind!r}: give one of {', '.join(KINDS)}.")
        for name in ("verdict", "expected"):
            value = getattr(self, name)
            if value not in VERDICTS:
                raise ValueError(f"`{name}` is {value!r}: give one of {', '.join(VERDICTS)}.")

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the one expected."""
        return self.verdict == self.expected


def judge(value: float, low: float, high: float, *, error: float = 0.0) -> str:
    """The verdict on `low <= value <= high`, where `value` is known to `error` either way.

    `"supported"` where the whole of `value - error ... value + error` is inside, `"not supported"`
    where all of it is outside, else (and for a value that is not a number) `"undecided"`.
    `error` is 0 for deterministic runs, else half the width of a confidence interval.
    """
    if math.isnan(low) or math.isnan(high) or low > high:
        raise ValueError(f"`low` and `high` must be ordered numbers, not {low} and {high}.")
    if not error >= 0:
        raise ValueError(f"`error` must be at least 0, but is {error}.")
    if math.isnan(value):
        return "undecided"
    if low <= value - error and value + error <= high:
        return "supported"
    if value + error < low or value - error > high:
        return "not supported"
    return "undecided"
