"""Minibatch training by optimisers, and the symmetries they keep."""
