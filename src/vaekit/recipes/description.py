"""What a recipe is, told by the model that it builds: its process, its objective, its parts, its settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from vaekit.core import VAE
from vaekit.core.conditional import Deterministic
from vaekit.core.latent import Latent
from vaekit.core.notation import Formula, Symbol, density, formula_of
from vaekit.core.process import Process, aligned
from vaekit.objectives import Objective
from vaekit.recipes.registry import Entry


@dataclass(frozen=True)
class Part:
    """A part of a model: what it is in the formulas, of which classes it is made, and how many weights it learns."""

    role: str
    made_of: str
    weights: int

    @staticmethod
    def of(role: str, module: nn.Module) -> Part:
        """The part that a module is."""
        return Part(role, ", ".join(classes_of(module)), sum(weight.numel() for weight in module.parameters()))


@dataclass(frozen=True)
class Description:
    """A recipe in formulas, in words and in numbers.

    >>> from vaekit.recipes import RECIPES
    >>> description = Description.of(RECIPES["beta_vae"], (1, 28, 28))
    >>> [str(formula) for formula in description.objective]
    ['L = E_q[log p(x | z)] − 4 KL(q(z | x) ‖ p(z))']
    """

    entry: Entry
    event_shape: tuple[int, ...]
    process: Process
    objective: tuple[Formula, ...]
    """Statements about L, which is maximised, the last of them about L itself."""
    symbols: tuple[Symbol, ...]
    parts: tuple[Part, ...]

    @staticmethod
    def of(entry: Entry, event_shape: Sequence[int], **options: Any) -> Description:
        """The description of a recipe for data of one shape, with some of its settings chosen."""
        model, objective = entry.build(event_shape, options)
        process, told = Process.of(model), formula_of(objective, "L")
        symbols = (*process.symbols, *_latents_of_objective(process, objective), *told.all_symbols)
        parts = (*parts_of(model), *([Part.of("L", objective)] if any(True for _ in objective.parameters()) else []))
        return Description(entry, tuple(event_shape), process, told.statements, tuple(dict.fromkeys(symbols)), parts)

    @property
    def title(self) -> str:
        """The recipe in a line."""
        return f"{self.entry.name}: {self.entry.summary} ({self.source})"

    @property
    def source(self) -> str:
        """Who published it, and when."""
        return f"{self.entry.paper}, {self.entry.year}"

    @property
    def generative_title(self) -> str:
        """What the generative process is called: it says what is known beside x."""
        return f"generative process{', given ' * bool(self.process.given)}{', '.join(self.process.given)}"

    def record(self) -> dict[str, Any]:
        """The description as values that JSON knows."""
        return {
            "name": self.entry.name,
            "summary": self.entry.summary,
            "paper": self.source,
            "options": {key: list(v) if isinstance(v, tuple) else v for key, v in self.entry.options.items()},
            "meanings": self.entry.meanings,
            "event_shape": list(self.event_shape),
            "given": list(self.process.given),
            "latents": list(self.process.latents),
            "generative": [str(formula) for formula in self.process.generative],
            "inference": [str(formula) for formula in self.process.inference],
            "objective": [str(formula) for formula in self.objective],
            "symbols": [
                {"symbol": s.name, "meaning": s.meaning, "shape": None if s.shape is None else list(s.shape)}
                for s in self.symbols
            ],
            "parts": [{"role": part.role, "made_of": part.made_of, "weights": part.weights} for part in self.parts],
        }

    def markdown(self) -> str:
        """The description as a section of a page."""
        own = self.entry.own_options
        shared = [f"`{name}={value}`" for name, value in self.entry.resolved({}).items() if name not in own]
        return "\n".join(
            [
                f"## `{self.entry.name}`",
                "",
                f"{self.entry.summary[0].upper()}{self.entry.summary[1:]}. Source: {self.source}.",
                *_block(self.generative_title, self.process.generative),
                *_block("inference", self.process.inference),
                *_block("maximise", self.objective),
                "",
                *("| symbol | meaning | shape |", "|---|---|---|"),
                *(_table_row(symbol.name, symbol.meaning, symbol.extent) for symbol in self.symbols),
                "",
                *(("Settings of its own:", "", "| setting | meaning | default |", "|---|---|---|") if own else ()),
                *(_table_row(f"`{name}`", self.entry.meanings[name], str(own[name])) for name in own),
                "",
                f"Settings that all have: {', '.join(shared)}.",
                "",
            ]
        )


def _table_row(*cells: str) -> str:
    """Cells between bars; a bar within one is escaped."""
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _block(title: str, formulas: Sequence[Formula]) -> list[str]:
    return ["", f"{title[0].upper()}{title[1:]}:", "", "```text", *aligned(formulas), "```"]


def _latents_of_objective(process: Process, objective: Objective) -> Iterator[Symbol]:
    """What z stands for in the objective, where that is not the one latent z, and what all of it is given."""
    summed = {part.sums_out for part in objective.modules() if isinstance(part, Objective)}
    drawn = tuple(name for name in process.latents if name not in summed)
    if drawn != ("z",):
        yield Symbol("z in L", f"all latents: {', '.join(drawn)}")
    if process.given:
        yield Symbol("L", f"in nats for each row; every density in it is given {', '.join(process.given)} too")


def parts_of(model: VAE) -> Iterator[Part]:
    """The parts of a model, each of which learns weights of its own."""
    for name, part in model.parts.items():
        if isinstance(part, Latent):
            yield Part.of(density("p", name, part.prior.given), part.prior)
            yield Part.of(density("q", name, part.posterior.given), part.posterior)
        elif isinstance(part, Deterministic):
            yield Part.of(name, part)
    yield Part.of(density("p", "x", model.likelihood.given), model.likelihood)


def classes_of(module: nn.Module) -> tuple[str, ...]:
    """vaekit's classes that a module is made of, each once, from the outside in; of the core only where it is all."""
    kinds = [type(part) for part in module.modules() if type(part).__module__.startswith("vaekit.")]
    telling = [kind.__name__ for kind in kinds if not kind.__module__.startswith("vaekit.core.")]
    return tuple(dict.fromkeys(telling or [type(module).__name__]))
