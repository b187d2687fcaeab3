"""Refit: a better prior for a trained model, fitted to the codes of its data."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import NOTHING, VAE, Batch, Context
from vaekit.priors import PriorFit
from vaekit.priors.refit import prior_shape, record_of, refuse_unlike_support, with_prior
from vaekit.recipes import Blueprint
from vaekit.uses.encode import encode_draws


def aggregated_codes(model: VAE, x: Tensor, latent: str, draws: int = 1, given: Context = NOTHING) -> Tensor:
    """Draws of a latent from the posteriors of all rows together, `(draws * n, *event)`."""
    return encode_draws(model, Batch(x, given), latent, draws).flatten(0, 1)


def refit_prior(model: VAE, latent: str, codes: Tensor, kind: PriorFit, seed: int = 0) -> VAE:
    r"""A copy of a model whose latent has a prior fitted to codes.

    The best prior of a trained VAE is its aggregate posterior, :math:`E_x \, q(z \mid x)`: codes are draws of it, by
    `aggregated_codes`. Where the prior the model was trained with has holes, samples get better and the evidence
    rises. The copy is a VAE like any other: its evidence is that of the new prior.

    Args:
        model: the model; it is not changed.
        latent: the latent, whose prior reads nothing.
        codes: `(n, *event)`.
        kind: `NormalFit()`, `MixtureFit()`, `FlowFit()` or `AutoregressiveFit()`.
        seed: of starts, splits and batches.

    Raises `UsageError` for an unknown latent, a prior that reads other latents, codes of another shape, or a latent
    whose values lie where a fitted prior has no density (directions, proportions, classes, codes of a table);
    `DataError` for fewer than 2 codes or codes that are not finite.

    Sources: Ghosh et al., 2020; Dai and Wipf, 2019.

    >>> import torch
    >>> from vaekit.priors import NormalFit
    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> codes = aggregated_codes(model, torch.rand(100, 6), "z")
    >>> refit_prior(model, "z", codes, NormalFit()).sample(3).mean.shape
    torch.Size([3, 6])
    """
    shape = prior_shape(model, latent)
    if codes.shape[1:] != shape:
        found = tuple(codes.shape[1:])
        raise UsageError(f"codes of shape {found}, but the latent {latent!r} has {tuple(shape)}: give it its own")
    refuse_unlike_support(model, latent)
    with seeded(seed, codes.device):
        prior, decided = kind.fit(codes.detach())
    refitted = with_prior(copy.deepcopy(model), latent, prior)
    refitted.blueprint = _noted(model.blueprint, latent, decided)
    return refitted


def _noted(blueprint: object, latent: str, kind: PriorFit) -> Blueprint | None:
    """The blueprint with the refitted prior in it, so that the model can be saved and built again."""
    if not isinstance(blueprint, Blueprint):
        return None
    return replace(blueprint, refitted={**blueprint.refitted, latent: record_of(kind)})
