"""Tables: from a frame to a fitted model, with what is not asked for chosen by the size and the kind of the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from vaekit.data import Dataset
from vaekit.data.streams import Store
from vaekit.data.tables import Schema
from vaekit.data.tables.rows import table_rows
from vaekit.defaults import Defaults
from vaekit.families.columns import marginal_of
from vaekit.fitting import fit
from vaekit.model import FittedVAE
from vaekit.recipes import build
from vaekit.recipes.forms import COLUMNS, ArrayForm, Form, TableForm
from vaekit.train.progress import say

NOTHING_SET: Final[Mapping[str, Any]] = MappingProxyType({})
ENOUGH: Final = 50_000
"""Rows that are enough to tell how a column is distributed."""


def form_of(rows: Dataset | Store, plain: bool = False, scale: str = "learned") -> Form:
    """What one of these rows is: a table's if they have a schema, else an array, with holes if it has any.

    Numbers of a table are explained by what fits their shape; `plain`, standardised and by a normal each.

    >>> import torch
    >>> form_of(Dataset(torch.tensor([[1.0, torch.nan]])))
    ArrayForm(shape=(2,), holes=True)
    """
    if not isinstance(rows, Dataset):
        return ArrayForm(tuple(rows.event_shape))
    if rows.schema is None:
        return ArrayForm(tuple(rows.event_shape), rows.holes)
    some = rows.x[:: max(1, len(rows) // ENOUGH)]
    columns = zip(rows.schema.modelled, some.unbind(1), strict=True)
    marginals = tuple(marginal_of(column.kind, column.levels, values, plain) for column, values in columns)
    return TableForm(marginals, scale)


def fit_table(
    frame: Any,
    *,
    schema: Schema | Path | None = None,
    recipe: str = "vae",
    model: Mapping[str, Any] = NOTHING_SET,
    plain: bool = False,
    scale: str = "learned",
    seed: int = 0,
    verbose: bool = True,
    **training: Any,
) -> FittedVAE:
    """Train a VAE on a table of mixed columns and missing cells, and hand it back with everything it can be used for.

    What each column is, how it is explained, how large the nets are and how long they learn is chosen from the data
    where it is not set, and said.

    Args:
        frame: of pandas, polars or Arrow, or an array of numbers; or rows that have a schema already.
        schema: what the columns are, or a file that says so; inferred if not given.
        recipe: which VAE: see `vaekit recipes`.
        model: the recipe's settings, where they are not to be chosen: `{"latent": 4}`.
        plain: standardise numbers, and no more: what has many peaks keeps them, as whoever looks for clusters needs it.
        scale: of columns of numbers: "learned", one for each column, or "predicted", by the decoder for each cell.
        seed: of the initial weights, the split, the order and the noise.
        verbose: show what was chosen, and progress, on standard error.
        training: what else `fit` takes: `max_epochs`, `batch_size`, `learning_rate`, `device`, ...

    Raises `UsageError` and `DataError` as `Schema`, `build` and `fit` do, naming the column and the row.

    >>> import pandas
    >>> people = pandas.DataFrame({"age": [31, 47, None, 20] * 9, "paid": ["yes", "no", "no", "yes"] * 9})
    >>> fitted = fit_table(people, max_epochs=1, verbose=False)
    >>> fitted.sample(2).dtypes.equals(people.dtypes)
    True
    """
    rows = frame if isinstance(frame, Dataset) else table_rows(frame, schema)
    form, chosen = form_of(rows, plain, scale), defaults_of(rows)
    if verbose:
        say("\n".join(chosen.words))
    built = build(recipe, form, seed=seed, **{**model_of(chosen), **model})
    return fit(*built, rows, seed=seed, verbose=verbose, **{**training_of(chosen), **training})


def model_of(chosen: Defaults) -> dict[str, Any]:
    """The settings of a recipe among these."""
    return {"latent": chosen.latent, "hidden": chosen.hidden, "likelihood": COLUMNS}


def training_of(chosen: Defaults) -> dict[str, Any]:
    """The settings of `fit` among these."""
    names = ("max_epochs", "batch_size", "learning_rate", "validation", "patience")
    return {name: getattr(chosen, name) for name in names}


def defaults_of(rows: Dataset) -> Defaults:
    """What is chosen for rows of so many columns, of these kinds."""
    kinds = () if rows.schema is None else tuple(column.kind for column in rows.schema.modelled)
    return Defaults.of(len(rows), rows.event_shape.numel(), kinds)
