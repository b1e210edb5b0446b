"""Gram matrices of orbits, by structure."""
