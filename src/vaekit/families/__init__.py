"""Families of distributions: what a net's output means."""

from vaekit.families.bernoulli import Bernoulli, ContinuousBernoulli
from vaekit.families.normal import FullNormal, Normal
from vaekit.families.registry import LIKELIHOODS, POSTERIORS
from vaekit.families.scale import Known, Learned, Predicted, Scale, positive

__all__ = [
    "LIKELIHOODS",
    "POSTERIORS",
    "Bernoulli",
    "ContinuousBernoulli",
    "FullNormal",
    "Known",
    "Learned",
    "Normal",
    "Predicted",
    "Scale",
    "positive",
]
