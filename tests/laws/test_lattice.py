"""Jump processes on a lattice: positive, conservative, and consistent whatever the anisotropy."""

import numpy as np
import pytest

from gaugebias.laws._grid._lattice import bernoulli, decompose, jumps_of, node_flux, steady


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


def wells(barrier, shape):
    """`U = barrier (x^2 - 1)^2 + 0.3 x + 2 y^2` on a box, and the exact mass of `x < 0` there."""
    x = (np.arange(shape[0]) + 0.5) / shape[0] * 4 - 2
    h = x[1] - x[0]
    fx = -(4 * barrier * x * (x**2 - 1) + 0.3) * h
    logs = np.concatenate([[0.0], np.cumsum(0.5 * (fx[1:] + fx[:-1]))])
    exact = np.exp(logs - logs.max())
    if len(shape) == 1:
        force = fx[:, None]
    else:
        force = np.stack(np.meshgrid(fx, -4 * x * h, indexing="ij"), axis=-1)
    m = len(shape)
    diffusion = np.broadcast_to(np.eye(m), (*shape, m, m))
    jumps = jumps_of(force, diffusion, np.zeros((m, 2), bool))
    return jumps, exact[: shape[0] // 2].sum() / exact.sum()


@pytest.mark.parametrize("barrier", [5.0, 60.0, 200.0])
def test_wells_apart_keep_their_masses_on_a_line(barrier):
    jumps, exact = wells(barrier, (400,))
    p, _ = steady(jumps, 400)
    assert p[:200].sum() == pytest.approx(exact, rel=1e-9)


def test_wells_apart_in_a_plane_are_right_or_refused():
    """Rounding of the diagonal would share masses out by chance: 0 in place of 0.645 at 60."""
    jumps, exact = wells(20.0, (60, 60))
    p, _ = steady(jumps, 3600)
    assert p.reshape(60, 60)[:30].sum() == pytest.approx(exact, rel=1e-5)
    for barrier in (34.0, 60.0):
        with pytest.raises(ValueError, match="`domain` holds regions between which paths pass too"):
            steady(wells(barrier, (60, 60))[0], 3600)


def test_a_rate_of_loss_below_rounding_is_positive():
    """Two wells behind walls that 1e-33 of the mass reaches a unit of time: by the current there.

    As `1/|M^-1 p|` it comes out as `+- 1e-17`.
    """
    x = (np.arange(400) + 0.5) / 100 - 2
    force = -(32 * x * (x**2 - 1) + 0.05) / 100
    jumps = jumps_of(force[:, None], np.ones((400, 1, 1)), np.ones((1, 2), bool))
    p, decay = steady(jumps, 400)
    current = node_flux(jumps, p, (400,))[:, 0]
    assert 0.0 < decay < 1e-30
    assert decay == pytest.approx(current[-3] - current[2], rel=1e-6)
