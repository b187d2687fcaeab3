"""Recipes: each named VAE in a few lines, and one registry of them all."""

from vaekit.recipes import (  # noqa: F401  (each registers its recipes)
    adversarial,
    classic,
    discrete,
    disentangled,
    divergences,
    flows,
    importance,
    ladders,
    latent_shapes,
    missing,
    priors,
    semi_supervised,
)
from vaekit.recipes.parts import Architecture, Parts
from vaekit.recipes.registry import RECIPES, Blueprint, Recipe, build, recipe

__all__ = ["RECIPES", "Architecture", "Blueprint", "Parts", "Recipe", "build", "recipe"]
