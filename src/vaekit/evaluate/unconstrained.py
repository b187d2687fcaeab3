"""The latents of a model as one real vector for each example."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context, Generation
from vaekit.evaluate.charts import Chart, chart


@dataclass(frozen=True)
class Slot:
    """The place of one latent: its name, the shape of its free points, and the chart from these to its values."""

    name: str
    shape: Size
    chart: Chart


class Unconstrained:
    """The latents of a model that are not given, as one free vector u for each example, and back.

    Raises `UsageError` for a latent that is discrete, or on whose support no chart is known.

    >>> from vaekit.recipes import build
    >>> model = build("vae", (6,), latent=2).model
    >>> space = Unconstrained(model, model.sample(3))
    >>> latents, log_det = space.latents(torch.zeros(3, 2))
    >>> latents["z"].shape, log_det
    (torch.Size([3, 2]), tensor([0., 0., 0.]))
    """

    def __init__(self, model: VAE, generation: Generation, given: Context = NOTHING) -> None:
        free = [(name, latent) for name, latent in model.latents() if name not in given]
        if not free:
            raise UsageError("no latent is left to move: with all of them given, log_evidence is exact")
        context = generation.context
        self.slots = [_slot(name, latent.prior(context), context[name]) for name, latent in free]

    def vector(self, latents: Context) -> Tensor:
        """Latents `(n, *event)` each as free vectors `(n, coordinates)`."""
        parts = [slot.chart.free(latents[slot.name].unsqueeze(0)).squeeze(0) for slot in self.slots]
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def latents(self, vector: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The latents `(n, *event)` at free vectors `(n, coordinates)`, and what log-densities gain by it, `(n,)`."""
        parts = vector.split([slot.shape.numel() for slot in self.slots], dim=1)
        latents, gained = dict[str, Tensor](), vector.new_zeros(len(vector))
        for slot, part in zip(self.slots, parts, strict=True):
            value, log_density = slot.chart.value(part.reshape(1, len(vector), *slot.shape))
            latents[slot.name] = value.squeeze(0)
            gained = gained + log_density.reshape(len(vector), -1).sum(1)
        return latents, gained


def _slot(name: str, prior: Distribution, drawn: Tensor) -> Slot:
    try:
        found = chart(prior, drawn)
    except NotImplementedError:
        raise UsageError(f"the latent {name!r} has no gradient to follow: pass its value in given") from None
    return Slot(name, found.free(drawn).shape[2:], found)
