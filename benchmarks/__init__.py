"""Measurements and longer experiments, run by hand: `python -m benchmarks.NAME`."""
