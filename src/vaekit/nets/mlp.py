"""Fully connected nets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaekit.nets.parts import Activation, Normaliser, optional
from vaekit.nets.shapes import Size, check_shapes, check_widths


class LinearLayer(Protocol):
    """Makes a layer from vectors of one width to vectors of another: `nn.Linear`, `GatedLinear`."""

    def __call__(self, in_features: int, out_features: int, *, bias: bool) -> nn.Module:
        """Make the layer, with or without a bias."""
        ...


def flatten(x: Tensor) -> Tensor:
    """Events of any shape, scalars included, as vectors: `(n, *event)` to `(n, d)`.

    >>> flatten(torch.zeros(5, 1, 28, 28)).shape, flatten(torch.zeros(5)).shape
    (torch.Size([5, 784]), torch.Size([5, 1]))
    """
    return x.unsqueeze(-1).flatten(1)


def joined(inputs: Sequence[Tensor]) -> Tensor:
    """Events of several inputs as one vector for each example; a single input is not copied.

    >>> joined([torch.zeros(5, 1, 28, 28), torch.zeros(5, 10)]).shape
    torch.Size([5, 794])
    """
    vectors = [flatten(x) for x in inputs]
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=1)


class GatedLinear(nn.Module):
    """A linear layer with a learned gate on each of its units, `h = (W x + b) * sigmoid(V x + c)`.

    `(n, in_features)` to `(n, out_features)`. Source: Dauphin, Fan, Auli and Grangier, 2017; the hidden layer of
    Tomczak and Welling's VampPrior nets, 2018. At first the gates are half open and pass a quarter of the variance,
    so the weights start wider than PyTorch's, as He, Zhang, Ren and Sun (2015) have them for units that pass half.

    >>> GatedLinear(784, 300)(torch.zeros(5, 784)).shape
    torch.Size([5, 300])
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        # W over V in one matrix: one product instead of two, and the same initialisation, which depends on fan-in.
        self.linear = nn.Linear(in_features, 2 * out_features, bias=bias)
        nn.init.kaiming_uniform_(self.linear.weight, nonlinearity="relu")
        if bias:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The gated units of `x`."""
        return F.glu(self.linear(x), dim=-1)


class MLP(nn.Module):
    """A multilayer perceptron on its inputs, flattened and joined, with a last layer that is linear.

    `h_0 = [x_1, ..., x_k]`, `h_l = activation(normalisation(W_l h_{l-1} + b_l))`, `y = W h_L + b`. Inputs
    `(n, *in_shapes[i])`, output `(n, *out_shape)`. Weights start as those of its layers do. A layer that is normalised
    has no `b_l`, because the normalisation brings its own. With `hidden=()` the net is affine; with
    `linear=GatedLinear, activation=nn.Identity` it is the gated net.

    Raises `UsageError` for a width or a shape with a 0, and where there is no input.

    >>> encoder = MLP([(1, 28, 28), (10,)], (2, 20), hidden=[400])
    >>> encoder(torch.zeros(5, 1, 28, 28), torch.zeros(5, 10)).shape
    torch.Size([5, 2, 20])
    """

    def __init__(
        self,
        in_shapes: Sequence[Size],
        out_shape: Size,
        hidden: Sequence[int] = (),
        activation: Activation = nn.ReLU,
        normalisation: Normaliser | None = None,
        linear: LinearLayer = nn.Linear,
    ) -> None:
        super().__init__()
        check_shapes(in_shapes, out_shape)
        check_widths("hidden", hidden)
        self.out_shape = tuple(out_shape)
        widths = [sum(map(prod, in_shapes)), *hidden]
        self.layers = nn.Sequential()
        for fan_in, width in pairwise(widths):
            self.layers.append(linear(fan_in, width, bias=normalisation is None))
            self.layers.extend([*optional(normalisation, width), activation()])
        self.layers.append(nn.Linear(widths[-1], prod(out_shape)))

    def forward(self, *inputs: Tensor) -> Tensor:
        """The net's output for inputs in the order of `in_shapes`."""
        y: Tensor = self.layers(joined(inputs))
        return y.unflatten(1, self.out_shape) if self.out_shape else y.squeeze(1)


class Shortcut(nn.Module):
    """A net beside an affine map of the same inputs, `y = net(x) + A x + b`; at first the net adds nothing.

    A VAE of two such nets starts as a linear one, which is probabilistic PCA, and learns what that leaves over. The
    last layer of the net starts at 0. Sources: Tipping and Bishop, 1999; He, Zhang, Ren and Sun, 2016 (shortcuts).

    >>> net = Shortcut(MLP([(30,)], (2, 5), hidden=[64]), [(30,)])
    >>> x = torch.randn(7, 30)
    >>> torch.equal(net(x), net.affine(x))
    True
    """

    def __init__(self, net: MLP, in_shapes: Sequence[Size]) -> None:
        super().__init__()
        self.net, self.affine = net, MLP(in_shapes, net.out_shape)
        for parameter in net.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The sum of both, for inputs in the order of `in_shapes`."""
        y: Tensor = self.net(*inputs) + self.affine(*inputs)
        return y
