"""The exemplar prior: a mixture with one component at each training row."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.core.company import SINGLE, Company
from vaekit.core.conditional import Conditional
from vaekit.core.context import Context
from vaekit.core.meeting import ROW, Rows
from vaekit.core.notation import Formula, Symbol
from vaekit.families import positive
from vaekit.priors.normals import NormalsAround
from vaekit.priors.standard import EventShape, event_of_prior

ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Chosen:
    """Exemplars for a batch: their row numbers `(M,)`, which of them each row may see, `(batch, M)`, and the log of
    how many they stand for, `(batch,)`."""

    index: Tensor
    visible: Tensor
    log_total: Tensor


class Choice(ABC):
    """Which exemplars a training batch is held against; its own rows are always among them."""

    def __call__(self, row: Tensor, codes: Tensor) -> Chosen:
        """Choose for the rows of these numbers, `(batch,)`, of the codes of all rows, `(N, *event)`."""
        index = torch.cat([row, self.more(row, codes)])
        visible = ~_repeated(index) & (index != row.unsqueeze(1))
        return Chosen(index, visible, self.log_total(visible, codes))

    @abstractmethod
    def more(self, row: Tensor, codes: Tensor) -> Tensor:
        """Numbers of exemplars besides those of the batch."""

    @abstractmethod
    def log_total(self, visible: Tensor, codes: Tensor) -> Tensor:
        """The log of the number by which the sum over the visible ones is divided."""


@dataclass(frozen=True)
class Nearest(Choice):
    """The k nearest other rows of each row of the batch. What the sum leaves out is positive: it is a lower bound.

    The sum is over some, but divided by all N - 1, so it never exceeds the whole.
    """

    neighbours: int = 10

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise UsageError(f"{self.neighbours} neighbours: an exemplar prior needs at least 1")

    def more(self, row: Tensor, codes: Tensor) -> Tensor:
        flat = codes.flatten(1)
        distance = torch.cdist(flat[row], flat).scatter(1, row.unsqueeze(1), math.inf)
        nearest: Tensor = distance.topk(min(self.neighbours, len(codes) - 1), largest=False).indices
        return nearest.flatten()

    def log_total(self, visible: Tensor, codes: Tensor) -> Tensor:
        return codes.new_full((len(visible),), math.log(len(codes) - 1))


@dataclass(frozen=True)
class Subset(Choice):
    """Rows at random. The mean over those that a row sees has the mean over all N - 1 as its expectation.

    Its log is therefore a lower bound on average (Jensen), the closer the more there are.
    """

    size: int = 1000

    def __post_init__(self) -> None:
        if self.size < 2:
            raise UsageError(f"a subset of {self.size} exemplars: one row's own is left out, so take at least 2")

    def more(self, row: Tensor, codes: Tensor) -> Tensor:
        return torch.randperm(len(codes), device=codes.device)[: self.size]

    def log_total(self, visible: Tensor, codes: Tensor) -> Tensor:
        return visible.sum(1).to(codes).log()


def _repeated(index: Tensor) -> Tensor:
    """Which entries were already there earlier."""
    order = index.argsort(stable=True)
    ascending = index[order]
    again = torch.cat([torch.zeros_like(ascending[:1], dtype=torch.bool), ascending[1:] == ascending[:-1]])
    return torch.zeros_like(again).scatter(0, order, again)


class Shared:
    """The training rows, held once however often the model is copied, and wherever it is moved."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        self.rows, self.device = rows, device

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rows)

    def like(self, codes: Tensor, index: Tensor) -> Tensor:
        """The rows of these numbers where the codes are, and of their type."""
        return self.rows[index.to(self.device)].to(codes)

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


