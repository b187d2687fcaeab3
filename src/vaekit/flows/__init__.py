"""Flows: distributions of a simple base seen through an invertible map."""

from vaekit.flows.autoregressive import coupling, iaf, maf, nsf
from vaekit.flows.bijection import Bijection
from vaekit.flows.conditional import Flow
from vaekit.flows.distribution import FlowDistribution
from vaekit.flows.registry import FLOWS
from vaekit.flows.residual import householder, planar, sylvester

__all__ = [
    "FLOWS",
    "Bijection",
    "Flow",
    "FlowDistribution",
    "coupling",
    "householder",
    "iaf",
    "maf",
    "nsf",
    "planar",
    "sylvester",
]
