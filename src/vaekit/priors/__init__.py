"""Priors over latents."""

from vaekit.priors.registry import PRIORS
from vaekit.priors.standard import standard_normal

__all__ = ["PRIORS", "standard_normal"]
