"""Ensembles of a process: steps, chunks, devices, checkpoints, what is kept."""
