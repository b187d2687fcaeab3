"""Gradient estimators: ways to the gradient of a bound. The bound's value is the same by all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from torch import Tensor, nn
from torch.func import functional_call

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD, Context
from vaekit.core.latent import Draw
from vaekit.core.notation import words_of
from vaekit.core.trace import Trace
from vaekit.core.vae import VAE
from vaekit.objectives.bounds import Bound
from vaekit.objectives.checks import changes_when_run, drawn, reading_draws

FAINT: Final = 1e-25
"""A slope below this is taken for this one, so that another slope can be had from it by a factor."""


class Gradient(ABC):
    """How the gradient of a bound is found from a trace."""

    pathwise: ClassVar[bool] = True
    """Whether it goes through the draws themselves, and so refuses a posterior whose draws have no gradient."""

    @abstractmethod
    def __call__(self, bound: Bound, trace: Trace) -> tuple[Tensor, Trace]:
        """The bound, `(batch,)`, with its gradient, and a trace that holds the terms it was computed from."""


@dataclass(frozen=True)
class Pathwise(Gradient):
    """The derivative of the bound itself, through the draws: the reparameterisation trick.

    Unbiased where every posterior draws pathwise; others are refused. Source: Kingma and Welling, 2013.
    """

    def __call__(self, bound: Bound, trace: Trace) -> tuple[Tensor, Trace]:
        return bound(of_every_draw(trace.log_weight, bound, trace)), trace

    @property
    def words(self) -> str:
        """The way in words."""
        return ""


@dataclass(frozen=True)
class StickTheLanding(Gradient):
    """The pathwise gradient without that of log q by its own parameters, whose mean is 0.

    Where the posterior is exact, its variance is 0. It is unbiased for the ELBO, that is, for bounds of one draw or of
    power 0; for an importance-weighted bound of several draws it is biased (Tucker et al., 2019): take
    `DoublyReparameterised`. Source: Roeder, Wu and Duvenaud, 2017.
    """

    def __call__(self, bound: Bound, trace: Trace) -> tuple[Tensor, Trace]:
        log_posterior = log_posteriors_of_fixed_parameters(trace.model, trace.values, drawn(trace))
        log_weight = trace.log_joint - sum(log_posterior.values())
        return bound(of_every_draw(log_weight, bound, trace)), trace

    @property
    def words(self) -> str:
        """The way in words."""
        return "through the draws alone, without that of log q by its own parameters"


@dataclass(frozen=True)
class DoublyReparameterised(Gradient):
    r"""The gradient in which the derivative of log q by its own parameters is reparameterised once more.

    .. math:: \nabla L = \sum_k s_k \, \partial_{direct} \log w_k
        + \sum_k \left( s_k - \frac{\partial s_k}{\partial \log w_k} \right) \,
        \frac{\partial \log w_k}{\partial z_k} \nabla z_k

    with :math:`s_k` the bound's slope and :math:`\partial_{direct}` the derivative by the parameters of the likelihood
    and the priors at draws held fixed. For the importance-weighted bound the two factors are
    :math:`\tilde w_k` and :math:`\tilde w_k^2`. Unbiased for any bound and any number of latents, and of smaller
    variance than the pathwise gradient where the posterior is a good one. A prior that shares parameters with a
    posterior keeps its own derivative.

    Source: Tucker et al., 2019 (DReG).
    """

    def __call__(self, bound: Bound, trace: Trace) -> tuple[Tensor, Trace]:
        scale = PathScale()
        seen = with_paths_scaled(trace, scale, fixed=True)
        log_weight = of_every_draw(seen.log_weight, bound, trace)
        weight = log_weight.detach()
        direct = bound.slope(weight).clamp(min=FAINT)
        scale.factor = bound.path_slope(weight) / direct
        return with_gradient_of(bound(weight), (direct * log_weight).sum(0)), seen

    @property
    def words(self) -> str:
        """The way in words."""
        return "doubly reparameterised"


@dataclass(frozen=True)
class EncoderFollows(Gradient):
    """The gradient of the bound for the likelihood and the priors, and that of another bound for the posteriors.

    With IWAE as the bound and MIWAE as the other one this is PIWAE: many draws make a good bound to train the
    generative side by, but a poor signal for the encoder. Source: Rainforth et al., 2018.
    """

    other: Bound

    def __call__(self, bound: Bound, trace: Trace) -> tuple[Tensor, Trace]:
        scale = PathScale()
        seen = with_paths_scaled(trace, scale, fixed=False)
        log_joint = of_every_draw(seen.log_joint, bound, trace)
        log_q = of_every_draw(trace.log_posterior, bound, trace)
        weight = (log_joint - log_q).detach()
        direct, other = bound.slope(weight).clamp(min=FAINT), self.other.slope(weight)
        scale.factor = other / direct
        return with_gradient_of(bound(weight), (direct * log_joint - other * log_q).sum(0)), seen

    @property
    def words(self) -> str:
        """The way in words."""
        return f"for the encoder that of {words_of(self.other)}"


class PathScale:
    """Multiplies the gradient on its way back through a value by a factor that is known only once the value was used.

    >>> import torch
    >>> scale, start = PathScale(), torch.ones(2, 1, requires_grad=True)
    >>> end = scale.through(start).sum()
    >>> scale.factor = torch.tensor([[3.0], [5.0]])
    >>> end.backward()
    >>> start.grad.flatten()
    tensor([3., 5.])
    """

    factor: Tensor
    """`(sample, batch)`."""

    def through(self, value: Tensor) -> Tensor:
        """The value `(sample, batch, *event)` itself, with its gradient to be scaled."""
        copy = value.view_as(value)
        if copy.requires_grad:
            copy.register_hook(self._scaled)
        return copy

    def _scaled(self, gradient: Tensor) -> Tensor:
        return gradient * self.factor.reshape(*self.factor.shape, *[1] * (gradient.dim() - LEAD))


def with_paths_scaled(trace: Trace, scale: PathScale, *, fixed: bool) -> Trace:
    """The trace again, from draws whose gradients are scaled; log q by fixed parameters, or as it was."""
    draws = drawn(trace)
    values = trace.values | {name: scale.through(draw.value) for name, draw in draws.items()}
    if fixed:
        log_posterior = log_posteriors_of_fixed_parameters(trace.model, values, draws)
    else:
        log_posterior = {name: draw.log_prob for name, draw in draws.items()}
    known = {
        name: replace(draw, value=values[name], known_log_prob=log_posterior[name]) for name, draw in draws.items()
    }
    return trace.model.retrace(values, known)


class _LogPosteriors(nn.Module):
    """log q of the values of some latents, as a module: its parameters are all of the model's."""

    def __init__(self, model: VAE, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, values: Context) -> dict[str, Tensor]:
        posteriors = self.model.posteriors(values, self.names)
        return {name: posterior.log_prob(values[name]) for name, posterior in posteriors.items()}


