"""Mechanisms of change, and the alignment of any layer."""

import numpy as np
import pytest

from gaugebias import flows

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("zeta", "kernel", "name"),
    [
        ((0.1, 0.9), (1.0, 5.0), "alignment"),
        ((-0.1, -0.9), (1.0, 5.0), "alignment"),
        ((0.7, 0.0), (5.0, 1.0), "disalignment"),
        ((0.7, 0.71), (1.0, 0.5), "rescaling"),
        ((0.7, 0.71), (1.0, 1.01), "none"),
    ],
)
def test_mechanism(zeta, kernel, name):
    assert flows.mechanism(zeta, kernel) == name


def test_alignment_of_the_second_layer_is_zeta():
    u, w = RNG.standard_normal((2, 7))
    inputs = np.array([[2.0], [-0.5]]) * w[None, :]
    zeta = abs(u @ w) / np.linalg.norm(u) / np.linalg.norm(w)
    assert float(flows.layer_alignment(u[None, :], inputs)) == pytest.approx(zeta)
    # Samples without input do not count.
    padded = np.concatenate([inputs, np.zeros((3, 7))])
    assert float(flows.layer_alignment(u[None, :], padded)) == pytest.approx(zeta)


def test_alignment_of_a_random_layer():
    weight, inputs = RNG.standard_normal((200, 100)), RNG.standard_normal((50, 100))
    assert float(flows.layer_alignment(weight, inputs)) == pytest.approx(0.1, rel=0.05)
    assert float(flows.layer_alignment(np.zeros((2, 3)), np.ones((4, 3)))) == 0.0


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`weight` and `inputs` must have shapes"):
        flows.layer_alignment(np.ones((2, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="`alignment` must hold the finite"):
        flows.mechanism((np.nan, 0.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="`alignment` must lie"):
        flows.mechanism((0.0, 2.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="`kernel` must be positive"):
        flows.mechanism((0.0, 0.5), (0.0, 1.0))
    with pytest.raises(ValueError, match="`tolerance` is 2"):
        flows.mechanism((0.0, 0.5), (1.0, 1.0), tolerance=2.0)
