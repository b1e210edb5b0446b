"""Gradients of a predictor at freshly sampled parameters, and what a predictor must fulfil."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._types import Params, PyTree
from .._leaves import build_params, is_moving, leaf_paths
from ._gates import gates_of

_FOR_SIZE = 64  # drawn parameters that show the sizes of leaves


class Block(NamedTuple):
    """Sampled parameters and gradients, for each moving leaf an array of shape (n, *leaf)."""

    values: list[np.ndarray]
    grads: list[np.ndarray]


class Look(NamedTuple):
    """What a predictor sees of its parameters, leaf by leaf.

    - `sizes`: root-mean-square size of the leaf.
    - `influence`: its largest derivative times that size, relative to the largest of all leaves.
    - `times`: in how many evaluations the derivative by an entry was not zero.
    """

    sizes: list[float]
    influence: list[float]
    times: list[np.ndarray]


def has_entries(leaf: Any) -> bool:
    """Whether a leaf is a floating array with at least one entry."""
    return is_moving(leaf) and leaf.size > 0


def _double(tree: PyTree) -> PyTree:
    return jax.tree.map(
        lambda x: jnp.asarray(np.asarray(x), jnp.float64) if is_moving(x) else x, tree
    )


def batch_size(inputs: Any) -> int:
    """The common length of the first axis of `inputs`.

    **Raises:** `ValueError` where there is none.
    """
    arrays = [x for x in jax.tree.leaves(inputs) if eqx.is_array_like(x)]
    shapes = [np.shape(x) for x in arrays]
    if not shapes or any(not shape for shape in shapes) or len({s[0] for s in shapes}) != 1:
        raise ValueError(
            "`inputs` must be arrays with one common batch axis, the first: their shapes are "
            f"{shapes}. Move the batch axis to the front."
        )
    return shapes[0][0]


class Sampler:
    """Draws parameters and inputs, and takes gradients of random combinations of the outputs."""

    def __init__(
        self,
        predict: Callable[..., Any],
        params: Params,
        inputs: Any,
        sample: Callable[..., Any] | None,
        rng: np.random.Generator,
        block: int,
    ):
        self.block = block
        leaves = jax.tree.leaves(params)
        self.index = [i for i, x in enumerate(leaves) if has_entries(x)]
        self.paths = [leaf_paths(params)[i] for i in self.index]
        self.params = _double(params)
        self.leaves = [np.asarray(jax.tree.leaves(self.params)[i]) for i in self.index]
        self.inputs = None if inputs is None else jax.tree.map(np.asarray, _double(inputs))
        self.count = 1 if inputs is None else batch_size(inputs)
        self.sample = sample
        self.rng = rng
        sizes = [float(np.sqrt(np.mean(x**2))) if x.size else 0.0 for x in self.leaves]
        usual = [s for s in sizes if s > 0]
        self.sizes = [s if s > 0 else (float(np.median(usual)) if usual else 1.0) for s in sizes]
        self.on: np.ndarray | None = None
        self.off: np.ndarray | None = None
        self.patterns: set[bytes] = set()
        self.outputs, self.weights = self._check(predict)
        self._gradients = self._compile(predict)

    @property
    def dimension(self) -> int:
        return sum(x.size for x in self.leaves)

    def with_leaves(self, values: list[Any]) -> Params:
        return build_params(self.params, dict(zip(self.index, values, strict=True)))

    def rows_of(self, chosen: Any) -> Any:
        """The inputs with these indices, each a batch of one: leaves of shape (n, 1, ...)."""
        return jax.tree.map(lambda x: x[chosen][:, None] if np.ndim(x) else x, self.inputs)

    # -- what a predictor must fulfil ------------------------------------------------------------

    def _call(self, predict: Callable[..., Any], inputs: Any) -> list[np.ndarray]:
        try:
            value = predict(self.params) if inputs is None else predict(self.params, inputs)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            if inputs is None:
                raise ValueError(
                    f"`predict` fails on `params` alone ({what}): give `inputs`, or a function of "
                    "the parameters only."
                ) from error
            shapes = [np.shape(x) for x in jax.tree.leaves(inputs)]
            raise ValueError(
                f"`predict` fails on `inputs` of shapes {shapes} ({what}): it takes a batch whose "
                "first axis runs over samples, of any length (`jax.vmap` a model of one sample)."
            ) from error
        out = jax.tree.leaves(value)
        if not out or not all(
            eqx.is_array(x) and jnp.issubdtype(x.dtype, jnp.floating) for x in out
        ):
            raise ValueError("`predict` must return floating arrays, and at least one.")
        return [np.asarray(x) for x in out]

    def _check(self, predict: Callable[..., Any]) -> tuple[int, list[np.ndarray]]:
        """Scalar outputs for each input, and the weights that make output leaves comparable."""
        first, second = self._call(predict, self.inputs), self._call(predict, self.inputs)
        for one, other in zip(first, second, strict=True):
            if not np.array_equal(one, other, equal_nan=True):
                raise ValueError(
                    "`predict` is not deterministic: two calls with the same arguments differ. "
                    "Fix its random keys, and turn dropout off."
                )
            if not np.isfinite(one).all():
                raise ValueError("`predict` is not finite at `params`: give valid parameters.")
        if self.inputs is not None:
            shapes = [x.shape for x in first]
            if any(not shape or shape[0] != self.count for shape in shapes):
                raise ValueError(
                    f"`inputs` has a batch of {self.count} along its first axis, and `predict` "
                    f"returns shapes {shapes}: the batch must be the first axis of inputs and "
                    "outputs alike. Move it there."
                )
            again = jax.tree.map(lambda x: np.repeat(x[:1], self.count, axis=0), self.inputs)
            for one, whole in zip(self._call(predict, again), first, strict=True):
                size = np.abs(whole).max(initial=0.0)
                if not np.allclose(one, whole[:1], rtol=1e-5, atol=1e-5 * size):
                    raise ValueError(
                        "`predict` gives another value for the first input among others than "
                        "among copies of itself: the first axis of `inputs` must run over "
                        "independent samples (move the batch axis there, and put batch "
                        "normalisation in inference mode)."
                    )
            first = [x[:1] for x in first]
        weights = []
        for x in first:
            size = float(np.sqrt(np.mean(x**2))) if x.size else 0.0
            weights.append(np.full(x.shape, 1.0 / size if size > 0 else 1.0))
        return sum(x.size for x in first), weights

    # -- gradients -------------------------------------------------------------------------------

    def _compile(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        def outputs(leaves: list[Any], rest: Any) -> list[Any]:
            params = build_params(self.params, dict(zip(self.index, leaves, strict=True)))
            value = predict(params) if self.inputs is None else predict(params, rest)
            return jax.tree.leaves(value)

        gates = gates_of(outputs)

        def combined(leaves: list[Any], rest: Any, signs: list[Any]) -> tuple[Any, Any]:
            out = outputs(leaves, rest)
            total = sum(jnp.sum(x * u) for x, u in zip(out, signs, strict=True))
            return total, gates(leaves, rest)

        one = jax.value_and_grad(combined, has_aux=True)
        compiled = jax.jit(jax.vmap(one))

        def gradients(*args: Any) -> Any:
            try:
                return compiled(*args)
            except (TypeError, ValueError, NotImplementedError, jax.errors.JAXTypeError) as error:
                raise ValueError(
                    f"`predict` cannot be differentiated for one input ({type(error).__name__}: "
                    f"{error}): it must take a batch of length 1 and be a function that JAX can "
                    "trace and differentiate in reverse."
                ) from error

        return gradients

    def draw(self, count: int) -> list[np.ndarray]:
        """Fresh parameters, shape (count, *leaf) for each moving leaf."""
        if self.sample is None:
            spread = [
                np.exp(0.25 * self.rng.standard_normal((count,) + (1,) * x.ndim))
                for x in self.leaves
            ]
            return [
                size * factor * self.rng.standard_normal((count, *x.shape))
                for x, size, factor in zip(self.leaves, self.sizes, spread, strict=True)
            ]
        seeds = self.rng.integers(0, 2**31, count)
        sample = self.sample

        def one(seed: Any) -> list[Any]:
            drawn = sample(jax.random.key(seed), self.params)
            if jax.tree.structure(drawn) != jax.tree.structure(self.params):
                raise ValueError(
                    "`sample` must return parameters of the structure of `params`, not "
                    f"{jax.tree.structure(drawn)}."
                )
            leaves = jax.tree.leaves(drawn)
            return [leaves[i] for i in self.index]

        drawn = [np.asarray(x, np.float64) for x in jax.vmap(one)(jnp.asarray(seeds))]
        for x, leaf, path in zip(drawn, self.leaves, self.paths, strict=True):
            if x.shape[1:] != leaf.shape:
                raise ValueError(
                    f"`sample` returns shape {x.shape[1:]} for leaf {path!r} of shape {leaf.shape}."
                )
        return drawn

    def gradients(self, values: list[np.ndarray], chosen: np.ndarray) -> Block:
        """Gradients at each of `values`, with the input of that number in `chosen`."""
        parts = [
            self._part([x[i : i + self.block] for x in values], chosen[i : i + self.block])
            for i in range(0, len(chosen), self.block)
        ]
        grads = [np.concatenate(g) for g in zip(*parts, strict=True)]
        return Block(values, grads)

    def look(self, chosen: np.ndarray, count: int, least: float) -> Look:
        """How much the predictor sees of each leaf and entry, in `count` evaluations on inputs
        with the numbers `chosen`."""
        sizes = [float(np.sqrt(np.mean(x**2))) if x.size else 0.0 for x in self.draw(_FOR_SIZE)]
        sizes = [s if s > 0 else 1.0 for s in sizes]
        influence = np.zeros(len(sizes))
        times = [np.zeros(x.shape) for x in self.leaves]
        for drawn in self.evaluations(chosen, count):
            scaled = [s * np.abs(g) for s, g in zip(sizes, drawn.grads, strict=True)]
            each = np.stack([x.reshape(len(x), -1).max(axis=1, initial=0.0) for x in scaled])
            influence = np.maximum(influence, each.max(axis=1))
            cut = least * each.max(axis=0)
            for n, x in zip(times, scaled, strict=True):
                n += (x > cut.reshape(-1, *(1,) * n.ndim)).sum(axis=0)
        top = influence.max()
        return Look(sizes, [float(x / top) if top > 0 else 0.0 for x in influence], times)

    def evaluations(self, chosen: np.ndarray, count: int) -> Iterator[Block]:
        """`count` gradients at fresh parameters and inputs with these numbers, block by block."""
        for done in range(0, count, self.block):
            size = min(self.block, count - done)
            yield self.gradients(self.draw(size), np.resize(self.rng.permutation(chosen), size))

    def _part(self, values: list[np.ndarray], chosen: np.ndarray) -> list[np.ndarray]:
        """One block, padded to the size for which the gradient is compiled."""
        count = self.block
        real = len(chosen)
        chosen = np.resize(chosen, count)
        values = [x[np.resize(np.arange(real), count)] for x in values]
        rest = None if self.inputs is None else self.rows_of(chosen)
        signs = [w * self.rng.standard_normal((count, *w.shape)) for w in self.weights]
        (total, gates), grads = self._gradients(values, rest, signs)
        grads = [np.asarray(g, np.float64) for g in grads]
        good = np.isfinite(np.asarray(total))
        for g in grads:
            good &= np.isfinite(g.reshape(count, -1)).all(axis=1)
        if not good.all():
            where = f"is not finite at {int((~good).sum())} of {count} sampled parameters"
            if self.sample is not None:
                raise ValueError(
                    f"`predict` or its derivative {where}: `sample` must draw valid ones."
                )
            raise ValueError(
                f"`predict` or its derivative {where} (each leaf normal, of the size it has in "
                "`params`): give `sample=`, a function (key, params) -> params that draws valid "
                "ones."
            )
        self._see(np.asarray(gates)[:real])
        return [g[:real] for g in grads]

    def _see(self, gates: np.ndarray) -> None:
        on, off = (np.any(g, axis=0, keepdims=True)[0] for g in (gates, ~gates))
        self.on = on if self.on is None else np.logical_or(self.on, on)
        self.off = off if self.off is None else np.logical_or(self.off, off)
        if gates.shape[1]:
            self.patterns.update(row.tobytes() for row in np.packbits(gates, axis=1))

    def require_switching(self, rows: int) -> None:
        """Refuse a `sample` that leaves gates on one side of zero which could switch.

        Under the default sampling every sign is as likely as its opposite, so a gate that stays
        put there (the variance inside a normalisation, say) stays put everywhere.
        """
        if self.sample is None or self.on is None or self.off is None or self.on.size == 0:
            return
        seen = self.on & self.off
        kept = self.sample, self.on, self.off, self.patterns
        self.sample, self.on, self.off, self.patterns = None, None, None, set()
        try:
            self.gradients(self.draw(rows), self.rng.integers(0, self.count, rows))
            able = self.on & self.off if self.on is not None and self.off is not None else seen
        except ValueError:
            able = seen  # the predictor is not defined there: nothing to compare with
        self.sample, self.on, self.off, self.patterns = kept
        frozen = int((able & ~seen).sum())
        if frozen:
            raise ValueError(
                f"`sample` shows too few activation patterns: {frozen} of {seen.size} gates (ReLU "
                f"units, comparisons with zero) never switched in {rows} evaluations "
                f"({len(self.patterns)} patterns), and a unit that is always on or always off "
                "makes spurious symmetries. Sample parameters more widely, or leave `sample` out."
            )
