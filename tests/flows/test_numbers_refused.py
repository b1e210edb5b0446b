"""Numbers that are not finite or out of range are refused by name, and not carried along as NaN."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

EYE = np.eye(2)
REFUSED = {
    "depth": (lambda: flows.kernel_rich(np.inf, 1.0), "`depth` must be at least 2 and finite"),
    "alpha": (lambda: flows.kernel_rich(2, np.inf), "`alpha` must be positive and finite"),
    "product": (lambda: flows.lambda_balanced_start(np.nan * EYE, 1.0), "`product` and `imbal"),
    "imbalance": (lambda: flows.lambda_balanced_start(EYE, np.inf), "`imbalance` must be finite"),
    "target": (lambda: flows.LambdaBalanced(EYE, EYE, np.nan * EYE), "`target` must be finite"),
    "neuron": (
        lambda: flows.SingleNeuron(1.0, jnp.ones(2), jnp.array([np.nan, 1.0])),
        "`target` must be finite",
    ),
    "delta": (lambda: flows.neuron_start(jnp.ones(2), np.nan), "`delta` must be finite"),
    "rate": (
        lambda: flows.sde_initialisation(0.1, -0.1, EYE, 1.0),
        "`learning_rate` must be positive",
    ),
    "dual": (
        lambda: flows.dual_flow(lambda w: w**4, jnp.ones(1), jnp.array([10.0])),
        "`dual` is not reached",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()
