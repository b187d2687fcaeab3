"""The bijections by name."""

from __future__ import annotations

from collections.abc import Callable

from vaekit.common.registry import Registry
from vaekit.flows.autoregressive import coupling, iaf, maf, nsf
from vaekit.flows.bijection import Bijection
from vaekit.flows.residual import householder, planar, sylvester

FLOWS: Registry[Callable[[int, int], Bijection]] = Registry(
    "flow",
    {
        "maf": maf,
        "iaf": iaf,
        "coupling": coupling,
        "nsf": nsf,
        "planar": planar,
        "householder": householder,
        "sylvester": sylvester,
    },
)
