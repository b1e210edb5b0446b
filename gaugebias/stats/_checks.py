from collections.abc import Sequence

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

# Fewer draws than this cannot reject anything at the levels in use.
MINIMUM_DRAWS = 8

Numbers = ArrayLike | Sequence[float] | Sequence[int]


def as_array(x: Numbers, name: str) -> np.ndarray:
    """`x` as a finite float64 host array, or a `ValueError` naming the argument `name`."""
    if np.iscomplexobj(x):
        raise ValueError(f"`{name}` must be real: give its real part or its modulus.")
    try:
        out = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be an array of real numbers: {error}.") from error
    if out.size == 0:
        raise ValueError(f"`{name}` is empty (shape {out.shape}): it holds no draws.")
    bad = int(np.count_nonzero(~np.isfinite(out)))
    if bad:
        raise ValueError(
            f"`{name}` holds {bad} non-finite values of {out.size}: drop the diverged chains or "
            "lower the step size of the simulation."
        )
    return out


def as_points(x: Numbers, name: str, minimum: int = MINIMUM_DRAWS) -> np.ndarray:
    """`x` of shape (n, *shape) as float64 points of shape (n, d), n at least `minimum`."""
    out = as_array(x, name)
    if out.ndim == 0:
        raise ValueError(f"`{name}` must have shape (n, ...), one row a draw; it is a scalar.")
    if out.shape[0] < minimum:
        raise ValueError(
            f"`{name}` holds {out.shape[0]} draws; at least {minimum} are needed. Its leading "
            "axis enumerates independent draws."
        )
    return out.reshape(out.shape[0], -1)


def as_sample(x: Numbers, name: str, minimum: int = MINIMUM_DRAWS) -> np.ndarray:
    """`x` of shape (n,) or (n, 1) as a float64 sample of shape (n,), n at least `minimum`."""
    out = as_points(x, name, minimum)
    if out.shape[1] != 1:
        raise ValueError(
            f"`{name}` must be one-dimensional, shape (n,); it has shape {np.shape(x)}. Test one "
            "coordinate at a time, or use `energy_distance`."
        )
    return out[:, 0]


def as_level(value: float, name: str) -> float:
    """A probability strictly between 0 and 1."""
    out = float(value)
    if not 0.0 < out < 1.0:
        raise ValueError(f"`{name}` must lie strictly between 0 and 1, not {value}.")
    return out


def generator(key: PRNGKeyArray | ArrayLike) -> np.random.Generator:
    """A NumPy generator seeded by a JAX key: host-side resampling is then reproducible."""
    words = np.asarray(jax.random.key_data(key)).ravel()  # pyright: ignore[reportArgumentType]
    return np.random.default_rng([int(word) for word in words])
