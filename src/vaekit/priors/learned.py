"""Priors of one piece that learn their parameters, the same for all examples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from vaekit.core.conditional import Conditional
from vaekit.core.context import LEAD, Context
from vaekit.core.family import Family, over_event
from vaekit.core.notation import Formula, Symbol, term
from vaekit.families import positive
from vaekit.priors.standard import EventShape, event_of_prior


class LearnedPrior(Conditional):
    """Any family with parameters that are learned: p(z) = family(parameters).

    The parameters start at 0, which for a normal means mean 0 and scale 1.

    Raises `UsageError` for an empty shape, or one that the family refuses.

    >>> from vaekit.families import FullNormal
    >>> prior = LearnedPrior(FullNormal(), 3)
    >>> torch.testing.assert_close(prior({}).covariance_matrix[0, 0], torch.eye(3))
    """

    def __init__(self, family: Family, event_shape: EventShape) -> None:
        super().__init__()
        self.family = family
        self.params = nn.Parameter(torch.zeros(1, 1, *family.params_shape(event_of_prior(event_shape))))

    def forward(self, context: Context) -> Distribution:
        distribution: Distribution = self.family(self.params)
        return distribution

    def extra_repr(self) -> str:
        return f"parameters={tuple(self.params.shape[LEAD:])}"

    def formula(self, name: str) -> Formula:
        return Formula(name, "~", f"{term(self.family, '')}, learned")


class Ard(Conditional):
    r"""Automatic relevance determination: :math:`p(z) = \prod_d N(z_d; 0, \sigma_d^2)`, each :math:`\sigma_d` learned.

    A latent that the decoder has no use for costs least where its posterior is the prior, and so tells nothing of x:
    it switches itself off. What a latent is worth is not its scale alone, which the decoder's weights can undo, but
    the scale against the spread of its posterior: its KL, at most :math:`\log (\sigma_d / s_d)` for a posterior of
    spread :math:`s_d` when the scale is at its best, :math:`\sigma_d^2 = E[z_d^2]`.

    Sources: MacKay, 1994; Bishop, 1999; Saha, Joshi and Whitaker, 2025.

    Args:
        event_shape: of the latent.
        shared: axes of the event, counted from the last (-1), along which coordinates share a scale: with (-1,), each
            row of a matrix of weights has one, and is switched on and off as a whole.

    Raises `UsageError` for an empty shape.

    >>> Ard(3).scale
    tensor([1.0000, 1.0000, 1.0000], grad_fn=...)
    >>> Ard((3, 5), shared=(-1,)).scale.shape
    torch.Size([3, 1])
    """

    def __init__(self, event_shape: EventShape, shared: Sequence[int] = ()) -> None:
        super().__init__()
        self.event_shape = event_of_prior(event_shape)
        together = {axis % len(self.event_shape) for axis in shared}
        scales = [1 if axis in together else size for axis, size in enumerate(self.event_shape)]
        self.raw = nn.Parameter(torch.zeros(scales))

    @property
    def scale(self) -> Tensor:
        """The standard deviation of each coordinate, `(*event)` with 1 for the axes that share it."""
        return positive(self.raw)

    def forward(self, context: Context) -> Distribution:
        scale = self.scale.expand(self.event_shape)[None, None]
        return over_event(Normal(torch.zeros_like(scale), scale, validate_args=False))

    def extra_repr(self) -> str:
        return f"event={tuple(self.event_shape)}"

    def formula(self, name: str) -> Formula:
        scale = Symbol("σ", "relevance of each coordinate, learned", tuple(self.raw.shape))
        return Formula(name, "~", "N(0, diag σ²)", symbols=(scale,))
