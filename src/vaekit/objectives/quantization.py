"""What holds an encoder to the codes that stand for what it says."""

from __future__ import annotations

from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core.notation import Formula, Symbol
from vaekit.core.trace import Batch, Trace
from vaekit.core.vae import VAE
from vaekit.families import Quantize
from vaekit.families.quantize import Point
from vaekit.objectives.checks import drawn
from vaekit.objectives.notation import Weighed
from vaekit.objectives.objective import Step
from vaekit.objectives.penalty import Penalty
from vaekit.objectives.schedules import Constant


class Commitment(Penalty):
    r"""The squared distance of what the encoder says from the code it was rounded to, :math:`w |e(x) - z|^2`.

    Summed over coordinates and positions, and over all quantised latents. The codes are no part of its gradient: they
    follow by averaging.

    Args:
        weight: w; in units of the log-likelihood, nats.

    Source: van den Oord, Vinyals and Kavukcuoglu, 2017.

    Raises `UsageError` for a weight below 0, and for a model without a `Quantize` posterior.

    >>> from vaekit.objectives import Elbo
    >>> objective = Elbo() + Commitment(0.25)
    """

    def __init__(self, weight: float = 0.25) -> None:
        super().__init__()
        if not weight >= 0:
            raise UsageError(f"a commitment of {weight}: its weight is 0 or more")
        self.weight = weight

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Tensor:
        points = [draw.distribution for draw in drawn(trace).values()]
        distances = [point.distance.mean(0) for point in points if isinstance(point, Point)]
        return self.weight * sum(distances, trace.log_lik.new_zeros(len(batch)))

    def demand(self, model: VAE) -> None:
        """Refuse a model that quantises nothing."""
        if not any(isinstance(part, Quantize) for part in model.modules()):
            names = ", ".join(repr(name) for name, _ in model.latents())
            raise UsageError(f"Commitment needs a latent with a Quantize posterior, which is none of {names}")

    def extra_repr(self) -> str:
        return str(self.weight)

    def formula(self, name: str) -> Formula:
        said = Symbol("e(x)", "what the encoder says, before it is rounded to a code")
        weighed = Weighed.by(Constant(self.weight), "", "‖e(x) − z‖²")
        return Formula(name, "=", weighed.text, symbols=(said,))
