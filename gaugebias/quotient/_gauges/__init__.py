"""Where to stand on an orbit: gauges, slices, distances modulo the group."""
