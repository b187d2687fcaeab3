"""The one registry of recipes, and how a name becomes a model and its objective."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, get_type_hints

from vaekit.common.errors import unknown
from vaekit.common.registry import Registry
from vaekit.common.seeds import seeded
from vaekit.core import VAE
from vaekit.objectives import Objective
from vaekit.objectives.checks import refuse_unlike_latents
from vaekit.priors.refit import refitted_blank
from vaekit.recipes.forms import Form, form_of
from vaekit.recipes.options import as_type
from vaekit.recipes.parts import Architecture, Parts

ARGUMENT = re.compile(r"^    (\w+): (.+)\.$", re.MULTILINE)
"""A setting and its meaning in the docstring of a recipe."""


class Recipe(NamedTuple):
    """A model and the objective it is trained by."""

    model: VAE
    objective: Objective


@dataclass(frozen=True)
class Entry:
    """A recipe in the registry: how to build it, what it is, and who published it."""

    name: str
    summary: str
    paper: str
    year: int
    compose: Callable[..., Recipe]
    architecture: Mapping[str, Any] = field(default_factory=dict)
    """Where the recipe's architecture differs from the defaults."""

    @property
    def own_options(self) -> dict[str, Any]:
        """The recipe's own settings with their defaults."""
        parameters = list(inspect.signature(self.compose).parameters.values())[1:]
        return {parameter.name: parameter.default for parameter in parameters}

    @property
    def meanings(self) -> dict[str, str]:
        """What the recipe's own settings mean, as its docstring says.

        >>> RECIPES["miwae"].meanings
        {'samples': 'draws in each of the bounds', 'groups': 'how many bounds'}
        """
        return dict(ARGUMENT.findall(inspect.getdoc(self.compose) or ""))

    @property
    def options(self) -> dict[str, Any]:
        """Every setting with its default: the architecture's, then the recipe's own."""
        shared = Architecture(**self.architecture)
        return {option.name: getattr(shared, option.name) for option in fields(shared)} | self.own_options

    def resolved(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Every setting that has a value: the defaults, with the given ones in their place and of their type."""
        return {name: value for name, value in (self.options | self._typed(options)).items() if value is not None}

    def _typed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The given settings as their declared types; an unknown one is refused."""
        for name in options:
            if name not in self.options:
                raise unknown(f"setting of the recipe {self.name!r}:", name, self.options)
        types = get_type_hints(Architecture) | get_type_hints(self.compose)
        return {name: as_type(types[name], value, name) for name, value in options.items()}

    def build(self, data: Form | Sequence[int], options: Mapping[str, Any]) -> Recipe:
        """The model and its objective for data of this form, or arrays of this shape."""
        form = form_of(data)
        chosen = self._typed(options)
        own = {name: chosen.pop(name) for name in self.own_options if name in chosen}
        parts = Parts(form, Architecture(**{**self.architecture, **form.architecture, **chosen}))
        built = self.compose(parts, **own)
        built.objective.check(built.model)
        refuse_unlike_latents(built.model)
        return built


RECIPES: Registry[Entry] = Registry("recipe")


def recipe(
    summary: str, paper: str, year: int, **architecture: Any
) -> Callable[[Callable[..., Recipe]], Callable[..., Recipe]]:
    """Register a function of `Parts` and its own settings as the recipe of its name."""

    def register(compose: Callable[..., Recipe]) -> Callable[..., Recipe]:
        name = compose.__name__
        RECIPES.add(name, Entry(name, summary, paper, year, compose, architecture))
        return compose

    return register


@dataclass(frozen=True)
class Blueprint:
    """What it takes to build a model again: a recipe's name, the data's form and the settings that were chosen."""

    recipe: str
    form: Form
    options: Mapping[str, Any]
    refitted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The kind, with its settings, of each latent's prior that was fitted after training."""

    def build(self, seed: int = 0) -> Recipe:
        """The model, freshly initialised, and its objective."""
        with seeded(seed):
            model, objective = RECIPES[self.recipe].build(self.form, self.options)
            for latent, record in self.refitted.items():
                model = refitted_blank(model, latent, record)
        model.blueprint = self
        return Recipe(model, objective)


def build(name: str, data: Form | Sequence[int], *, seed: int = 0, **options: Any) -> Recipe:
    """A recipe's model and objective for data of one form, or arrays of one shape, initialised from a seed.

    Raises `UsageError` for an unknown recipe or setting, with the nearest known one.

    >>> model, objective = build("beta_vae", (1, 28, 28), latent=10, beta=4.0)
    >>> model.sample(2).mean.shape
    torch.Size([2, 1, 28, 28])
    >>> build("beta_vae", (1, 28, 28), bata=4.0)
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: unknown setting of the recipe 'beta_vae': 'bata': did you mean 'beta'? ...
    """
    return Blueprint(name, form_of(data), options).build(seed)
