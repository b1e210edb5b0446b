"""Measurements of the package against its targets, one module each: `python -m benchmarks.NAME`."""
