"""Robust objectives: what the odd rows among the data cannot bend. None is a bound of log p(x)."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Laplace, Normal

from vaekit.common.errors import UsageError
from vaekit.core.coordinates import coordinates, over_coordinates
from vaekit.core.notation import Formula, Symbol, formula_of
from vaekit.core.trace import Batch, Trace
from vaekit.core.vae import VAE
from vaekit.objectives.kl import KL, analytic_kl
from vaekit.objectives.notation import RATE
from vaekit.objectives.objective import Objective, OverBatch, Step, Terms, TraceObjective, sample_mean, terms_of


class Trimmed(OverBatch, Objective):
    r"""An objective from which the rows of a batch that the model explains worst are left out.

    .. math:: \frac{1}{|K|} \sum_{i \in K} L(x_i), \qquad K = \{i : L(x_i) \text{ is not among the lowest } share\}

    Each row that is kept has the value :math:`L(x_i) \, n / |K|` and the others 0, so that the mean over the batch is
    the trimmed mean. Where the data hold outliers, these are left out once the model begins to tell them apart, and it
    becomes one of the other rows: choose a share somewhat larger than that of the outliers. Of the other rows the tails
    are left out too, so that scales come out a little small; the order of rows by their oddness hardly changes. It is
    no bound of log p(x): it says nothing of what it leaves out. Over several ranks each trims its own share of the
    batch.

    Args:
        objective: the objective L, such as `Elbo()`.
        share: of the rows of a batch, rounded down to whole rows, from 0 up to, but not, 1.

    Sources: Rousseeuw, 1984 (least trimmed squares); Neykov et al., 2007 (trimmed likelihood).

    Raises `UsageError` for a share outside [0, 1).

    >>> from vaekit.objectives import Elbo
    >>> from vaekit.recipes import build
    >>> x = torch.cat([torch.zeros(9, 6), torch.full((1, 6), 50.0)])
    >>> terms = Trimmed(Elbo(), 0.1)(build("vae", (6,), likelihood="normal").model, Batch(x), Step.first())
    >>> (terms.value == 0).nonzero().flatten().tolist()
    [9]
    """

    called = "trimmed objective"

    def __init__(self, objective: Objective, share: float = 0.2) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise UsageError(f"a share of {share} to be trimmed: choose from 0 up to, but not, 1")
        self.objective, self.share = objective, share
        self.sums_out = objective.sums_out
        self.compares_pairs = objective.compares_pairs

    def judge(self) -> Objective | None:
        """Itself: outliers that are held out would drown all that is learned of the other rows."""
        return self

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        terms: Terms = self.objective(model, batch, step)
        kept = ~lowest(terms.value, self.share)
        return replace(terms, value=torch.where(kept, terms.value * len(batch) / kept.sum(), 0.0))

    def extra_repr(self) -> str:
        return f"share={self.share}"

    def formula(self, name: str) -> Formula:
        each = formula_of(self.objective, "L")
        kept = Symbol("K", f"the rows of the batch but the {self.share:.4g} of them with the lowest L")
        return Formula(name, "=", "1/|K| Σ_{x in K} L(x)", (each,), (kept,))


def lowest(values: Tensor, share: float) -> Tensor:
    """Which of `(n,)` values lie below all but this share of them; a NaN never does, so that it is seen.

    >>> lowest(torch.tensor([3.0, 1.0, 2.0, 4.0]), 0.3).tolist()
    [False, True, False, False]
    """
    left_out = int(share * len(values))
    return values.detach() < values.detach().sort().values[left_out]


class DensityPower(TraceObjective):
    r"""The ELBO with the density-power divergence of each coordinate in the place of its log-likelihood.

    .. math:: E_q \sum_d \Bigl[ \frac{\beta + 1}{\beta} \bigl(p(x_d \mid z)^\beta - 1\bigr)
        - \int p(u \mid z)^{1 + \beta} \, du + 1 \Bigr] - KL(q(z \mid x) \,\|\, p(z))

    A coordinate enters the gradient with the weight :math:`p(x_d \mid z)^\beta`, and one that is out of all bounds with
    none. For a power towards 0 it is the ELBO. It is taken coordinate by coordinate, as the density of a whole row
    would underflow where there are many. It is no bound of log p(x).

    Args:
        power: beta; the larger, the more robust, and the less efficient where there are no outliers.
        kl: how the KL is found.
        samples: draws of the latents for each example.

    The likelihood has independent coordinates that are normal, Laplace or Bernoulli.

    Sources: Basu et al., 1998; Akrami et al., 2022 (robust VAE).

    Raises `UsageError` for a power that is not positive, and, when it is asked, for another likelihood.

    >>> DensityPower(0.2)
    DensityPower(power=0.2, samples=1)
    """

    def __init__(self, power: float = 0.1, kl: KL = analytic_kl, samples: int = 1) -> None:
        super().__init__()
        if not 0 < power < math.inf:
            raise UsageError(f"a power of {power}: it must be a positive number")
        if samples < 1:
            raise UsageError(f"{samples} samples: a robust objective needs at least 1")
        self.power, self.kl, self.samples = power, kl, samples

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        kl = {name: self.kl(term) for name, term in trace.latents.items()}
        terms = terms_of(trace, batch, trace.log_lik.mean(0), kl)
        gain = over_coordinates(self._gain(trace.likelihood, trace.context["x"]))
        return replace(terms, value=sample_mean(gain, batch) - terms.total_kl)

    def _gain(self, likelihood: Distribution, x: Tensor) -> Tensor:
        """What each coordinate gains, `(sample, batch, *event)`; a cell that is missing, nothing."""
        each = coordinates(likelihood)
        if each is None:
            raise UsageError(f"DensityPower needs a likelihood of independent coordinates, not {likelihood}")
        missing = x.isnan()
        log_prob = each.log_prob(x.masked_fill(missing, 0.0))
        gain = (1 + 1 / self.power) * torch.expm1(self.power * log_prob) + 1 - power_integral(each, self.power)
        return gain.masked_fill(missing, 0.0)

    def extra_repr(self) -> str:
        return f"power={self.power:g}, samples={self.samples}"

    def formula(self, name: str) -> Formula:
        b = f"{self.power:g}"
        gain = f"E_q[Σ_d {1 + 1 / self.power:g} (p(x_d | z)^{b} − 1) − ∫p(u | z)^{1 + self.power:g} du + 1]"
        return Formula(name, "=", f"{gain} − {RATE}")


@singledispatch
def power_integral(distribution: Distribution, power: float) -> Tensor:
    r""":math:`\int p(u)^{1 + \beta} \, du` of each coordinate, or the sum where the values are discrete.

    Raises `UsageError` for a distribution of which it is not known.

    >>> round(float(power_integral(Bernoulli(0.5), 1.0)), 6)
    0.5
    """
    raise UsageError(
        f"the density-power divergence of a {type(distribution).__name__} is not known: "
        "take a normal, Laplace or Bernoulli likelihood, or Trimmed(Elbo())"
    )


@power_integral.register
def _normal(distribution: Normal, power: float) -> Tensor:
    """(2 pi s^2)^(-b/2) / sqrt(1 + b)."""
    return (distribution.scale * math.sqrt(2 * math.pi)) ** -power / math.sqrt(1 + power)


@power_integral.register
def _laplace(distribution: Laplace, power: float) -> Tensor:
    """(2 s)^(-b) / (1 + b)."""
    return (2 * distribution.scale) ** -power / (1 + power)


@power_integral.register
def _bernoulli(distribution: Bernoulli, power: float) -> Tensor:
    """pi^(1 + b) + (1 - pi)^(1 + b)."""
    return distribution.probs ** (1 + power) + (1 - distribution.probs) ** (1 + power)
