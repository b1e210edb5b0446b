"""The exactly solvable latent-variable model, its phases and mechanisms."""
