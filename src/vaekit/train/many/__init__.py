"""Many models of one make, trained at once."""
