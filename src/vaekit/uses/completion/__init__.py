"""Completion: what is likely to be in the holes of rows, given what was observed."""