def log_posteriors_of_fixed_parameters(model: VAE, values: Context, draws: Mapping[str, Draw]) -> dict[str, Tensor]:
    """log q(z | x, ...) of drawn latents at values in hand, with a gradient by the values alone.

    A posterior that reads x alone is asked as it was drawn from: no encoder runs again. One that reads another draw
    must follow the path through that one too, so what inference computes on the way to it is computed anew, by fixed
    parameters. Raises `UsageError` where that would not be the same posterior, as one with dropout or a codebook.
    """
    again = reading_draws(model, draws)
    known = {name: of_fixed_parameters(draw, values[name]) for name, draw in draws.items() if name not in again}
    return known | (_computed_anew(model, values, again) if again else {})


def of_fixed_parameters(draw: Draw, value: Tensor) -> Tensor:
    """log q of a value with a gradient by the value alone: all of the gradient, less that of the value held fixed."""
    by_parameters = draw.distribution.log_prob(value.detach())
    return draw.distribution.log_prob(value) - (by_parameters - by_parameters.detach())


def _computed_anew(model: VAE, values: Context, names: tuple[str, ...]) -> dict[str, Tensor]:
    if part := changes_when_run(model):
        raise UsageError(
            f"sticking the landing and double reparameterisation run the posterior of {names[0]!r} again, as it reads "
            f"another draw, and a {type(part).__name__} would not be the same: take Pathwise(), or leave it out"
        )
    module = _LogPosteriors(model, names)
    fixed = {name: parameter.detach() for name, parameter in module.named_parameters()}
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    log_posteriors: dict[str, Tensor] = functional_call(module, fixed | kept, (values,))
    return log_posteriors


def of_every_draw(log_terms: Tensor, bound: Bound, trace: Trace) -> Tensor:
    """Log terms, `(sample or 1, batch or 1)`, of every one of the bound's draws and every example."""
    return log_terms.expand(bound.samples, trace.context["x"].shape[1])


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """A value with the gradient of another."""
    return value.detach() + surrogate - surrogate.detach()
