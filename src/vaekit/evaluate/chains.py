"""Chains that carry latents from a starting distribution to the posterior, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Context
from vaekit.evaluate.evidence import refuse_points, refuse_shared
from vaekit.evaluate.hamiltonian import LogDensity, hamiltonian_move
from vaekit.evaluate.inference import Inference
from vaekit.evaluate.unconstrained import Unconstrained

FIRST_STEP_SIZE = 0.3
GAIN = 0.1
"""By how much, in logarithms, a step size follows an acceptance that is off by 1."""
WARM_UP = 30
"""Moves of a pilot run before those that are recorded, for the step size to settle."""


class Start(ABC):
    """The distribution of the latents that annealing starts from, for a batch x; what is in `given` is known."""

    def __init__(self, model: VAE, x: Tensor, given: Context) -> None:
        self.model, self.x, self.given = model, x, given

    @abstractmethod
    def draw(self) -> dict[str, Tensor]:
        """The latents that are not given, `(n, *event)` each."""

    @abstractmethod
    def log_prob(self, latents: Context, log_priors: Context) -> Tensor:
        """Their log-density `(n,)`; the log-priors of all latents, `(n,)` each, are known already."""


class FromPrior(Start):
    """Annealing from the prior p(z): what is found owes nothing to the encoder."""

    def draw(self) -> dict[str, Tensor]:
        generation = self.model.sample(len(self.x), self.given)
        return {name: generation.latent(name) for name, _ in self.model.latents() if name not in self.given}

    def log_prob(self, latents: Context, log_priors: Context) -> Tensor:
        return _total(log_priors[name] for name in latents)


class FromPosterior(Start):
    """Annealing from the encoder's q(z | x): where the encoder is good, far fewer temperatures are enough.

    q must have a density: an autoencoder's single point has none, and its bounds are infinitely far apart.
    """

    def __init__(self, model: VAE, x: Tensor, given: Context) -> None:
        super().__init__(model, x, given)
        refuse_points(model, "a start of chains by the posterior")
        self.inference = Inference(model, x, given)

    def draw(self) -> dict[str, Tensor]:
        return {name: draw.value.squeeze(0) for name, draw in self.model.posterior(self.x, 1, self.given).items()}

    def log_prob(self, latents: Context, log_priors: Context) -> Tensor:
        return self.inference.log_prob({name: value.unsqueeze(0) for name, value in latents.items()}).squeeze(0)


@dataclass(frozen=True)
class Annealing:
    r"""How to anneal: the distributions on the way, and the Hamiltonian moves that follow them.

    .. math:: f_t(z) = \pi(z)^{1 - \beta_t} \, p(x, z)^{\beta_t}, \qquad
        0 = \beta_0 < \ldots < \beta_T = 1 \text{ along a sigmoid}

    More temperatures and more chains bring the bounds together. Step sizes are learned for each row and temperature
    by a pilot run of chains of its own, so that as many moves are accepted as asked for, and they are fixed before the
    chains that count start: were they to follow the chains they move, the result would be no bound.

    Source: Neal, 2001; Wu, Burda, Salakhutdinov and Grosse, 2017.

    Raises `UsageError` for a number out of its range.

    >>> Annealing(temperatures=0)
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: annealing with temperatures of 0: it needs at least 1
    """

    chains: int = 16
    """Independent chains for each row."""
    temperatures: int = 500
    """T, the number of steps from the start to the posterior."""
    leapfrogs: int = 10
    """Leapfrog steps in each move."""
    acceptance: float = 0.65
    """Share of moves to be accepted."""
    start: Callable[[VAE, Tensor, Context], Start] = FromPrior
    """`FromPrior` or `FromPosterior`."""
    values_at_once: int = 2**22
    """The memory limit: how many values of x are worked on at once, over chains and rows."""

    def __post_init__(self) -> None:
        for name in ("chains", "temperatures", "leapfrogs", "values_at_once"):
            if getattr(self, name) < 1:
                raise UsageError(f"annealing with {name} of {getattr(self, name)}: it needs at least 1")
        if not 0 < self.acceptance < 1:
            raise UsageError(f"annealing with an acceptance of {self.acceptance}: choose between 0 and 1")

    def betas(self) -> Tensor:
        r"""The exponents :math:`\beta_0 \ldots \beta_T`: a sigmoid from -4 to 4, scaled to run from 0 to 1.

        >>> [round(beta, 3) for beta in Annealing(temperatures=4).betas().tolist()]
        [0.0, 0.105, 0.5, 0.895, 1.0]
        """
        sigmoid = torch.linspace(-4, 4, self.temperatures + 1, dtype=torch.float64).sigmoid()
        return (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])

    def rows_at_once(self, x: Tensor) -> int:
        """How many rows of x fit under the memory limit, at least 1."""
        return max(1, self.values_at_once // (self.chains * x[0].numel()))


def _refuse_noise(model: VAE) -> None:
    """Refuse a likelihood that draws noise whenever it is asked: chains would follow the noise, and bound nothing."""
    for part in model.likelihood.modules():
        if getattr(part, "draws_noise", False):
            raise UsageError(
                f"annealing cannot estimate log p(x) under {type(part).__name__}, whose density is drawn anew whenever "
                "it is asked for: use importance sampling, log_evidence"
            )


class Chains:
    """Chains for every row of a batch, side by side: the rows of the first chain, then those of the second, ..."""

    def __init__(self, model: VAE, x: Tensor, how: Annealing, given: Context) -> None:
        refuse_shared(model, "log p(x)")
        _refuse_noise(model)
        self.model, self.rows, self.how, self.given_rows = model, x, how, given
        self.x = self.for_each_chain(x)
        self.given = {name: self.for_each_chain(value) for name, value in given.items()}
        self.start = how.start(model, self.x, self.given)
        self.space = Unconstrained(model, model.sample(len(self.x), self.given), self.given)
        self.betas = how.betas().tolist()

    def for_each_chain(self, value: Tensor) -> Tensor:
        """Rows `(batch, *event)` once for each chain, `(chains * batch, *event)`."""
        return value.repeat(self.how.chains, *[1] * (value.dim() - 1))

    def by_chain(self, value: Tensor) -> Tensor:
        """Values `(chains * batch,)` as `(chains, batch)`."""
        return value.reshape(self.how.chains, -1)

    def started(self) -> Tensor:
        """Positions drawn from the start, `(chains * batch, coordinates)`."""
        return self.space.vector(self.start.draw())

    def at(self, latents: Context) -> Tensor:
        """Positions of all chains at the latents of their rows, `(batch, *event)` each."""
        return self.space.vector({name: self.for_each_chain(value) for name, value in latents.items()})

    def ends(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The log-densities of the start and of p(x, z) at these positions, `(chains * batch,)` each."""
        latents, log_det = self.space.latents(u)
        generation = self.model.sample(len(self.x), {**self.given, **latents})
        context = generation.context
        log_lik = generation.likelihood.log_prob(self.x.unsqueeze(0))[0]
        priors = {name: latent.prior(context).log_prob(context[name])[0] for name, latent in self.model.latents()}
        return self.start.log_prob(latents, priors) + log_det, log_lik + _total(priors.values()) + log_det

    def at_temperature(self, step: int) -> LogDensity:
        """log f of this step."""

        def log_density(u: Tensor) -> Tensor:
            start, joint = self.ends(u)
            between: Tensor = start + self.betas[step] * (joint - start)
            return between

        return log_density

    def log_ratio(self, u: Tensor, step: int) -> Tensor:
        """log f of this step minus log f of the one before it, `(chains * batch,)`."""
        start, joint = self.ends(u)
        log_ratio: Tensor = (self.betas[step] - self.betas[step - 1]) * (joint - start)
        return log_ratio

    def moved(self, u: Tensor, step: int, step_size: Tensor) -> tuple[Tensor, Tensor]:
        """Positions after a move that leaves f of this step invariant, and its acceptance for each row `(batch,)`."""
        sizes = self.for_each_chain(step_size)
        move = hamiltonian_move(self.at_temperature(step), u, sizes, self.how.leapfrogs)
        return move.position, self.by_chain(move.acceptance).mean(0)

    @cached_property
    def step_sizes(self) -> Tensor:
        """The step size of each move and row, `(T - 1, batch)`, learned from chains that are used for nothing else."""
        pilot = replace(self.how, chains=-(-self.how.chains // 4))
        return Chains(self.model, self.rows, pilot, self.given_rows).adapted_step_sizes()

    def adapted_step_sizes(self) -> Tensor:
        """Step sizes that follow the acceptance while these chains go from the start to the posterior."""
        u = self.started()
        step_size = torch.full_like(u[: len(self.rows), 0], FIRST_STEP_SIZE)
        sizes = []
        for step in [*[1] * WARM_UP, *range(1, self.how.temperatures)]:
            u, acceptance = self.moved(u, step, step_size)
            step_size = step_size * torch.exp(GAIN * (acceptance - self.how.acceptance))
            sizes.append(step_size)
        learned: Tensor = torch.stack(sizes)[WARM_UP:]
        return learned


def _total(log_probs: Iterable[Tensor]) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*log_probs)).sum(0)
