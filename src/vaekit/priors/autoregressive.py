"""An autoregressive prior over codes: each given those before it."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.core.notation import Formula, Symbol, density
from vaekit.families.codes import Codes
from vaekit.nets.transformer import CausalTransformer
from vaekit.priors.codes import OfCodes, Sequences
from vaekit.priors.standard import EventShape


class OneByOne(Sequences):
    """Every digit by what a net says of it, given those before it."""

    def __init__(self, net: CausalTransformer) -> None:
        self.net = net

    def log_prob(self, indices: Tensor) -> Tensor:
        log_probs = self.net(indices).log_softmax(-1)
        chosen: Tensor = log_probs.gather(-1, indices.unsqueeze(-1))
        return chosen.sum((-2, -1))

    def draw(self, n: int, device: torch.device) -> Tensor:
        return self.net.draw(n)


class Autoregressive(OfCodes):
    r"""Each code given those before it, :math:`p(z) = \prod_i p(c_i \mid c_{<i})`, by a causal transformer.

    Over the codes of a `Quantize` posterior, over one-hot classes (`Classes(K)`) or over bits (`Bits(D)`). Through a
    code there is no gradient from the prior to the encoder, so it may learn along with the model without disturbing
    it. To fit it afterwards, or some more, fit the model once again with its posterior and its likelihood frozen by
    `requires_grad_(False)`: codes do not move while the encoder does not.

    Args:
        codes: what the latent's vectors are.
        event_shape: shape of the latent.
        width, layers, heads: those of the `CausalTransformer`.

    Source: van den Oord, Vinyals and Kavukcuoglu, 2017.

    >>> from torch import Size
    >>> from vaekit.families.codes import Classes
    >>> prior = Autoregressive(Classes(10), (10, 4), width=16, layers=1)
    >>> prior({}).expand(Size((1, 5))).sample().shape, prior({}).log_prob(prior({}).sample()).shape
    (torch.Size([1, 5, 10, 4]), torch.Size([1, 1]))
    """

    def __init__(
        self, codes: Codes, event_shape: EventShape, width: int = 128, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__(codes, event_shape)
        self.net = CausalTransformer(self.length, codes.codes, width, layers, heads)

    def law(self) -> Sequences:
        return OneByOne(self.net)

    def formula(self, name: str) -> Formula:
        digits = Symbol("cᵢ", f"digits of the codes of {name}, each below {self.codes.codes}", (self.length,))
        return Formula(density("p", name, ()), "=", "Πᵢ p(cᵢ | c₁ … cᵢ₋₁), by a causal transformer", symbols=(digits,))
