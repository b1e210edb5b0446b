"""Measurements against targets and worked examples on real data: `python -m benchmarks.NAME`."""
