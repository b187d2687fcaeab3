"""The evidence lower bound, weighted and not."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD
from vaekit.core.coordinates import over_coordinates
from vaekit.core.latent import LatentTerm
from vaekit.core.notation import Formula, Symbol
from vaekit.core.trace import Batch, Trace
from vaekit.objectives.kl import KL, analytic_kl, coordinate_kl
from vaekit.objectives.notation import LIKELIHOOD, RATE, Weighed, less
from vaekit.objectives.objective import Step, Terms, TraceObjective, sample_mean, terms_of
from vaekit.objectives.schedules import Constant, Schedule, schedule


class Elbo(TraceObjective):
    r"""The evidence lower bound, with an optional weight and floor on its KL.

    .. math:: E_{q(z \mid x)} \log p(x \mid z) - \beta \, KL(q(z \mid x) \,\|\, p(z))

    For a weight of 1 or more it is a lower bound of log p(x); where rows share a latent (`Global`), its sum over rows
    is one of the log-density of them all.

    Args:
        beta: weight of the KL, a number or a `Schedule` (beta-VAE, warm-up, cyclical annealing).
        free_bits: nats below which the KL of a coordinate, averaged over the batch, is not pressed further.
        kl: how the KL is found, `analytic_kl` (where there is a closed form) or `sampled_kl`.
        samples: draws of the latents for each example.

    Sources: Kingma and Welling, 2013; Higgins et al., 2017 (beta); Kingma et al., 2016 (free bits).

    >>> import torch
    >>> from vaekit.core import Batch
    >>> from vaekit.recipes import build
    >>> model, objective = build("vae", (784,), latent=20)
    >>> terms = objective(model, Batch(torch.rand(5, 784)), Step.first())
    >>> bool((terms.value == terms.elbo).all())
    True
    """

    adds_up = True

    def __init__(
        self,
        beta: float | Schedule = 1.0,
        free_bits: float = 0.0,
        kl: KL = analytic_kl,
        samples: int = 1,
    ) -> None:
        super().__init__()
        if samples < 1:
            raise UsageError(f"{samples} samples: an ELBO needs at least 1")
        if free_bits < 0:
            raise UsageError(f"free bits of {free_bits} nats: choose 0 or more")
        self.beta = schedule(beta)
        if isinstance(self.beta, Constant) and not self.beta.value >= 0:
            raise UsageError(f"beta is {self.beta.value}: the weight of a KL is 0 or more")
        self.free_bits = free_bits
        self.kl = kl
        self.samples = samples
        self.averages = samples == 1
        self.is_bound = isinstance(self.beta, Constant) and self.beta.value >= 1

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        kl = {name: self.kl(term) for name, term in trace.latents.items()}
        weighted = self.beta(step.count) * self._pressed(trace.latents, kl, batch)
        value = sample_mean(trace.log_lik, batch) - sample_mean(weighted, batch)
        return terms_of(trace, batch, value, kl)

    def _pressed(self, latents: Mapping[str, LatentTerm], kl: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The KL that is pressed upon: all of it, or what exceeds the free bits of the latents that were drawn."""
        if self.free_bits:
            drawn = {name: term for name, term in latents.items() if term.drawn is not None}
            held = {name: free_bits_kl(coordinate_kl(term), self.free_bits, batch) for name, term in drawn.items()}
            kl = {**kl, **held}
        return torch.stack(torch.broadcast_tensors(*kl.values())).sum(0) if kl else torch.zeros(1, 1)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, free_bits={self.free_bits}, kl={self.kl.__name__}, samples={self.samples}"

    def formula(self, name: str) -> Formula:
        each = (Symbol("KL_d", "the KL of coordinate d, averaged over the batch"),) if self.free_bits else ()
        rate = Weighed.by(self.beta, "β", f"Σ_d max({self.free_bits:g}, KL_d)" if self.free_bits else RATE)
        return Formula(name, "=", less(LIKELIHOOD, rate.text), symbols=(*rate.symbols, *each))


def free_bits_kl(per_coordinate: Tensor, nats: float, batch: Batch) -> Tensor:
    """The KL with the coordinates whose mean over the batch is below `nats` held there, without a gradient."""
    chances = batch.chances
    if chances is None:
        mean = per_coordinate.mean((0, 1), keepdim=True)
    else:
        weights = chances.reshape(*chances.shape, *[1] * (per_coordinate.dim() - LEAD))
        mean = (weights * per_coordinate).sum(0, keepdim=True).mean(1, keepdim=True)
    return over_coordinates(torch.where(mean > nats, per_coordinate, torch.full_like(per_coordinate, nats)))
