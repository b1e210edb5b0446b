"""What noise does to conserved quantities."""
