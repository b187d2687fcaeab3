"""Autoregressive and coupling bijections, from zuko."""

from __future__ import annotations

from typing import Any

from torch import nn

from vaekit.flows.bijection import Bijection, require_sizes
from vaekit.flows.zukoflows import zuko

HIDDEN = (64, 64)
"""Widths of the hidden layers of the nets inside."""


def maf(features: int, context: int = 0, *, steps: int = 3, hidden: tuple[int, ...] = HIDDEN) -> Bijection:
    r"""Masked autoregressive flow: :math:`e_d = z_d \exp s_d(z_{<d}) + t_d(z_{<d})`, the order reversed at each step.

    The density takes one pass through the nets, a draw as many as there are features: a map for priors.

    Source: Papamakarios, Pavlakou and Murray, 2017.

    >>> maf(2, context=4).context
    4
    """
    return _autoregressive(zuko.flows.MAF, features, context, steps, hidden)


def iaf(features: int, context: int = 0, *, steps: int = 3, hidden: tuple[int, ...] = HIDDEN) -> Bijection:
    """Inverse autoregressive flow, the inverse of `maf`: a draw with its density takes one pass: for posteriors.

    Source: Kingma et al., 2016.

    >>> iaf(2).features
    2
    """
    return maf(features, context, steps=steps, hidden=hidden).inv


def coupling(features: int, context: int = 0, *, steps: int = 4, hidden: tuple[int, ...] = HIDDEN) -> Bijection:
    """Affine coupling: half of the features decide an affine map of the others; two passes either way.

    Source: Dinh, Sohl-Dickstein and Bengio, 2017 (RealNVP).

    >>> coupling(4).features
    4
    """
    return _autoregressive(zuko.flows.MAF, features, context, steps, hidden, passes=2)


def nsf(
    features: int, context: int = 0, *, steps: int = 3, bins: int = 8, hidden: tuple[int, ...] = HIDDEN
) -> Bijection:
    """Neural spline flow: coupling by monotone rational-quadratic splines within [-5, 5], the identity outside.

    Source: Durkan et al., 2019.

    >>> nsf(4).features
    4
    """
    return _autoregressive(zuko.flows.NSF, features, context, steps, hidden, passes=2, bins=bins)


def _autoregressive(
    make: Any, features: int, context: int, steps: int, hidden: tuple[int, ...], **options: Any
) -> Bijection:
    """A zuko flow without its base; its nets are smooth, and so are its densities."""
    require_sizes(features, context)
    flow = make(features, context, transforms=steps, hidden_features=hidden, activation=nn.SiLU, **options)
    return Bijection(flow.transform, features, context)
