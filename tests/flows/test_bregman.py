"""The dual Newton method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from gaugebias import flows

slow = pytest.mark.slow
POTENTIALS = {
    "entropy": flows.Power(2).potential(),
    "rich": flows.psi_alpha(0.03),
    "depth 3": flows.kernel_rich(3, 0.02),
    "neuron": flows.NeuronEntropy(0.5),
    "l2": flows.Identity().potential(),
    "burg": flows.Exponential().potential(),
    "bounded slope": flows.Tan().potential(),
    "box": flows.Sine().potential(),
    "difference": flows.DifferenceEntropy(flows.Sinh(), jnp.full(9, 0.2), jnp.full(9, 0.1)),
}
QUICK = ("entropy", "rich", "depth 3")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=slow) for n in POTENTIALS]
)
def test_meets_constraints_and_certificate(name, system):
    a, _ = system
    potential = POTENTIALS[name]
    rng = np.random.default_rng(4)
    z, start = (jnp.asarray(rng.uniform(0.2, 0.9, 9)) for _ in range(2))
    b = a @ z
    found = flows.minimise_bregman(potential, a, b, start=start)
    check = flows.certificate(potential, a, found.x, start, b)
    assert float(check.fit) < 1e-12 and float(check.residual) < 1e-11
    assert bool(jnp.all(potential.contains(found.x)))
    # No other solution is nearer.
    best = float(potential.bregman(found.x, start))
    null = jnp.linalg.svd(a)[2][4:]
    for row in null[:2]:
        assert float(potential.bregman(found.x + 0.05 * row, start)) > best
        assert float(potential.bregman(found.x - 0.05 * row, start)) > best


def test_against_a_general_optimiser(system):
    a, b = system
    potential, zero = flows.psi_alpha(0.5), jnp.zeros(9)
    found = flows.minimise_bregman(potential, a, b)
    null = np.linalg.svd(np.asarray(a))[2][4:].T
    particular = np.linalg.pinv(np.asarray(a)) @ np.asarray(b)
    fn = jax.jit(jax.value_and_grad(lambda c: potential.bregman(particular + null @ c, zero)))
    done = minimize(lambda c: [np.asarray(v) for v in fn(c)], np.zeros(5), jac=True, tol=1e-12)
    np.testing.assert_allclose(found.x, particular + null @ done.x, atol=1e-6)


def test_ends_of_the_kernel_rich_curve(system):
    a, b = system
    from scipy.optimize import linprog

    l1 = linprog(np.ones(18), A_eq=np.hstack([a, -a]), b_eq=b)
    rich = flows.minimise_bregman(flows.kernel_rich(3, 1e-4), a, b).x
    np.testing.assert_allclose(jnp.sum(jnp.abs(rich)), l1.fun, rtol=1e-3)
    kernel = flows.minimise_bregman(flows.kernel_rich(3, 100.0), a, b).x
    np.testing.assert_allclose(kernel, jnp.linalg.pinv(a) @ b, rtol=1e-4)


def test_warm_start_and_one_compilation_for_all_scales(system):
    a, b = system
    cold = flows.minimise_bregman(flows.psi_alpha(0.01), a, b)
    first = flows.minimise_bregman(flows.psi_alpha(0.014), a, b)
    warm = flows.minimise_bregman(flows.psi_alpha(0.01), a, b, multipliers=cold.multipliers)
    assert int(warm.steps) < int(cold.steps) and bool(warm.converged)
    near = flows.minimise_bregman(flows.psi_alpha(0.01), a, b, multipliers=first.multipliers)
    np.testing.assert_allclose(near.x, cold.x, atol=1e-10)


@slow
def test_within_jit_and_vmap(system):
    a, b = system

    @jax.jit
    def sweep(alphas):
        def one(alpha):
            return flows.minimise_bregman(flows.psi_alpha(alpha), a, b, throw=False)

        return jax.vmap(one)(alphas)

    found = sweep(jnp.array([1e-3, 0.1, 2.0]))
    assert bool(jnp.all(found.converged)) and float(jnp.max(found.residual)) < 1e-12
    alone = flows.minimise_bregman(flows.psi_alpha(0.1), a, b)
    np.testing.assert_allclose(found.x[1], alone.x, atol=1e-11)


@slow
def test_dependent_rows_change_nothing(system):
    a, b = system
    twice, both = jnp.concatenate([a, 2 * a[:1]]), jnp.concatenate([b, 2 * b[:1]])
    potential = flows.psi_alpha(0.2)
    one, two = (flows.minimise_bregman(potential, m, c) for m, c in ((a, b), (twice, both)))
    np.testing.assert_allclose(one.x, two.x, atol=1e-12)
    assert bool(two.converged)


@slow
def test_float32_keeps_four_digits(system):
    a, b = (jnp.asarray(v, jnp.float32) for v in system)
    found = flows.minimise_bregman(flows.psi_alpha(jnp.float32(0.2)), a, b, tolerance=1e-4)
    exact = flows.minimise_bregman(flows.psi_alpha(0.2), *system)
    assert found.x.dtype == jnp.float32
    np.testing.assert_allclose(found.x, exact.x, atol=1e-4)


@slow
def test_minimisers_on_the_boundary_are_no_minimisers_of_a_flow():
    find, ones = flows.minimise_bregman, jnp.ones(3)
    with pytest.raises(ValueError, match="infeasible inside the domain.*only on its boundary"):
        find(flows.Sine().potential(), jnp.ones((1, 3)), jnp.array([3.0]))
    # p-th powers on the half line have a finite slope at 0.
    a, x0 = jnp.array([[1.0, 1.0, 1.0]]), jnp.array([0.01, 3.0, 3.0])
    with pytest.raises(ValueError, match="minimiser lies on the boundary"):
        find(flows.Power(1.5).potential(), a, jnp.array([1.0]), start=x0)
    assert float(jnp.sum(find(flows.Power(1.5).potential(), a, ones[:1], start=ones).x)) > 0.99


def test_what_bad_input_says(system):
    a, b = system
    ones, row = jnp.ones(3), jnp.ones((1, 3))
    positive = flows.Power(2).potential()
    find = flows.minimise_bregman
    with pytest.raises(ValueError, match=r"infeasible inside the domain.*\(0, inf\).*outside of"):
        find(positive, row, jnp.array([-1.0]), start=ones)
    with pytest.raises(ValueError, match="infeasible inside the domain.*only on its boundary"):
        find(positive, row, jnp.array([0.0]), start=ones)
    with pytest.raises(ValueError, match="`b` is not in the range of `A`.*0.32"):
        find(positive, jnp.ones((2, 3)), jnp.array([1.0, 2.0]), start=ones)
    with pytest.raises(ValueError, match="`start` is outside the domain"):
        find(positive, row, jnp.array([1.0]), start=-ones)
    with pytest.raises(ValueError, match="`start` is needed"):
        find(flows.Exponential().potential(), row, jnp.array([1.0]))
    with pytest.raises(ValueError, match="`b` must have shape"):
        find(positive, row, ones, start=ones)
    with pytest.raises(ValueError, match="`b` must be finite.*entry 1"):
        find(flows.psi_alpha(0.1), a, b.at[1].set(jnp.nan))
    with pytest.raises(ValueError, match="`multipliers` must have shape"):
        find(flows.psi_alpha(0.1), a, b, multipliers=ones)
    with pytest.raises(ValueError, match="`max_steps` must be at least 1"):
        find(flows.psi_alpha(0.1), a, b, max_steps=0)
    with pytest.raises(ValueError, match="stopped at .* after 2 of 2 steps"):
        find(flows.psi_alpha(1e-4), a, b, max_steps=2)
    with pytest.raises(ValueError, match="`throw` must be False"):
        jax.jit(lambda c: find(flows.psi_alpha(0.1), a, c).x)(b)
