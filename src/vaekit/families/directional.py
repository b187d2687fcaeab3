"""Families of directions: von Mises-Fisher and power spherical."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import at
from vaekit.families.positions import over_positions, vectors_last
from vaekit.families.scale import positive
from vaekit.families.sphere import AroundAxis, sphere

DIRECTIONS = Density("directions", "probability density")


class VonMisesFisher(Family):
    r"""Directions around an axis, :math:`p(x) \propto e^{\kappa \mu \cdot x}` on the sphere :math:`|x| = 1`.

    Parameters: a vector along the axis (D), and the concentration (1) before `positive`, in units of D - 1. With
    further axes the event holds a direction of its own at each position, `(D, *positions)`.

    Sources: Davidson, Falorsi, De Cao, Kipf and Tomczak, 2018 (hyperspherical VAE); Wood, 1994 (draws).

    Raises `UsageError` for an event of fewer than 2 coordinates.

    >>> posterior = VonMisesFisher()(torch.randn(1, 5, 21))
    >>> draws = posterior.expand(Size((100, 5))).rsample()
    >>> draws.shape, bool((draws.norm(dim=-1) - 1 < 1e-5).all())
    (torch.Size([100, 5, 20]), True)
    """

    over_vectors = True

    def width(self, event_shape: Size) -> int:
        return width_of_direction(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return over_positions(VonMisesFisherDistribution(*axis_and_concentration(params)))

    def written(self, reads: str) -> str:
        return f"vonMisesFisher({at('μ', reads)}, {at('κ', reads)})"

    @property
    def support(self) -> Constraint:
        return sphere

    def density(self, x: Tensor) -> Density:
        return DIRECTIONS


class PowerSpherical(Family):
    r"""Directions around an axis, :math:`p(x) \propto (1 + \mu \cdot x)^\kappa` on the sphere :math:`|x| = 1`.

    Much like the von Mises-Fisher distribution, but drawn without rejection. Parameters and errors are those of
    `VonMisesFisher`.

    Source: De Cao and Aziz, 2020.

    >>> PowerSpherical().width(Size((20,)))
    21
    """

    over_vectors = True

    def width(self, event_shape: Size) -> int:
        return width_of_direction(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return over_positions(PowerSphericalDistribution(*axis_and_concentration(params)))

    def written(self, reads: str) -> str:
        return f"PowerSpherical({at('μ', reads)}, {at('κ', reads)})"

    @property
    def support(self) -> Constraint:
        return sphere

    def density(self, x: Tensor) -> Density:
        return DIRECTIONS


def width_of_direction(event_shape: Size) -> int:
    """The parameters of a direction: a vector and a concentration."""
    if event_shape[0] < 2:
        raise UsageError(f"a direction needs at least 2 coordinates, not an event of shape {tuple(event_shape)}")
    return event_shape[0] + 1


def axis_and_concentration(params: Tensor) -> tuple[Tensor, Tensor]:
    """A unit vector `(..., D)` and a concentration `(...)` from `(sample, batch, D + 1, *positions)`."""
    vectors = vectors_last(params)
    dimensions = vectors.shape[-1] - 1
    return unit(vectors[..., :-1]), (dimensions - 1) * positive(vectors[..., -1])


def unit(vector: Tensor) -> Tensor:
    """A vector brought to length 1; one of length 0 becomes the first coordinate's own direction.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [1.0000, 0.0000]])
    """
    first = torch.zeros_like(vector)
    first[..., 0] = 1
    safe = torch.where((vector == 0).all(-1, keepdim=True), first, vector)
    scaled = safe / safe.detach().abs().amax(-1, keepdim=True)
    direction: Tensor = scaled / scaled.norm(dim=-1, keepdim=True)
    return direction


class VonMisesFisherDistribution(AroundAxis):
    r"""The von Mises-Fisher distribution: :math:`t = -2 \kappa \sigma(y)`.

    >>> ball = VonMisesFisherDistribution(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(2.0))
    >>> round(float(ball.cosine), 6)  # coth(2) - 1 / 2
    0.537315
    """

    PROPOSALS = 24
    """Proposals for each draw, made at once: 0.65 of them or more are accepted, so that one draw in 10^11 has none."""

    def _tilt(self, concentration: Tensor, y: Tensor) -> Tensor:
        return -2 * concentration * torch.sigmoid(y)

    def _mode(self) -> tuple[Tensor, Tensor]:
        kappa, half = self.concentration, self.half
        at = half / (kappa + half + torch.hypot(kappa, torch.full_like(kappa, half)))
        return at, 2 * at * (1 - at) * (kappa * (1 - 2 * at) + half)

    def _draw(self, shape: Size) -> Tensor:
        """Of proposals with log-odds log b + logit(beta), the first that Ulrich's and Wood's test accepts."""
        kappa, full = self.concentration, 2 * self.half
        b = full / (2 * kappa + torch.hypot(2 * kappa, torch.full_like(kappa, full)))
        gammas = torch._standard_gamma(kappa.new_full((2, self.PROPOSALS, *shape), self.half))
        y = b.log() + gammas[0].log() - gammas[1].log()
        from_axis, typical = 2 * torch.sigmoid(y), 2 * b / (1 + b)
        log_ratio = ((typical + (1 - typical) * from_axis) / (typical * (2 - typical))).log()
        accepted = kappa * (typical - from_axis) + full * log_ratio >= torch.rand_like(y).log()
        return y.gather(0, accepted.int().argmax(0, keepdim=True)).squeeze(0)


class PowerSphericalDistribution(AroundAxis):
    r"""The power spherical distribution: :math:`t = \kappa \log \sigma(-y)`.

    >>> ball = PowerSphericalDistribution(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(2.0))
    >>> round(float(ball.cosine), 6)  # k / (k + D - 1)
    0.5
    """

    def _tilt(self, concentration: Tensor, y: Tensor) -> Tensor:
        return concentration * logsigmoid(-y)

    def _mode(self) -> tuple[Tensor, Tensor]:
        total = 2 * self.half + self.concentration
        at = self.half / total
        return at, total * at * (1 - at)

    def _draw(self, shape: Size) -> Tensor:
        """log-odds of a beta variable, from two gamma variables."""
        half = self.concentration.new_full(shape, self.half)
        near, far = torch._standard_gamma(half), torch._standard_gamma(half + self.concentration)
        return near.log() - far.log()
