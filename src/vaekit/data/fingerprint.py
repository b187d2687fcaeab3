"""A fingerprint of data: whether a run goes on with the rows it began with."""

from __future__ import annotations

import hashlib

from torch import Tensor

from vaekit.data.dataset import Dataset


def fingerprint(rows: Dataset) -> str:
    """A digest of every value, its place and its type, of the labels and of what is known beside; no name counts.

    >>> import torch
    >>> rows = Dataset(torch.eye(3))
    >>> fingerprint(rows) == fingerprint(Dataset(torch.eye(3), name="unit vectors"))
    True
    >>> fingerprint(rows) == fingerprint(Dataset(torch.eye(3).flip(0)))
    False
    """
    digest = hashlib.sha256()
    for part in (rows.x, rows.y, *rows.given.values()):
        if part is not None:
            _take_in(part, digest)
    return digest.hexdigest()


def _take_in(values: Tensor, digest: hashlib._Hash) -> None:
    digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
    digest.update(values.detach().cpu().contiguous().numpy().data.cast("B"))
