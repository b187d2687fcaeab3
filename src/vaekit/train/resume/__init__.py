"""Runs that can be interrupted: what is kept of them, and how they go on."""
