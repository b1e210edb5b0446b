"""Benchmarks and worked examples on real data, run by name: `python -m benchmarks.<name>`."""
