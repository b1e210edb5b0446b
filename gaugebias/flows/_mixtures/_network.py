"""Networks of one hidden layer in the charts of mixtures: neurons collide as components do."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float
from ._chart import AbstractChart

ACTIVATIONS = {
    "tanh": jnp.tanh,
    "erf": jax.scipy.special.erf,
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
}


def activation_of(name: str):
    """The smooth activation of a name; `ValueError` for others."""
    if name not in ACTIVATIONS:
        raise ValueError(
            f"`activation` is {name!r}: give one of {', '.join(ACTIVATIONS)}, which have the "
            "derivatives that the expansion at a collision needs."
        )
    return ACTIVATIONS[name]


@final
class ShallowNetwork(eqx.Module):
    r"""\(f(x) = \sum_k a_k \varphi(w_k \cdot x)\), a network of one hidden layer.

    Singular where two neurons are equal or an output weight is 0, as a mixture is.

    **Arguments:** `neurons`, `w`, shape `(K,)` for inputs on the line, `(K, d)` above; `outputs`,
    `a`, shape `(K,)`; `activation`: "tanh", "erf", "softplus" or "sigmoid".
    """

    neurons: Array = eqx.field(converter=as_float)
    outputs: Array = eqx.field(converter=as_float)
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        activation_of(self.activation)
        w, a = self.neurons, self.outputs
        if w.ndim not in (1, 2) or w.shape[0] < 1:
            raise ValueError(f"`neurons` must have shape (K,) or (K, d), but has {w.shape}.")
        if a.shape != w.shape[:1]:
            raise ValueError(
                f"`outputs` must have shape {w.shape[:1]}, one for each of `neurons`, but has "
                f"{a.shape}."
            )

    def __call__(self, inputs: ArrayLike) -> Array:
        """Outputs, shape `(N,)`, of inputs `(N,)` or `(N, d)`."""
        x = check_inputs(inputs, self.neurons.shape[1:])
        fields = x[:, None] * self.neurons[None] if x.ndim == 1 else x @ self.neurons.T
        return activation_of(self.activation)(fields) @ self.outputs


def check_inputs(inputs: ArrayLike, tail: tuple[int, ...]) -> Array:
    """Inputs of shape `(N, *tail)`."""
    x = as_float(inputs)
    if x.ndim != len(tail) + 1 or x.shape[1:] != tail:
        want = "(N,)" if not tail else f"(N, {tail[0]})"
        raise ValueError(f"`inputs` must have shape {want}, but has {x.shape}.")
    return x


def check_masses(masses: ArrayLike | None, x: Array) -> Array:
    """Masses of the inputs that sum to 1; equal ones where none are given."""
    n = x.shape[0]
    if masses is None:
        return jnp.full(n, 1.0 / n, x.dtype)
    m = as_float(masses)
    if m.shape != (n,):
        raise ValueError(f"`masses` must have shape {(n,)}, one an input, but has {m.shape}.")
    check_entries((m >= 0) & jnp.isfinite(m), "masses", "must be finite, at least 0")
    return m / jnp.sum(m)


@final
class BoundedChart(AbstractChart):
    r"""Output weights bounded off 0, \(a_k = s_k (a_{\min} + \log(1 + e^{\eta_k}))\).

    **Arguments:** `floor`, \(a_{\min} > 0\), a scalar; `signs`, `s`, 1 or -1 each, shape `(K,)`.
    """

    floor: Array = eqx.field(converter=as_float)
    signs: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        if self.floor.ndim:
            raise ValueError(f"`floor` must be a scalar, but has shape {self.floor.shape}.")
        check_entries(
            (self.floor > 0) & jnp.isfinite(self.floor), "floor", "must be positive and finite"
        )
        if self.signs.ndim != 1:
            raise ValueError(f"`signs` must have shape (K,), but has {self.signs.shape}.")
        check_entries(jnp.abs(self.signs) == 1, "signs", "must be 1 or -1")

    def rows(self, components: int) -> int:
        if components != self.signs.size:
            raise ValueError(
                f"`signs` of the chart has {self.signs.size} entries for {components} neurons: "
                "give one for each."
            )
        return components

    def contains(self, theta: ArrayLike) -> Array:
        a = as_float(theta)
        self.rows(a.shape[0])
        return jnp.all(jnp.isfinite(a)) & jnp.all(self.signs * a > self.floor)

    @property
    def image(self) -> str:
        return "output weights of the given `signs`, each larger than `floor`"

    def _image(self, coordinates: Array) -> Array:
        self.rows(coordinates.shape[0])
        return self.signs * (self.floor + jax.nn.softplus(coordinates))

    def _preimage(self, theta: Array) -> Array:
        above = self.signs * theta - self.floor
        return above + jnp.log(-jnp.expm1(-above))


@final
class NetworkModel(eqx.Module):
    r"""A network whose neurons and output weights are charted by one vector of coordinates.

    A function of the coordinates, as flows and descents take it: first those of the neurons, then
    those of the outputs. With a [`gaugebias.flows.NetworkLoss`][] it goes into
    [`gaugebias.flows.gradient_flow`][] and [`gaugebias.flows.gradient_descent`][].

    **Arguments:** `like`, a network with the shapes, and the outputs where they are fixed;
    `neurons`, their chart, \(w_{k+1} = w_k + \delta_k\) for a relative one; `outputs`, a
    [`gaugebias.flows.BoundedChart`][] or any other of vectors, None to keep those of `like`.
    """

    like: ShallowNetwork
    neurons: AbstractChart
    outputs: AbstractChart | None = None

    def __check_init__(self):
        k = self.like.neurons.shape[0]
        self.neurons.rows(k)
        if self.outputs is not None:
            self.outputs.rows(k)

    @property
    def size(self) -> int:
        """The number of coordinates, `P`."""
        k, *d = self.like.neurons.shape
        free = 0 if self.outputs is None else self.outputs.rows(k)
        return self.neurons.rows(k) * (d[0] if d else 1) + free

    def __call__(self, coordinates: ArrayLike) -> ShallowNetwork:
        """The network at the coordinates, of shape `(P,)`."""
        xi = as_float(coordinates)
        if xi.shape != (self.size,):
            raise ValueError(f"`coordinates` must have shape {(self.size,)}, but has {xi.shape}.")
        k, *d = self.like.neurons.shape
        split = self.neurons.rows(k) * (d[0] if d else 1)
        w = self.neurons(xi[:split].reshape((-1, *d)))
        a = self.like.outputs if self.outputs is None else self.outputs(xi[split:])
        return ShallowNetwork(w, a, self.like.activation)

    def inverse(self, network: ShallowNetwork) -> Array:
        """The coordinates of a network; `ValueError` outside the image of a chart."""
        parts = [self.neurons.inverse(network.neurons).ravel()]
        if self.outputs is not None:
            parts.append(self.outputs.inverse(network.outputs))
        return jnp.concatenate(parts)

    def information(
        self, coordinates: ArrayLike, inputs: ArrayLike, masses: ArrayLike | None = None
    ) -> Array:
        r"""\(E[\partial_\xi f\,\partial_\xi f^T]\), shape `(P, P)`.

        The Fisher matrix of one observation with Gaussian noise of variance 1; that of a data set
        where `inputs` are one.
        """
        x = check_inputs(inputs, self.like.neurons.shape[1:])
        mass = check_masses(masses, x)
        j = jax.jacfwd(lambda xi: self(xi)(x))(as_float(coordinates))
        return j.T @ (mass[:, None] * j)


@final
class NetworkLoss(eqx.Module):
    r"""\(\tfrac12 E[(f(x) - y)^2]\) as a function of a network.

    **Arguments:** `inputs`, shape `(N,)` or `(N, d)`; `targets`, `y`, shape `(N,)`; `masses`, of
    the inputs (as nodes of a quadrature rule have), default equal; they are divided by their sum.
    """

    inputs: Array
    targets: Array
    masses: Array

    def __init__(self, inputs: ArrayLike, targets: ArrayLike, masses: ArrayLike | None = None):
        x, y = as_float(inputs), as_float(targets)
        if x.ndim not in (1, 2):
            raise ValueError(f"`inputs` must have shape (N,) or (N, d), but has {x.shape}.")
        if y.shape != x.shape[:1]:
            raise ValueError(
                f"`targets` must have shape {x.shape[:1]}, one an input, but has {y.shape}."
            )
        check_entries(jnp.isfinite(y), "targets", "must be finite")
        self.inputs, self.targets, self.masses = x, y, check_masses(masses, x)

    def __call__(self, network: ShallowNetwork) -> Array:
        return 0.5 * jnp.sum(self.masses * (network(self.inputs) - self.targets) ** 2)
