"""Integrals of a density: cells, tables on a line or a box, moments, marginals."""
