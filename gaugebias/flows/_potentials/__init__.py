"""Mirror potentials, their Bregman divergences and the certificates of a minimum."""
