"""Deep matrix factorisation: spectra, times, windows."""
