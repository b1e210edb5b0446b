"""Mixtures near their singular set: charts, Fisher information, trainers."""
