"""The stochastic differential equations, on parameters and on the quotient."""