class ExemplarPrior(Conditional):
    r"""A mixture of equal normals around the codes of the training rows.

    .. math:: p(z) = \frac{1}{N} \sum_n N(z; \mu(x_n), \sigma^2 I)

    The means are the posterior's own, :math:`\mu(x_n) = E_{q(z \mid x_n)} z`, and the scale is one learned number. In
    training a row never sees itself, or the prior would put all its mass there: row n has :math:`\frac{1}{N - 1}
    \sum_{m \ne n}`, over the exemplars that `choice` picks. To evaluate, all exemplars count. The encoder is referred
    to, not owned, as in `VampPrior`.

    The training rows come with the run that fits the model, and their codes are saved with it. Until then the prior is
    one normal at 0.

    Args:
        encoder: q(z | x), the posterior of the same latent; it reads x alone.
        event_shape: shape of the latent.
        choice: the exemplars that a training batch is held against.

    Raises `UsageError` for an encoder that reads anything but x, and, in training, for a batch without row numbers.

    Source: Norouzi, Fleet and Norouzi, 2020.

    >>> from vaekit.core import Parametric
    >>> from vaekit.families import Normal
    >>> encoder = Parametric(nn.Linear(6, 4), Normal(), given="x")
    >>> prior = ExemplarPrior(encoder, 2)
    >>> prior.meet(torch.rand(50, 6))
    >>> prior.eval()({}).log_prob(torch.zeros(5, 3, 2)).shape
    torch.Size([5, 3])
    """

    company: Company = SINGLE
    codes: Tensor

    def __init__(self, encoder: Conditional, event_shape: EventShape, choice: Choice | None = None) -> None:
        super().__init__()
        if encoder.given != ("x",):
            raise UsageError(
                f"the encoder of an exemplar prior reads {', '.join(encoder.given)}: it has to read x alone"
            )
        self._elsewhere = (encoder,)
        self.choice = Nearest() if choice is None else choice
        self.raw = nn.Parameter(torch.zeros(()))
        self.register_buffer("codes", torch.zeros(0, *event_of_prior(event_shape)))
        self._shared: Shared | None = None
        self._seen: object = None
        self.register_state_dict_pre_hook(_settled)  # type: ignore[no-untyped-call]

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the components."""
        return positive(self.raw)

    def meet(self, rows: Rows) -> None:
        """Take these rows as the exemplars."""
        if len(rows) < 2:
            raise DataError(f"{len(rows)} training rows: an exemplar prior leaves one out and needs another")
        self._shared = Shared(rows, self.codes.device)
        self._encode_all(self._shared)

    def forward(self, context: Context) -> NormalsAround:
        if self.training and self._shared is not None and "x" in context:
            return self._leaving_one_out(context, self._shared)
        self.settle()
        means = self.codes if len(self.codes) else self.codes.new_zeros(1, *self.codes.shape[1:])
        return NormalsAround(means, self.scale)

    def train(self, mode: bool = True) -> ExemplarPrior:
        """Set the mode. What is learned in training makes codes stale; fused optimisers leave no other trace of it."""
        if mode:
            self._seen = None
        return super().train(mode)

    def settle(self) -> None:
        """In evaluation, bring the codes up to date with the encoder's weights."""
        if self._shared is not None and not self.training and self._seen != self._weights():
            with seeded(0, self.codes.device):
                self._encode_all(self._shared)

    def _leaving_one_out(self, context: Context, rows: Shared) -> NormalsAround:
        if ROW not in context:
            raise UsageError(
                f"an exemplar prior leaves each training row out of its own prior: pass given={{{ROW!r}: row numbers}}"
            )
        row = context[ROW].squeeze(0)
        chosen = self.choice(row, self.codes)
        means = self._means(rows, chosen.index)
        learnt = self.company.gathered(means[: len(row)].detach())
        self.codes.index_copy_(0, self.company.gathered(row), learnt)
        return NormalsAround(means, self.scale, chosen.visible, chosen.log_total)

    def _encode_all(self, rows: Shared) -> None:
        numbers = torch.arange(len(rows), device=self.codes.device)
        with torch.no_grad():
            self.codes = torch.cat([self._means(rows, part) for part in numbers.split(ROWS_AT_ONCE)])
        self._seen = self._weights()

    def _means(self, rows: Shared, index: Tensor) -> Tensor:
        (encoder,) = self._elsewhere
        means: Tensor = encoder({"x": rows.like(self.codes, index).unsqueeze(0)}).mean
        return means.squeeze(0)

    def _weights(self) -> object:
        """What changes whenever the encoder's weights do."""
        (encoder,) = self._elsewhere
        return tuple((value.data_ptr(), value._version) for value in encoder.state_dict(keep_vars=True).values())

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Make room for as many codes as were saved."""
        saved = state_dict.get(f"{prefix}codes")
        if saved is not None:
            self.codes = self.codes.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return f"exemplars={len(self.codes)}, event={tuple(self.codes.shape[1:])}, choice={self.choice}"

    def formula(self, name: str) -> Formula:
        rows = Symbol("xₙ", "training rows; in training a row leaves itself out")
        mean = Symbol("μ(xₙ)", f"mean of q({name} | xₙ)", tuple(self.codes.shape[1:]))
        scale = Symbol("σ", "one scale for all exemplars, learned", ())
        return Formula(name, "~", "1/N Σₙ N(μ(xₙ), σ² I)", symbols=(rows, mean, scale))


def _settled(prior: ExemplarPrior, prefix: str, keep_vars: bool) -> None:
    """What is saved of a model in evaluation is up to date."""
    prior.settle()
