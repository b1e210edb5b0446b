"""The stationary density on a grid: the quotient Fokker-Planck equation by finite volumes."""
