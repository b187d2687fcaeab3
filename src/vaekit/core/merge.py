"""A posterior that merges what the data say with what the latents above say."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Conditional
from vaekit.core.context import Context
from vaekit.core.notation import Formula, density, formula_of


class PrecisionWeighted(Conditional):
    r"""The product of two normals: a message from the data, and the prior from the latents above.

    .. math:: q \propto N(\mu_m, \sigma_m^2) \, N(\mu_p, \sigma_p^2): \quad
        \sigma^{-2} = \sigma_m^{-2} + \sigma_p^{-2}, \quad
        \mu = \sigma^2 (\mu_m \sigma_m^{-2} + \mu_p \sigma_p^{-2})

    The prior is the latent's own: it is referred to, not owned, so that it is trained and saved once.

    Source: Sønderby et al., 2016 (ladder VAE). Raises `UsageError` where one of the two is no diagonal normal.
    """

    def __init__(self, message: Conditional, prior: Conditional) -> None:
        super().__init__()
        self.message = message
        self._prior = (prior,)
        self.given = tuple(dict.fromkeys((*message.given, *prior.given)))

    @property
    def prior(self) -> Conditional:
        """The prior that it refers to."""
        return self._prior[0]

    def forward(self, context: Context) -> Distribution:
        loc_m, precision_m = _normal(self.message(context))
        loc_p, precision_p = _normal(self.prior(context))
        variance = 1 / (precision_m + precision_p)
        loc = variance * (loc_m * precision_m + loc_p * precision_p)
        return Independent(Normal(loc, variance.sqrt(), validate_args=False), loc.dim() - 2, validate_args=False)

    def formula(self, name: str) -> Formula:
        message, prior = formula_of(self.message, name), self.prior
        body = f"{message.body} · {density('p', name, prior.given)}"
        return Formula(density("q", name, self.given), "∝", body, message.where, message.symbols)


def _normal(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Location and precision of a diagonal normal."""
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if not isinstance(base, Normal):
        raise UsageError(f"precisions are merged of diagonal normals, not of {type(base).__name__}")
    return base.loc, torch.as_tensor(base.scale) ** -2
