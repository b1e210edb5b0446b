"""How a model is described: dimensions, formulas, laws and the conditions that fail."""

from fractions import Fraction
from typing import NamedTuple

from ..quotient import AbstractGauge, MomentMapGauge


class Dimensions(NamedTuple):
    """Dimensions of a model at a generic point of its slice.

    - `parameters`: `D`, the number of scalar parameters.
    - `algebra`: `k`, the number of generators (rows of the orbit Gram `S`).
    - `orbit`: rank of `S`.
    - `stabiliser`: `algebra - orbit`; where it is positive, `log det S` is a log
        pseudo-determinant.
    - `symmetric`: number of symmetric generators (directions of the moment map); 0 for an
        isometric action.
    - `predictor`: number of entries of `w` (rows of the predictor Gram `K`).
    - `quotient`: rank of `K`; where it is below `predictor`, `log det K` is a log
        pseudo-determinant and densities refer to the Hausdorff measure of the image. It is
        `parameters - orbit` where generic orbits are closed and `w` separates them.
    """

    parameters: int
    algebra: int
    orbit: int
    stabiliser: int
    symmetric: int
    predictor: int
    quotient: int


class LawStatement(NamedTuple):
    """One line of a model's table of laws.

    - `name`: `"horizontal"`, `"pushforward"`, `"projected"` or `"conditioned"`.
    - `calculus`: `"ito"`, `"stratonovich"`, or `"any"` where the noise does not depend on the
        state or no process is meant.
    - `exponent`: the power `s` of the orbit volume in `exp(-l/T) det K^(-1/2) V^s dw`; None where
        it depends on the noise (projected: `beta^2/alpha^2`) or no such power exists.
    - `applies`: whether the law holds for this model, as `gaugebias.laws` decides it.
    - `normalisable`: whether the density is integrable at the singular strata, as far as they are
        concerned; where not, restrict the domain.
    - `reference`: the measure of the density in `density`, `"lebesgue"` throughout.
    - `density`: the closed form without `exp(-l/T)`, up to a constant.
    - `reason`: the conditions under which it holds, or the condition that fails and what holds
        instead.
    """

    name: str
    calculus: str
    exponent: float | None
    applies: bool
    normalisable: bool
    reference: str
    density: str
    reason: str


class Failure(NamedTuple):
    """A condition that a model does not meet.

    - `condition`: a word of the catalogue's table: `"slice invariance"`, `"compactness"`,
        `"stabiliser"`, `"full rank"`, `"integrability"`, `"transpose"`, `"moment-map zero"`,
        `"closed orbits"` or `"separation"`.
    - `detail`: a sentence: what fails, and what follows.
    """

    condition: str
    detail: str


class Description(NamedTuple):
    """A model in formulas, with the numbers of the instance put in.

    - `formula`: the predictor.
    - `group`, `generators`: who acts, and how.
    - `moment_map`: the function `chi` of the symmetric generators, or why there is none.
    - `slice`: where the representatives are.
    - `orbit_gram`, `gram`: `log det S` and `log det K` there (`log V` is half the former).
    - `caveats`: conditions that fail beyond those that follow from dimensions and laws.
    - `gauge`: the gauge of the model's quotient.
    """

    formula: str
    group: str
    generators: str
    moment_map: str
    slice: str
    orbit_gram: str
    gram: str
    caveats: tuple[Failure, ...] = ()
    gauge: AbstractGauge = MomentMapGauge()


def failures(
    description: Description, dimensions: Dimensions, laws: tuple[LawStatement, ...]
) -> tuple[Failure, ...]:
    """The conditions that fail: those that dimensions and laws show, then the model's own."""
    out = []
    for law in laws:
        if law.applies and not law.normalisable:
            out.append(Failure("integrability", f"{law.name}: {law.reason}"))
        elif not law.applies and (law.name, law.calculus) == ("horizontal", "ito"):
            out.append(Failure("slice invariance", law.reason))
        elif not law.applies and law.name == "pushforward":
            out.append(Failure("compactness", law.reason))
    d = dimensions
    if d.stabiliser:
        detail = (
            f"a stabiliser of dimension {d.stabiliser} at points of the slice: S has rank "
            f"{d.orbit} of {d.algebra}, log det S is a log pseudo-determinant."
        )
        out.append(Failure("stabiliser", detail))
    if d.quotient < d.predictor:
        detail = (
            f"K has rank {d.quotient} of {d.predictor}: log det K is a log pseudo-determinant, and "
            "densities refer to the Hausdorff measure of the image."
        )
        out.append(Failure("full rank", detail))
    own = {failure.condition for failure in description.caveats}
    return (*(f for f in out if f.condition not in own), *description.caveats)


def fraction(value: float) -> str:
    """A number as `3` or, in brackets, `(-1/2)`."""
    exact = Fraction(value).limit_denominator(1000)
    text = str(exact)
    return text if exact.denominator == 1 else f"({text})"
