"""Rows on their way to an update: where they lie, in which order, and in what form a model reads them."""
