def family_false_alarm(
    n_tests: int,
    level: float = 1e-3,
    retest_level: float | None = None,
    independent: bool = False,
) -> float:
    """The chance that any of `n_tests` right laws is called wrong.

    A law that fails at `level` is simulated again with a fresh key and differs only if it fails
    again at `retest_level`: each test then errs with probability `level` x `retest_level`.

    **Arguments:** `n_tests`: number of expected laws tested. `level`: level of each.
    `retest_level`: level of the second run, None for no second run. `independent`: whether the
    tests use independent draws.

    **Returns:** the union bound min(1, n level retest_level), right however the tests depend on
    each other; with `independent=True` the exact 1 - (1 - level retest_level)^n.

    **Raises:** `ValueError` for `n_tests` < 1 or a level outside (0, 1].

    ```python
    from gaugebias.verdicts import family_false_alarm
    assert abs(family_false_alarm(20, 1e-3) - 0.02) < 1e-12
    assert abs(family_false_alarm(20, 1e-3, 1e-3) - 2e-5) < 1e-12
    ```
    """
    if n_tests < 1:
        raise ValueError(f"`n_tests` must be at least 1, not {n_tests}.")
    each = 1.0
    for name, value in (("level", level), ("retest_level", retest_level)):
        if value is None:
            continue
        if not 0.0 < value <= 1.0:
            raise ValueError(f"`{name}` must lie in (0, 1], not {value}.")
        each *= value
    if independent:
        return 1.0 - (1.0 - each) ** n_tests
    return min(1.0, n_tests * each)
