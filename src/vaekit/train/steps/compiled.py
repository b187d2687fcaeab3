"""Compiled gradients: an objective's terms and their gradients as one function of tensors, compiled as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value
from torch.fx.experimental.proxy_tensor import make_fx

from vaekit.common.errors import UsageError, first_line
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch
from vaekit.objectives import Objective, Step, Terms
from vaekit.train.steps.joint import Joint

Tensors = dict[str, Tensor]
Flat = tuple[Tensor, Tensor, Tensors]
"""The value, the log-likelihood and the KLs of `Terms`."""
Gradients = Callable[[Batch, Step], Terms]
"""The terms of a batch; the gradients are left at the weights."""
Traced = Callable[..., tuple[Tensors, tuple[Tensor, Flat]]]


class Compiled:
    """Gradients that are compiled where they can be; others, of another shape too, are made as they would be without.

    `words` says which way was taken, once there was a batch.
    """

    def __init__(self, model: VAE, objective: Objective, otherwise: Gradients) -> None:
        self.otherwise = otherwise
        self.words = "compiled"
        self._compiled: CompiledGradients | None = None
        try:
            self._compiled = CompiledGradients(model, objective)
        except UsageError as error:
            self._give_up(error)

    def __call__(self, batch: Batch, step: Step) -> Terms:
        if self._compiled is None or not self._compiled.fits(batch):
            return self.otherwise(batch, step)
        if self._compiled.ready:
            return self._compiled(batch, step)
        try:
            self._compiled.compile(batch, step)
        except Exception as error:
            self._give_up(error)
        return self(batch, step)

    def _give_up(self, error: Exception) -> None:
        self._compiled = None
        self.words = f"not compiled ({first_line(error)})"


class CompiledGradients:
    """The terms of a batch, with the gradient of their mean value left at the parameters, as `backward` leaves it.

    What the objective does is traced once, forward and backward, into one graph of tensor operations, and that graph
    is compiled: no Python is left in it, so that whatever can be traced can be compiled, flows too. Draws are those
    of torch's generator, as without compiling. It serves batches of the shape that it first saw, and no others.

    Raises `UsageError` for an objective with a rival, and for parts that learn outside the gradient.
    """

    def __init__(self, model: VAE, objective: Objective) -> None:
        if objective.rivals():
            raise UsageError("the objective has an adversary: its two gradients are not compiled as one")
        self.joint = Joint(model, objective)
        self.parameters = {name: weight for name, weight in self.joint.named_parameters() if weight.requires_grad}
        self._compiled: Traced | None = None
        self._points: tuple[str, ...] = ()
        self._shapes: Mapping[str, torch.Size] = {}

    def fits(self, batch: Batch) -> bool:
        """Whether the batch has the shape that is compiled, or is the first."""
        return self._compiled is None or _shapes(batch) == self._shapes

    @property
    def ready(self) -> bool:
        """Whether it is compiled."""
        return self._compiled is not None

    def compile(self, batch: Batch, step: Step) -> None:
        """Trace and compile for batches like this one; takes seconds on a CPU, up to a minute on a GPU."""
        inputs = self._inputs(batch, step)
        with seeded(0, batch.x.device):
            self._refuse_what_learns_by_itself(inputs)
            graph = make_fx(self._gradients, tracing_mode="real")(*inputs)
            compiled: Traced = torch.compile(graph, fullgraph=True, options={"fallback_random": True})
            compiled(*inputs)
        self._compiled, self._shapes = compiled, _shapes(batch)

    def __call__(self, batch: Batch, step: Step) -> Terms:
        assert self._compiled is not None, "gradients are compiled before they are asked for"
        gradients, (_, (value, log_likelihood, kl)) = self._compiled(*self._inputs(batch, step))
        for name, weight in self.parameters.items():
            weight.grad = gradients[name]
        return Terms(value, log_likelihood, kl, points=self._points)

    def _inputs(self, batch: Batch, step: Step) -> tuple[Any, ...]:
        return self.parameters, dict(self.joint.named_buffers()), batch.x, dict(batch.given), step.count

    @property
    def _gradients(self) -> Traced:
        """The function that is compiled."""

        def loss(weights: Tensors, buffers: Tensors, x: Tensor, given: Tensors, count: Tensor) -> tuple[Tensor, Flat]:
            terms = functional_call(self.joint, (weights, buffers), (Batch(x, given), Step(count)))
            kl = {name: value.detach() for name, value in terms.kl.items()}
            self._points = terms.points
            return -terms.value.mean(), (terms.value.detach(), terms.log_likelihood.detach(), kl)

        return grad_and_value(loss, has_aux=True)

    def _refuse_what_learns_by_itself(self, inputs: tuple[Any, ...]) -> None:
        weights, buffers, *batch = inputs
        copies = {name: buffer.clone() for name, buffer in buffers.items()}
        self._gradients(weights, copies, *batch)
        for name, buffer in buffers.items():
            if not torch.equal(copies[name], buffer):
                raise UsageError(f"{name} learns outside the gradient, which a compiled gradient cannot hold")


def _shapes(batch: Batch) -> dict[str, torch.Size]:
    return {"x": batch.x.shape, **{name: value.shape for name, value in batch.given.items()}}
