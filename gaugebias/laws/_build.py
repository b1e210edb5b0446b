"""What the builders of laws share: arguments, the parameter sample, and the last checks."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from .._arguments import as_key
from .._compile import evaluated_now
from ..quotient import Domain, Quotient
from ._checks import as_nonnegative, as_temperature
from ._conditions import Sample, linear_condition, predictor_conditions, sample_of, start_point
from ._errors import Condition, require
from ._law import is_traced
from ._quadrature._integrable import check_integrable
from ._quotient_law import QuotientLaw
from ._split import Split, split_algebra
from ._volumes import AbstractVolume


class Context(NamedTuple):
    """Checked arguments of a builder."""

    name: str
    quotient: Quotient
    potential: Callable
    temperature: Array
    ridge: Array | None
    domain: Domain
    reference: str
    shape: tuple[int, ...]
    params: PyTree
    sample: Sample
    key: Array
    conditions: tuple[Condition, ...]
    full_rank: bool
    split: Split | None = None

    def adding(self, *conditions: Condition) -> "Context":
        """With more conditions."""
        return self._replace(conditions=(*self.conditions, *conditions))


def prepare(
    name: str,
    q: Quotient,
    potential: Callable,
    temperature: ArrayLike,
    ridge: ArrayLike,
    domain: Domain | None,
    reference: str,
    key: Array | None,
) -> Context:
    """Check arguments, and the conditions that every law shares.

    **Raises:** `ValueError` naming the argument; [`gaugebias.laws.LawRefused`][].
    """
    if not isinstance(q, Quotient):
        raise ValueError("`q` must be a `gaugebias.Quotient`.")
    if not callable(potential):
        raise ValueError("`potential` must be callable: w -> l(w).")
    if reference not in ("lebesgue", "slice", "quotient"):
        raise ValueError(
            f'`reference` must be "lebesgue", "slice" or "quotient", not {reference!r}.'
        )
    temperature = as_temperature(temperature)
    decay = as_nonnegative(ridge, "ridge")
    none = not isinstance(decay, Tracer) and float(decay) == 0.0
    with evaluated_now():
        key = jax.random.key(0) if key is None else as_key(key)
        params = start_point(q)
        predictor = jax.eval_shape(q.phi, params)
        if not isinstance(predictor, jax.ShapeDtypeStruct):
            raise ValueError("`q.phi` must give one array for a law; ravel the predictor.")
        shape = tuple(predictor.shape)
        size = math.prod(shape)
        domain = q.domain if domain is None else domain
        if domain is None:
            domain = Domain(np.full(size, -math.inf), np.full(size, math.inf))
        if domain.dimension != size:
            raise ValueError(
                f"`domain` has {domain.dimension} coordinates, the predictor {size} (shape "
                f"{shape})."
            )
        sample = sample_of(q, params, jax.random.fold_in(key, 1))
        separates, full = predictor_conditions(sample)
        key = jax.random.fold_in(key, 2)
    conditions = (separates, full) if reference == "lebesgue" else (separates,)
    require(
        name,
        conditions,
        (
            'a law of parameters needs only the action: `reference="slice"` or "quotient".',
            "simulate the process (`gaugebias.simulate`), which needs no law.",
        ),
    )
    return Context(
        name,
        q,
        potential,
        temperature,
        None if none else decay,
        domain,
        reference,
        shape,
        params,
        sample,
        key,
        conditions,
        full.holds,
    )


def build(
    context: Context, volume: AbstractVolume, exponent: Array, neutral: bool = False
) -> QuotientLaw | Any:
    """The law of a context, refused where it is not normalisable."""
    q = context.quotient
    closed = q.lift is not None or (
        neutral and q.log_det_gram is not None and context.ridge is None
    )
    split = context.split
    if split is None and linear_condition(context.sample).holds:
        split = split_algebra(context.sample.jacobians[0])
    law = QuotientLaw(
        name=context.name,
        quotient=q,
        potential=context.potential,
        temperature=context.temperature,
        exponent=jnp.asarray(exponent),
        ridge=context.ridge,
        volume=volume,
        split=split,
        domain=context.domain,
        conditions=context.conditions,
        shape=context.shape,
        resolution=1e-60 if closed else 1e-5,
        neutral=neutral,
        full_rank=context.full_rank,
    )
    if context.full_rank and not is_traced(law):
        check_integrable(law)
    return law if context.reference == "lebesgue" else law.to(context.reference)
