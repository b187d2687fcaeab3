"""What keeps an autoencoder regular without noise: short codes, and a decoder that is smooth or small."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from vaekit.common.errors import UsageError
from vaekit.core.coordinates import over_coordinates
from vaekit.core.latent import LatentTerm
from vaekit.core.notation import Formula, Symbol
from vaekit.core.trace import Batch, Trace
from vaekit.objectives.notation import Weighed
from vaekit.objectives.objective import Step
from vaekit.objectives.penalty import LatentPenalty, OfOneLatent, Penalty
from vaekit.objectives.schedules import Schedule, schedule


class CodeNorm(LatentPenalty):
    r"""Half the squared length of the code, :math:`\frac{1}{2} \|z\|^2`.

    Of a code that is a point it is -log N(z; 0, I) up to a constant. Source: Ghosh et al., 2020.

    >>> CodeNorm(0.1, latent="z")
    CodeNorm(weight=Constant(value=0.1, steps=1), latent='z')
    """

    notation = "‖{z}‖² / 2"

    def loss(self, term: LatentTerm) -> Tensor:
        return over_coordinates(term.value.square()).mean(0) / 2


class GradientPenalty(OfOneLatent, Penalty):
    r"""The squared norm of the decoder's Jacobian, :math:`\| \partial E[x \mid z] / \partial z \|_F^2`, at the codes.

    Estimated without bias from one random direction v of x: :math:`E_v \|J^T v\|^2 = \|J\|_F^2`. The decoder runs once
    more for it.

    Args:
        weight: a number or a `Schedule`.
        latent: the name of the latent.

    Source: Ghosh et al., 2020 (RAE-GP).

    >>> GradientPenalty(0.01)
    GradientPenalty(weight=Constant(value=0.01, steps=1), latent='z')
    """

    def __init__(self, weight: float | Schedule = 1e-2, latent: str = "z") -> None:
        super().__init__(weight, latent)

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Tensor:
        with torch.enable_grad():
            code = trace.context[self.latent]
            code = code if code.requires_grad else code.detach().requires_grad_()
            mean = trace.model.likelihood({**trace.context, self.latent: code}).mean
            (along,) = torch.autograd.grad((mean * torch.randn_like(mean)).sum(), code, create_graph=True)
        return self.weight(step.count) * over_coordinates(along.square()).mean(0)

    def formula(self, name: str) -> Formula:
        weighed = Weighed.by(self.weight, "γ", f"‖∂E[x | {self.latent}] / ∂{self.latent}‖²")
        return Formula(name, "=", weighed.text, symbols=weighed.symbols)


class WeightDecay(Penalty):
    """Half the sum of squares of the likelihood's parameters: a decoder of small weights (RAE-L2).

    Source: Ghosh et al., 2020.

    >>> WeightDecay(1e-4)
    WeightDecay(weight=Constant(value=0.0001, steps=1))
    """

    def __init__(self, weight: float | Schedule = 1e-4) -> None:
        super().__init__()
        self.weight = schedule(weight)

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Tensor:
        squares = sum(parameter.square().sum() for parameter in trace.model.likelihood.parameters())
        return (self.weight(step.count) * squares / 2).expand(len(batch))

    def extra_repr(self) -> str:
        return f"weight={self.weight}"

    def formula(self, name: str) -> Formula:
        weighed = Weighed.by(self.weight, "γ", "‖weights of the likelihood‖² / 2")
        return Formula(name, "=", weighed.text, symbols=weighed.symbols)


class WeightPrior(Penalty):
    r"""A normal prior over the weights of all nets, :math:`w \sim N(0, 1 / (\tau \, \text{fan-in}))`: MAP for the nets.

    .. math:: \frac{1}{N} \sum_l \frac{\tau \, d_l}{2} \|W_l\|^2

    up to a constant, with d the inputs of a layer (linear or convolution; biases are free). As the data are N rows and
    the prior is one, each row bears 1/N of it: few rows make a simple model, many make it vanish.

    Args:
        num_data: N, the rows of the training data.
        precision: tau, a number or a `Schedule`; 1 keeps the sum over a layer's inputs of unit variance.

    Sources: MacKay, 1992; Neal, 1996 (scaling by the inputs).

    Raises `UsageError` for no rows.

    >>> WeightPrior(150, 0.1)
    WeightPrior(num_data=150, precision=Constant(value=0.1, steps=1))
    """

    def __init__(self, num_data: int, precision: float | Schedule = 0.1) -> None:
        super().__init__()
        if num_data < 1:
            raise UsageError(f"{num_data} rows of data: a prior over weights is shared by at least 1")
        self.num_data, self.precision = num_data, schedule(precision)

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Tensor:
        layers = (part.weight for part in trace.model.modules() if isinstance(part, nn.Linear | _ConvNd))
        squares = sum((weight[0].numel() * weight.square().sum() for weight in layers), torch.zeros(()))
        return (self.precision(step.count) * squares / (2 * self.num_data)).expand(len(batch))

    def extra_repr(self) -> str:
        return f"num_data={self.num_data}, precision={self.precision}"

    def formula(self, name: str) -> Formula:
        weighed = Weighed.by(self.precision, "τ", f"Σ_l d_l ‖W_l‖² / {2 * self.num_data}")
        inputs = Symbol("d_l", "how many inputs layer l has, with the weights W_l")
        return Formula(name, "=", weighed.text, symbols=(*weighed.symbols, inputs))
