"""Measurements against targets and worked examples on real data: `python -m benchmarks.NAME`."""

import gaugebias as gaugebias  # before jax computes: importing it keeps a fault of XLA out
