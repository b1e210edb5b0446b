"""Shifts of the logits that a softmax does not see."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from ...symmetry import AbstractAction, Translation
from .._base import AbstractModel, box, check_array, positive_int
from .._describe import Description, Dimensions, Failure, LawStatement
from .._statements import isometric_laws


def _whole(params):
    return params


def _contrasts(classes: int) -> np.ndarray:
    """Orthonormal rows orthogonal to the ones (Helmert), shape `(classes - 1, classes)`."""
    rows = np.zeros((classes - 1, classes))
    for i in range(1, classes):
        rows[i - 1, :i] = 1.0
        rows[i - 1, i] = -i
        rows[i - 1] /= (i * (i + 1)) ** 0.5
    return rows


def _laws() -> tuple[LawStatement, ...]:
    return isometric_laws(
        "1",
        "1",
        "1",
        why="Translations are isometric and V is constant: no correction, though exp(-L/T) has "
        "infinite mass along the orbits.",
        unconditioned="The field is affine: its moment map is not that of a linear action, and V "
        "is constant, so that there would be no correction.",
    )


_COMPACT = Failure(
    "compactness",
    "orbits are lines, so that exp(-L/T) has no finite mass in the parameters; V is constant, and "
    "the law of the predictor is untouched.",
)


class SoftmaxBias(AbstractModel):
    """The biases of a softmax layer under `b -> b + c 1`.

    **Arguments:** `classes` (`C >= 2`).

    Parameters: one array `b` of shape `(C,)`; predictor: its `C - 1` orthonormal contrasts `H b`
    (rows of `H` orthonormal and orthogonal to the ones). Group: translations. Representatives:
    `sum b = 0`. Then `S = C` and `K` is the identity: there is **no correction** for any noise.

    **Raises:** `ValueError` naming `classes`.

    Source: derived for this project.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import SoftmaxBias

        model = SoftmaxBias(3)
        model.invariants(jnp.ones(3))                          # 0, 0
        ```
    """

    classes: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.classes, "classes", least=2)

    @property
    def action(self) -> AbstractAction:
        return Translation(_whole, axis=0)

    @property
    def dimensions(self) -> Dimensions:
        c = self.classes
        return Dimensions(c, 1, 1, 0, 0, c - 1, c - 1)

    @property
    def domain(self) -> Domain:
        return box(self.classes - 1)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        return _laws()

    @property
    def description(self) -> Description:
        return Description(
            formula=f"contrasts of b in R^{self.classes}",
            group="R",
            generators="b -> c 1",
            moment_map="none (affine field)",
            slice="sum b = 0",
            orbit_gram=f"log {self.classes}",
            gram="0",
            caveats=(_COMPACT,),
        )

    def invariants(self, params) -> Array:
        """`H b`, shape `(classes - 1,)`."""
        b = check_array(params, (self.classes,), "params")
        return jnp.asarray(_contrasts(self.classes), b.dtype) @ b

    def lift(self, w: ArrayLike) -> Array:
        """The centred biases `H^T w`."""
        w = check_array(w, (self.classes - 1,), "w")
        return jnp.asarray(_contrasts(self.classes).T, w.dtype) @ w

    def init(self, key: Array, balanced: bool = True) -> Array:
        """Standard normal biases; if `balanced`, centred."""
        b = jr.normal(key, (self.classes,))
        return b - jnp.mean(b) if balanced else b

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`z`: the predictor Gram is the identity."""
        check_array(w, (self.classes - 1,), "w")
        return check_array(z, (self.classes - 1,), "z")

    def log_det_gram(self, w: ArrayLike) -> Array:
        """0."""
        return jnp.zeros((), check_array(w, (self.classes - 1,), "w").dtype)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`log C`."""
        return self.log_det_gram(w) + jnp.log(float(self.classes))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`log V`, a constant."""
        return self.log_orbit_volume(w)


class SoftmaxWeights(AbstractModel):
    """The weights of a softmax layer under `W -> W + 1 b^T`.

    **Arguments:** `classes` (`C >= 2`), `inputs` (`d`).

    Parameters: one array `W` of shape `(C, d)`; predictor: the contrasts `H W`, shape
    `(C - 1, d)`, as in `SoftmaxBias`. Group: translations by `1 b^T`, each input by itself;
    `S = C` times the identity, `K` the identity, and **no correction**.

    Where `W` has rank `d`, the same orbits are swept by the linear fields `W -> 1 (a^T W)`, but
    their algebra (and that of the group `1 + 1 a^T` they generate) is not closed under transpose:
    they have no moment map, and their Gram depends on the point of the orbit. Use the affine field.

    **Raises:** `ValueError` naming the argument.

    Source: derived for this project.

    !!! example

        ```python
        import jax.numpy as jnp
        from gaugebias.catalogue import SoftmaxWeights

        SoftmaxWeights(3, 2).log_det_orbit_gram(jnp.zeros((2, 2)))   # 2 log 3
        ```
    """

    classes: int = eqx.field(static=True)
    inputs: int = eqx.field(static=True)

    def __check_init__(self):
        positive_int(self.classes, "classes", least=2)
        positive_int(self.inputs, "inputs")

    @property
    def _shape(self) -> tuple[int, int]:
        return (self.classes - 1, self.inputs)

    @property
    def action(self) -> AbstractAction:
        return Translation(_whole, axis=0)

    @property
    def dimensions(self) -> Dimensions:
        c, d = self.classes, self.inputs
        return Dimensions(c * d, d, d, 0, 0, (c - 1) * d, (c - 1) * d)

    @property
    def domain(self) -> Domain:
        return box((self.classes - 1) * self.inputs)

    @property
    def laws(self) -> tuple[LawStatement, ...]:
        return _laws()

    @property
    def description(self) -> Description:
        linear = Failure(
            "transpose",
            "the linear fields W -> 1 (a^T W) sweep the same orbits where W has rank "
            f"{self.inputs}, but 1 a^T is not symmetric and its transpose is not among them: "
            "no moment map. The affine field has none of these corrections.",
        )
        return Description(
            formula=f"contrasts of W, {self.classes} x {self.inputs}",
            group=f"R^{self.inputs}",
            generators="W -> 1 b^T",
            moment_map="none (affine field)",
            slice="1^T W = 0",
            orbit_gram=f"{self.inputs} log {self.classes}",
            gram="0",
            caveats=(_COMPACT, linear),
        )

    def invariants(self, params) -> Array:
        """`H W`, shape `(classes - 1, inputs)`."""
        w = check_array(params, (self.classes, self.inputs), "params")
        return jnp.asarray(_contrasts(self.classes), w.dtype) @ w

    def lift(self, w: ArrayLike) -> Array:
        """The weights `H^T w`, whose columns sum to 0."""
        w = check_array(w, self._shape, "w")
        return jnp.asarray(_contrasts(self.classes).T, w.dtype) @ w

    def init(self, key: Array, balanced: bool = True) -> Array:
        """Standard normal weights; if `balanced`, with columns centred."""
        w = jr.normal(key, (self.classes, self.inputs))
        return w - jnp.mean(w, axis=0, keepdims=True) if balanced else w

    def apply_gram(self, w: ArrayLike, z: ArrayLike) -> Array:
        """`z`: the predictor Gram is the identity."""
        check_array(w, self._shape, "w")
        return check_array(z, self._shape, "z")

    def log_det_gram(self, w: ArrayLike) -> Array:
        """0."""
        return jnp.zeros((), check_array(w, self._shape, "w").dtype)

    def log_det_orbit_gram(self, w: ArrayLike) -> Array:
        """`d log C`."""
        return self.log_det_gram(w) + self.inputs * jnp.log(float(self.classes))

    def log_conditioned_volume(self, w: ArrayLike) -> Array:
        """`log V`, a constant."""
        return self.log_orbit_volume(w)
