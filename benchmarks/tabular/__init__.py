"""The tasks of `benchmarks/tables.py`: what is done with tables, by which methods, and how it is told."""
