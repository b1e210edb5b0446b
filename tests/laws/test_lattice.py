"""Jump processes on a lattice: positive, conservative, and consistent whatever the anisotropy."""

import numpy as np
import pytest

from gaugebias.laws._lattice import bernoulli, decompose, jumps_of, node_flux, steady


def tensors(count=200):
    rng = np.random.default_rng(3)
    angle, size = rng.uniform(0, np.pi, count), 10.0 ** rng.uniform(-3, 3, count)
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    diagonal = np.stack([size, np.ones(count)], -1)
    return np.einsum("nij,nj,nkj->nik", rotation, diagonal, rotation)


def test_tensors_are_sums_of_positive_parts_along_integer_vectors():
    some = tensors()
    weights, vectors = decompose(some)
    assert np.all(weights >= 0.0) and vectors.dtype.kind == "i"
    back = np.einsum("nk,nki,nkj->nij", weights, vectors, vectors)
    np.testing.assert_allclose(back, some, rtol=1e-9, atol=1e-9 * 1e3)
    # an off-diagonal entry above both diagonal ones: the five-point stencil would lose positivity
    assert np.any(np.abs(some[:, 0, 1]) > np.min(np.einsum("nii->ni", some), axis=1))


def test_bernoulli_is_smooth_and_positive():
    x = np.array([-800.0, -30.0, -1e-5, -1e-6, 0.0, 1e-6, 1e-5, 30.0, 600.0])
    values = bernoulli(x)
    assert np.all(values > 0.0)
    small = np.abs(x) < 1.0
    np.testing.assert_allclose(values[small], 1.0 - x[small] / 2, atol=1e-9)
    # detailed balance of a constant force
    np.testing.assert_allclose(bernoulli(-x[1:8]) / bernoulli(x[1:8]), np.exp(x[1:8]), rtol=1e-9)


def test_rates_conserve_mass_and_the_steady_state_is_positive():
    rng = np.random.default_rng(0)
    shape = (9, 9)
    tensor = tensors(81).reshape(*shape, 2, 2)
    drift = rng.normal(size=(*shape, 2))
    jumps = jumps_of(drift, tensor, np.zeros((2, 2), bool))
    assert np.all(jumps.rate > 0.0) and np.all(jumps.loss == 0.0)
    p, decay = steady(jumps, 81)
    assert decay == 0.0 and np.all(p > 0.0) and np.sum(p) == pytest.approx(1.0)
    flow = np.bincount(jumps.stop, jumps.rate * p[jumps.start], 81)
    flow -= np.bincount(jumps.start, jumps.rate * p[jumps.start], 81)
    assert np.max(np.abs(flow)) < 1e-9 * np.max(jumps.rate)


def test_without_a_current_one_coordinate_is_exact():
    """`p ~ exp(int b/D)/D` at the nodes for a force that is linear: the trapezoid is exact."""
    x = np.arange(40.0)[:, None] - 20.0
    diffusion = (1.0 + 0.1 * np.sin(x))[..., None]
    force = -0.05 * x
    jumps = jumps_of(force * diffusion[..., 0], diffusion, np.zeros((1, 2), bool))
    p, _ = steady(jumps, 40)
    expected = np.exp(-0.025 * x[:, 0] ** 2) / diffusion[:, 0, 0]
    np.testing.assert_allclose(p, expected / expected.sum(), rtol=1e-10)
    assert np.max(np.abs(node_flux(jumps, p, (40,)))) < 1e-14


def test_absorbing_walls_lose_mass_at_the_rate_of_the_interval():
    """Brownian motion in an interval of length 1, D = 1: pi^2, to second order in the cells."""
    errors = []
    for n in (20, 40):
        jumps = jumps_of(np.zeros((n, 1)), np.full((n, 1, 1), n**2.0), np.ones((1, 2), bool))
        p, decay = steady(jumps, n)
        errors.append(abs(decay - np.pi**2))
        s = (np.arange(n) + 0.5) / n
        assert np.max(np.abs(p * n - 0.5 * np.pi * np.sin(np.pi * s))) < 5.0 / n**2
    assert errors[1] < 0.03 and 3.5 < errors[0] / errors[1] < 4.5
