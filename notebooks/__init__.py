"""Notebooks, and `python -m notebooks.render`, which runs them."""
