"""What every part of the house may use: errors, registries, seeds and safe files."""
