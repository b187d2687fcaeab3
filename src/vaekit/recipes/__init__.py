"""Recipes: each named VAE in a few lines, and one registry of them all."""

from vaekit.recipes import classic  # noqa: F401  (registers its recipes)
from vaekit.recipes.parts import Architecture, Parts
from vaekit.recipes.registry import RECIPES, Blueprint, Recipe, build, recipe

__all__ = ["RECIPES", "Architecture", "Blueprint", "Parts", "Recipe", "build", "recipe"]
