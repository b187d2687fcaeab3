"""Data that are read piece by piece: stores of rows, one kind to a file, and parts of them.

A `Store` gives blocks of rows by their numbers. `.npy` files, Parquet and Arrow tables, folders of images and torch's
`DataLoader` are stores; `Streamed` is a data set of them, and `Part` some of the rows of one.
"""

from __future__ import annotations

from vaekit.data.streams.images import ImageStore
from vaekit.data.streams.loaders import loader_store
from vaekit.data.streams.npy import NpyStore
from vaekit.data.streams.parts import Blocks, Part, Piece, Share, parted
from vaekit.data.streams.store import MEMORY, Store, in_memory, row_bytes
from vaekit.data.streams.streamed import Streamed
from vaekit.data.streams.tables import TableStore

__all__ = [
    "MEMORY",
    "Blocks",
    "ImageStore",
    "NpyStore",
    "Part",
    "Piece",
    "Share",
    "Store",
    "Streamed",
    "TableStore",
    "in_memory",
    "loader_store",
    "parted",
    "row_bytes",
]
