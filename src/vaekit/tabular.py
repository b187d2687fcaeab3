"""Tables: from a frame to a fitted model, with what is not asked for chosen by the size and the kind of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from vaekit.data import Dataset
from vaekit.data.streams import Store
from vaekit.defaults import Defaults
from vaekit.families.columns import marginal_of
from vaekit.fitting import fit
from vaekit.model import FittedVAE
from vaekit.objectives import Schedule, falling
from vaekit.recipes import build
from vaekit.recipes.forms import COLUMNS, ArrayForm, Form, TableForm
from vaekit.train.progress import say

if TYPE_CHECKING:
    from vaekit.data.tables import Schema

NOTHING_SET: Final[Mapping[str, Any]] = MappingProxyType({})
ENOUGH: Final = 50_000
"""Rows that are enough to tell how a column is distributed."""


def form_of(rows: Dataset | Store, laws: str = "fitted", scale: str = "learned") -> Form:
    """What one of these rows is: a table's if they have a schema, else an array, with holes if it has any.

    Columns of a table are explained by these laws: see `vaekit.families.columns.choose.LAWS`.

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
    marginals = tuple(marginal_of(column.kind, column.levels, values, laws) for column, values in columns)
    return TableForm(marginals, scale)


def fit_table(
    frame: Any,
    *,
    schema: Schema | Path | None = None,
    recipe: str = "vae",
    model: Mapping[str, Any] = NOTHING_SET,
    laws: str = "fitted",
    scale: str = "learned",
    defaults: Defaults | None = None,
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
        laws: by what columns are explained: "fitted", what suits the shape of each; "plain", numbers are normal, as
            whoever looks for clusters needs it; "sharp", normal but for values that are had exactly and peaks that
            stand apart, as completion needs it; "exact", with a probability of its own for all that is often repeated,
            as rows that are made up need it.
        scale: of columns of numbers: "learned", one for each column, or "predicted", by the decoder for each cell.
        defaults: what is chosen where nothing is set; by the size and the kind of the data if not given.
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
    rows = frame if isinstance(frame, Dataset) else _rows_of(frame, schema)
    form, chosen = form_of(rows, laws, scale), defaults or defaults_of(rows)
    if verbose:
        say("\n".join(words_of_fit(chosen)))
    built = build(recipe, form, seed=seed, **{**model_of(chosen), **model})
    settings = {**training_of(chosen), **training}
    if chosen.falls and not isinstance(settings["learning_rate"], Schedule):
        settings = _with_rate(settings, len(rows))
    return fit(*built, rows, seed=seed, verbose=verbose, **settings)


def _rows_of(frame: Any, schema: Schema | Path | None) -> Dataset:
    from vaekit.data.tables.rows import table_rows  # loads pandas, which only a frame needs

    return table_rows(frame, schema)


def model_of(chosen: Defaults) -> dict[str, Any]:
    """The settings of a recipe among these."""
    return {"latent": chosen.latent, "hidden": chosen.hidden, "likelihood": COLUMNS}


def training_of(chosen: Defaults) -> dict[str, Any]:
    """The settings of `fit` among these."""
    names = ("max_epochs", "batch_size", "learning_rate", "validation", "patience")
    return {name: getattr(chosen, name) for name in names}


def words_of_fit(chosen: Defaults) -> tuple[str, ...]:
    """What there is to say of the choices that one fit takes up, a line each."""
    used = {*model_of(chosen), *training_of(chosen)}
    return tuple(line for line in chosen.words if line.split(" = ")[0] in used)


def _with_rate(training: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The settings with a rate that falls over the run."""
    updates = training["max_epochs"] * -(-round(rows * (1 - training["validation"])) // training["batch_size"])
    return {**training, "learning_rate": falling(training["learning_rate"], updates)}


Choice = Callable[[int, int, Sequence[str]], Defaults]
"""From rows, columns and kinds to what is chosen."""


def defaults_of(rows: Dataset, choice: Choice = Defaults.of) -> Defaults:
    """What is chosen for rows of so many columns, of these kinds."""
    kinds = () if rows.schema is None else tuple(column.kind for column in rows.schema.modelled)
    return choice(len(rows), rows.event_shape.numel(), kinds)
