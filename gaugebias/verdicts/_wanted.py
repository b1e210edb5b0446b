"""Which tests a comparison runs: chosen by dimension, or by name."""

from collections.abc import Sequence

import equinox as eqx

TESTS = ("ks", "scores", "energy", "mmd", "stein", "rank")
# What two samples offer; the others need a law.
SAMPLE_TESTS = ("ks", "energy", "mmd")


class Wanted(eqx.Module):
    """`names` is None where the dimension chooses; `joint` is whether it may choose joint tests."""

    names: tuple[str, ...] | None = eqx.field(static=True)
    joint: bool = eqx.field(static=True)

    def wants(self, test: str, dimension: int) -> bool:
        """Whether to run `test` on draws of so many coordinates."""
        if self.names is not None:
            return test in self.names
        if test in ("ks", "scores"):
            return True
        if test == "energy":
            return self.joint and dimension > 1
        return test == "stein" and self.joint and dimension > 3

    def named(self, test: str) -> bool:
        """Whether `test` was asked for by name: then it must not be left out silently."""
        return self.names is not None and test in self.names


def as_wanted(tests: Sequence[str] | str | None, joint: bool) -> Wanted:
    """The choice of a user, checked."""
    if tests is None:
        return Wanted(None, joint)
    names = (tests,) if isinstance(tests, str) else tuple(tests)
    unknown = [name for name in names if name not in TESTS]
    if unknown or not names:
        what = f"names {unknown[0]!r}" if unknown else "is empty"
        raise ValueError(f"`tests` {what}: choose from {', '.join(TESTS)}.")
    return Wanted(names, joint)
