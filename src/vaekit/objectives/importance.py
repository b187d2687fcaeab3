"""Importance-weighted objectives: bounds of log p(x) from many draws, and the ways to their gradients."""

from __future__ import annotations

from vaekit.common.errors import UsageError
from vaekit.core.notation import Formula, words_of
from vaekit.core.trace import Batch, Trace
from vaekit.objectives.bounds import Blend, Bound, PowerMean
from vaekit.objectives.checks import NeedsDensities, points_of, refuse_points
from vaekit.objectives.gradients import EncoderFollows, Gradient, Pathwise
from vaekit.objectives.kl import sampled_kl
from vaekit.objectives.notation import WEIGHT, plus_gradient
from vaekit.objectives.objective import Objective, Step, Terms, TraceObjective, terms_of


class Weighted(NeedsDensities, TraceObjective):
    """A bound of the log-weights of several draws, and how its gradient is found.

    The objectives of the literature are such pairs: `Iwae`, `Miwae`, `Ciwae`, `Piwae`, `Renyi`. `Terms.elbo` is the
    mean of the same log-weights. Weights are densities, so a posterior that is a point is refused.

    >>> from vaekit.objectives.gradients import StickTheLanding
    >>> Weighted(PowerMean(samples=8, power=0.0), StickTheLanding())
    Weighted(PowerMean(samples=8, groups=1, power=0.0), StickTheLanding())
    """

    called = "importance-weighted bound"

    def __init__(self, bound: Bound, gradient: Gradient | None = None) -> None:
        super().__init__()
        self.bound = bound
        self.gradient = Pathwise() if gradient is None else gradient
        self.samples = bound.samples
        self.pathwise = self.gradient.pathwise
        self.is_bound = bound.is_bound
        self.adds_up = bound.is_mean

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        refuse_points(points_of(trace), self)
        value, seen = self.gradient(self.bound, trace)
        return terms_of(seen, batch, value, {name: sampled_kl(term) for name, term in seen.latents.items()})

    def judge(self) -> Objective | None:
        """The bound itself: a posterior that serves many draws need not serve one."""
        return Weighted(self.bound) if self.bound.is_bound else None

    def extra_repr(self) -> str:
        return f"{self.bound}, {self.gradient}"

    def formula(self, name: str) -> Formula:
        return plus_gradient(name, words_of(self.bound), words_of(self.gradient), (WEIGHT,))


class Iwae(Weighted):
    r"""The importance-weighted bound, which rises from the ELBO to log p(x) with the number of draws.

    .. math:: E \log \frac{1}{K} \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    Args:
        samples: K, draws of the latents for each example.
        gradient: `Pathwise()`, `StickTheLanding()` or `DoublyReparameterised()`.

    Source: Burda, Grosse and Salakhutdinov, 2016.

    >>> import torch
    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> terms = Iwae(samples=5)(model, Batch(torch.rand(3, 6)), Step.first())
    >>> bool((terms.value >= terms.elbo).all())
    True
    """

    def __init__(self, samples: int = 8, gradient: Gradient | None = None) -> None:
        super().__init__(PowerMean(samples), gradient)


class Miwae(Weighted):
    """The mean of several importance-weighted bounds, each of its own draws: a less noisy signal for the encoder.

    Args:
        samples: K, draws in each of the bounds.
        groups: M, how many bounds; each example gets M K draws.
        gradient: how the gradient is found.

    Source: Rainforth et al., 2018.
    """

    def __init__(self, samples: int = 8, groups: int = 8, gradient: Gradient | None = None) -> None:
        super().__init__(PowerMean(_in_all(samples, groups), groups), gradient)


class Ciwae(Weighted):
    """A share of the ELBO and the rest of the importance-weighted bound, from the same draws.

    Args:
        samples: K, draws of the latents for each example.
        share: of the ELBO; 0 is `Iwae`, 1 is the ELBO.
        gradient: how the gradient is found.

    Source: Rainforth et al., 2018.
    """

    def __init__(self, samples: int = 8, share: float = 0.5, gradient: Gradient | None = None) -> None:
        super().__init__(Blend(share, PowerMean(samples, power=0.0), PowerMean(samples)), gradient)


class Piwae(Weighted):
    """The importance-weighted bound of all draws for the likelihood and the priors, `Miwae`'s for the encoder.

    Its value is that of `Iwae` with M K samples.

    Args:
        samples: K, draws in each of the encoder's bounds.
        groups: M, how many of them.

    Source: Rainforth et al., 2018.
    """

    def __init__(self, samples: int = 8, groups: int = 8) -> None:
        draws = _in_all(samples, groups)
        super().__init__(PowerMean(draws), EncoderFollows(PowerMean(draws, groups)))


class Renyi(Weighted):
    r"""The variational Renyi bound, estimated from K draws.

    .. math:: \frac{1}{1 - \alpha} \log \frac{1}{K} \sum_{k=1}^{K}
        \left( \frac{p(x, z_k)}{q(z_k \mid x)} \right)^{1 - \alpha}

    An alpha of 1 is the ELBO, of 0 the importance-weighted bound; below 0 it is no lower bound.

    Args:
        alpha: the order of the divergence.
        samples: K, draws of the latents for each example.
        gradient: how the gradient is found.

    Source: Li and Turner, 2016.
    """

    def __init__(self, alpha: float = 0.5, samples: int = 8, gradient: Gradient | None = None) -> None:
        if not abs(alpha) < float("inf"):
            raise UsageError(f"alpha is {alpha}: the order of a Renyi divergence is a finite number")
        super().__init__(PowerMean(samples, power=1 - alpha), gradient)


def _in_all(samples: int, groups: int) -> int:
    """How many draws so many groups of so many samples are."""
    if samples < 1 or groups < 1:
        raise UsageError(f"{groups} groups of {samples} samples: take at least 1 of each")
    return samples * groups
