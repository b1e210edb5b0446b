"""Laws under gradient noise that depends on the parameters."""
