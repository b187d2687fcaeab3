"""What there is: recipes and data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vaekit.cli.options import Output
from vaekit.cli.speak import answer, flat, in_columns, table
from vaekit.core.process import aligned
from vaekit.data import BUILTIN, Dataset, load_data
from vaekit.families import LIKELIHOODS, POSTERIORS
from vaekit.nets import NETS
from vaekit.nets.parts import ACTIVATIONS, NORMALISATIONS
from vaekit.priors import PRIORS
from vaekit.recipes import RECIPES
from vaekit.recipes.description import Description
from vaekit.recipes.registry import Entry

CHOICES: Mapping[str, Iterable[str]] = {
    "net": NETS,
    "activation": ACTIVATIONS,
    "normalisation": NORMALISATIONS,
    "likelihood": LIKELIHOODS,
    "posterior": POSTERIORS,
    "prior": PRIORS,
}
"""The names that a setting may have."""
MEANINGS = {
    "latent": "how many coordinates the code has",
    "hidden": "widths of the encoder's layers, as 400,200; the net's own if not given",
}

EXAMPLE = (1, 28, 28)
"""The shape of the rows that a recipe is shown for."""


def recipes_job(output: Output) -> None:
    """List the recipes."""
    rows = [(entry.name, entry.summary, f"{entry.paper}, {entry.year}") for entry in RECIPES.values()]
    record = {name: {"summary": summary, "paper": paper} for name, summary, paper in rows}
    answer(output, record, table(("recipe", "what it is", "paper"), rows))


def recipe_job(name: str, output: Output) -> None:
    """Show a recipe: its paper, its process and its objective in formulas, its parts and its settings."""
    described = Description.of(RECIPES[name], EXAMPLE)
    answer(output, described.record(), "\n\n".join([described.title, *_sections(described)]))


def _sections(described: Description) -> list[str]:
    process, size = described.process, " x ".join(map(str, described.event_shape))
    symbols = [(symbol.name, symbol.meaning, symbol.extent) for symbol in described.symbols]
    parts = [(part.role, part.made_of, f"{part.weights:,}") for part in described.parts]
    entry = described.entry
    own_first = {**entry.own_options, **entry.options}
    settings = [(f"--model.{key}", _shown(value), _meaning(entry, key)) for key, value in own_first.items()]
    return [
        _section(described.generative_title, aligned(process.generative)),
        _section("inference", aligned(process.inference)),
        _section("objective, to be maximised", aligned(described.objective)),
        _section(f"symbols, and their shapes for rows of {size}", in_columns(symbols)),
        _section("parts, what they are made of, and their weights", in_columns(parts)),
        _section("settings and their defaults", in_columns(settings)),
    ]


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _shown(value: object) -> str:
    """A setting as it is written on the command line; nothing where it is left to others."""
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _meaning(entry: Entry, setting: str) -> str:
    """The names that a setting may have, where a registry holds them; else what it is."""
    return ", ".join(CHOICES[setting]) if setting in CHOICES else {**MEANINGS, **entry.meanings}.get(setting, "")


def data_job(output: Output) -> None:
    """List the built-in data sets."""
    rows = [(entry.name, entry.summary, entry.shape, entry.licence) for entry in BUILTIN.values()]
    columns = ("name", "what it is", "shape", "licence")
    answer(output, {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}, table(columns, rows))


def source_job(source: str, output: Output) -> None:
    """Say what a source holds."""
    data = load_data(source)
    if data.train.schema is not None:
        from vaekit.cli.schemas import told_of_schema  # loads pandas, which only a table needs

        answer(output, *told_of_schema(data.train.schema, len(data.train)))
        return
    splits = {"train": data.train} | ({} if data.test is None else {"test": data.test})
    record = {"name": data.name, "licence": data.licence, **{name: _facts(rows) for name, rows in splits.items()}}
    answer(output, record, "\n".join(in_columns(flat(record))))


def _facts(rows: Dataset) -> dict[str, object]:
    seen = rows.x[~rows.x.isnan()]
    return {
        "rows": len(rows),
        "shape": list(rows.event_shape),
        "values": str(rows.x.dtype).removeprefix("torch."),
        "missing": rows.x.numel() - seen.numel(),
        "smallest": float(seen.min()) if len(seen) else None,
        "largest": float(seen.max()) if len(seen) else None,
        "labels": None if rows.y is None else len(rows.y.unique()),
    }
