"""Gradient flow and descent: integrated, in closed form, and what they conserve."""
