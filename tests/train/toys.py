"""Small things to train, whose course is known by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.core import VAE, Batch, Conditional, Context
from vaekit.data import Dataset, Encoding, Greys
from vaekit.objectives import Objective, Step, Terms
from vaekit.train import Epoch, Plan, Resident, Watcher

CPU = torch.device("cpu")


class Centre(Conditional):
    """N(m, I), with m learned: without latents its best m is the mean of the data."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(dimensions))

    def forward(self, context: Context) -> Distribution:
        centred = Normal(self.m.expand(1, 1, -1), 1.0, validate_args=False)
        return Independent(centred, 1, validate_args=False)


def centre_model(dimensions: int = 2) -> VAE:
    return VAE(Centre(dimensions))


def weights_of(model: VAE) -> Tensor:
    """The learned m, as it is now."""
    likelihood = model.likelihood
    assert isinstance(likelihood, Centre)
    return likelihood.m.detach().clone()


class Pull(Objective):
    """w . m, with w given: its gradient is w at every step, whatever the data."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.register_buffer("w", w)

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        likelihood = model.likelihood
        assert isinstance(likelihood, Centre)
        value = (self.w * likelihood.m).sum().expand(len(batch))
        return Terms(value, value, {})


class FirstValue(Objective):
    """The first value of each row, plus nothing that matters of the weights."""

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        value = batch.x[:, 0] + 0 * sum(weight.sum() for weight in model.parameters())
        return Terms(value, value, {})


class Follow(Watcher):
    """Keeps the model's weights after each step, and what was said of the run."""

    def __init__(self, model: VAE) -> None:
        self.model = model
        self.weights = [weights_of(model)]
        self.sizes: list[int] = []
        self.said: list[str] = []
        self.seen: list[Epoch] = []
        self.plan: Plan | None = None

    def begin(self, plan: Plan) -> None:
        self.plan = plan
        self.said.append("begin")

    def batch(self, examples: int) -> None:
        self.weights.append(weights_of(self.model))
        self.sizes.append(examples)

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        self.said.append(f"epoch {epoch.number}")
        self.seen.append(epoch)

    def end(self) -> None:
        self.said.append("end")

    @property
    def moves(self) -> Tensor:
        """How far the weights went at each step, (step, dimension)."""
        return torch.stack(self.weights).diff(dim=0)


def rows(x: Tensor, batch_size: int = 4) -> Resident:
    return Resident(Dataset(x.float()), Encoding(Greys()), batch_size, CPU)
