"""The posterior q(z | x) of a batch as a density that can be asked again and again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.common.chunks import ROWS
from vaekit.core import NOTHING, VAE, Context, Deterministic, Latent
from vaekit.core.context import as_given
from vaekit.evaluate.evidence import at_rows, row_slices


class Inference:
    """q(z | x) of a batch, for any z: what reads x alone is computed once.

    Values of latents are `(sample or 1, batch or 1, *event)`, as in a context: z of shape `(m, 1, *event)` against a
    batch of n gives densities `(m, n)`, each z under each example's posterior. Latents in `given` are known, and no
    part of the posterior.

    >>> from vaekit.recipes import build
    >>> inference = Inference(build("vae", (6,), latent=2).model, torch.rand(3, 6))
    >>> inference.log_prob({"z": torch.zeros(5, 1, 2)}).shape
    torch.Size([5, 3])
    """

    def __init__(self, model: VAE, x: Tensor, given: Context = NOTHING) -> None:
        self.model = model
        self.names = tuple(name for name in model.inference_order if _is_latent(model, name) and name not in given)
        with torch.no_grad():
            self._context, self._posteriors = _completed(model, as_given({"x": x, **given}), self.names)

    def posteriors(self, latents: Context) -> Mapping[str, Distribution]:
        """The posterior of each latent that is not given, in the order of inference, where the latents are these."""
        return self._posteriors | _completed(self.model, {**self._context, **latents}, self._waiting)[1]

    @property
    def _waiting(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self._posteriors)

    @property
    def of_x_alone(self) -> frozenset[str]:
        """The latents whose posterior reads no other latent."""
        return frozenset(self._posteriors)

    def log_probs(self, latents: Context) -> dict[str, Tensor]:
        """log q(z_l | x, z inferred before it) of each latent, `(sample, batch)`."""
        posteriors = self.posteriors(latents)
        return {name: posteriors[name].log_prob(latents[name]) for name in self.names}

    def log_prob(self, latents: Context) -> Tensor:
        """log q(z | x) of all latents together, `(sample, batch)`."""
        return torch.stack(torch.broadcast_tensors(*self.log_probs(latents).values())).sum(0)


def _is_latent(model: VAE, name: str) -> bool:
    return isinstance(model.parts[name], Latent)


def _completed(
    model: VAE, context: Context, latents: tuple[str, ...]
) -> tuple[dict[str, Tensor], dict[str, Distribution]]:
    """All that can be computed from this context: its deterministic values, and these latents' posteriors."""
    context, posteriors = dict(context), dict[str, Distribution]()
    for name in model.inference_order:
        part = model.parts[name]
        if isinstance(part, Latent):
            if name in latents and _readable(part.posterior.given, context):
                posteriors[name] = part.posterior(context)
        elif isinstance(part, Deterministic) and name not in context and _readable(part.given, context):
            context[name] = part(context)
    return context, posteriors


def _readable(names: tuple[str, ...], context: Context) -> bool:
    return all(name in context for name in names)


def posterior_draws(model: VAE, x: Tensor, given: Context = NOTHING) -> dict[str, Tensor]:
    """One draw of each latent that is not given from q(z | x) of each row, `(batch, *event)` each, in chunks."""
    parts = [model.posterior(x[rows], 1, at_rows(given, rows)) for rows in row_slices(x, ROWS)]
    return {name: torch.cat([part[name].value[0] for part in parts]) for name in parts[0]}


def prior_draws(model: VAE, n: int, given: Context = NOTHING) -> dict[str, Tensor]:
    """`n` draws of each latent that is not given from the prior, `(n, *event)` each, in chunks."""
    names = [name for name, _ in model.latents() if name not in given]
    places = range(0, n, ROWS)
    parts = [model.sample(min(ROWS, n - at), at_rows(given, slice(at, at + ROWS))) for at in places]
    return {name: torch.cat([part.latent(name) for part in parts]) for name in names}
