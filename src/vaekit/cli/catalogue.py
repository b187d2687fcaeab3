"""What there is: recipes and data."""

from __future__ import annotations

from vaekit.cli.options import Output
from vaekit.cli.speak import answer, table
from vaekit.data import BUILTIN, Dataset, load_data
from vaekit.recipes import RECIPES


def recipes_job(output: Output) -> None:
    """List the recipes."""
    rows = [(entry.name, entry.summary, f"{entry.paper}, {entry.year}") for entry in RECIPES.values()]
    record = {name: {"summary": summary, "paper": paper} for name, summary, paper in rows}
    answer(output, record, table(("recipe", "what it is", "paper"), rows))


def recipe_job(name: str, output: Output) -> None:
    """Show a recipe: its paper, its parts and its settings."""
    entry = RECIPES[name]
    model, objective = entry.build((1, 28, 28), {})
    record = {
        "name": name,
        "summary": entry.summary,
        "paper": f"{entry.paper}, {entry.year}",
        "options": {key: list(value) if isinstance(value, tuple) else value for key, value in entry.options.items()},
        "parts": str(model),
        "objective": str(objective),
    }
    settings = "\n".join(f"  --model.{key} {'' if value is None else value}" for key, value in entry.options.items())
    words = (
        f"{name}: {entry.summary} ({record['paper']})\n\nsettings and their defaults\n{settings}\n\n"
        f"objective\n  {objective}\n\nparts, for an image of 28 x 28\n{model}"
    )
    answer(output, record, words)


def data_job(output: Output) -> None:
    """List the built-in data sets."""
    rows = [(entry.name, entry.summary, entry.shape, entry.licence) for entry in BUILTIN.values()]
    columns = ("name", "what it is", "shape", "licence")
    answer(output, {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}, table(columns, rows))


def source_job(source: str, output: Output) -> None:
    """Say what a source holds."""
    data = load_data(source)
    splits = {"train": data.train} | ({} if data.test is None else {"test": data.test})
    record = {"name": data.name, "licence": data.licence, **{name: _facts(rows) for name, rows in splits.items()}}
    answer(output, record, "\n".join(f"{name}: {value}" for name, value in record.items()))


def _facts(rows: Dataset) -> dict[str, object]:
    return {
        "rows": len(rows),
        "shape": list(rows.event_shape),
        "values": str(rows.x.dtype).removeprefix("torch."),
        "smallest": float(rows.x.min()),
        "largest": float(rows.x.max()),
        "labels": None if rows.y is None else len(rows.y.unique()),
    }
