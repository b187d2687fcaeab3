"""Categories: codes, one-hot vectors, and levels in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid, one_hot

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD
from vaekit.core.density import Density
from vaekit.core.family import Family, over_event
from vaekit.core.notation import at, term
from vaekit.families.scalars import NO_SHAPE, Scalars, Shape
from vaekit.families.scale import positive, unpositive
from vaekit.families.special import log_logistic_mass
from vaekit.families.supports import OneHotAlong


def levels_last(params: Tensor, levels: int) -> Tensor:
    """Parameters in `levels` blocks along the first event axis, `(..., K * C, *rest)` to `(..., C, *rest, K)`."""
    blocks: Tensor = params.unflatten(LEAD, (levels, -1))
    return blocks.movedim(LEAD, -1)


def require_levels(levels: int, what: str) -> int:
    """The number of levels, refused where there are less than 2 of them."""
    if levels < 2:
        raise UsageError(f"{levels} levels: {what} needs at least 2")
    return levels


class Categorical(Family):
    r"""Independent codes 0, 1, ..., K - 1 without an order, :math:`p(x = k) = e^{l_k} / \sum_j e^{l_j}`.

    Parameters are the logits, K blocks. The distribution's mean is that of the code as a number.

    Raises `UsageError` for less than 2 levels.

    >>> family = Categorical(3)
    >>> family.width(Size((2,)))
    6
    >>> family(torch.zeros(1, 1, 6)).log_prob(torch.tensor([0.0, 2.0])).exp()  # 1/3 of 1/3
    tensor([[0.1111]])
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = require_levels(levels, "a category")

    def width(self, event_shape: Size) -> int:
        return self.levels * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return over_event(CodeDistribution(levels_last(params, self.levels)))

    def written(self, reads: str) -> str:
        return f"Categorical({at('π', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.levels - 1)

    def density(self, x: Tensor) -> Density:
        return Density(f"codes 0 to {self.levels - 1}", "probability mass")

    def extra_repr(self) -> str:
        return str(self.levels)


class OneHot(Family):
    r"""One of K categories as a 1 among 0s along the first event axis; the axes behind it are independent.

    .. math:: p(x) = \prod_k \bigl(e^{l_k} / \sum_j e^{l_j}\bigr)^{x_k}

    Parameters are the logits l, of the shape of x.

    Args:
        axes: how many axes an event has: 1 for a vector, 3 for a map of classes.

    Raises `UsageError` for less than one axis.

    >>> OneHot()(torch.zeros(1, 1, 4)).log_prob(torch.tensor([0.0, 1.0, 0.0, 0.0])).exp()
    tensor([[0.2500]])
    """

    over_vectors = True

    def __init__(self, axes: int = 1) -> None:
        super().__init__()
        if axes < 1:
            raise UsageError(f"{axes} axes: a one-hot vector has at least 1")
        self.axes = axes

    def width(self, event_shape: Size) -> int:
        if len(event_shape) != self.axes:
            raise UsageError(f"one-hot over {self.axes} axes cannot explain an event of shape {tuple(event_shape)}")
        return event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return OneHotDistribution(params, self.axes)

    def written(self, reads: str) -> str:
        return f"OneHot({at('π', reads)})"

    @property
    def support(self) -> Constraint:
        return OneHotAlong(-self.axes)

    def density(self, x: Tensor) -> Density:
        return Density("one-hot categories", "probability mass")

    def extra_repr(self) -> str:
        return f"axes={self.axes}"


class Cutpoints(nn.Module, ABC):
    """Where the K - 1 cutpoints of an ordinal come from. They start where all levels are equally likely."""

    start: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = require_levels(levels, "an order")
        cuts = torch.logit(torch.arange(1, levels) / levels)
        self.register_buffer("start", torch.cat([cuts[:1], unpositive(cuts.diff())]), persistent=False)

    @property
    @abstractmethod
    def blocks(self) -> int:
        """How many blocks of the event's size the parameters have."""

    @abstractmethod
    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """The first cutpoint less the score, `(..., C, *rest)`, and the gaps before `positive`, with K - 2 behind."""


class LearnedCutpoints(Cutpoints):
    """Learned cutpoints, one set for all coordinates or one for each; the net gives each coordinate's score.

    >>> LearnedCutpoints(levels=5, event_shape=(3,)).blocks
    1
    """

    blocks = 1

    def __init__(self, levels: int, event_shape: Size | tuple[int, ...] = ()) -> None:
        super().__init__(levels)
        self.raw = nn.Parameter(self.start.expand(*event_shape, levels - 1).clone())

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        first, gaps = self.raw[..., 0], self.raw[..., 1:]
        return first - params, gaps.expand(*params.shape, -1)

    def written(self, reads: str) -> str:
        return f"score {at('s', reads)}, cutpoints c"


class PredictedCutpoints(Cutpoints):
    """The net gives each coordinate its own cutpoints: the first, then the gaps.

    >>> PredictedCutpoints(levels=5).blocks
    4
    """

    @property
    def blocks(self) -> int:
        """One for each cutpoint."""
        return self.levels - 1

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        raw = levels_last(params, self.blocks) + self.start
        return raw[..., 0], raw[..., 1:]

    def written(self, reads: str) -> str:
        return f"cutpoints {at('c', reads)}"


class Ordinal(Family):
    r"""Independent levels 0 < 1 < ... < K - 1 in an order: where a logistic score falls between cutpoints.

    .. math:: p(x \le k) = \sigma(c_k - s), \qquad c_0 < c_1 < \ldots < c_{K - 2}

    Parameters are the scores s, or what the cutpoints need: an object, `LearnedCutpoints` or `PredictedCutpoints`.
    The distribution's mean is that of the level as a number.

    Source: McCullagh, 1980 (the proportional odds model).

    >>> family = Ordinal(LearnedCutpoints(4))
    >>> round(family(torch.zeros(1, 1, 1)).log_prob(torch.tensor([3.0])).exp().item(), 4)  # all alike to begin with
    0.25
    """

    def __init__(self, cutpoints: Cutpoints) -> None:
        super().__init__()
        self.cutpoints = cutpoints

    def width(self, event_shape: Size) -> int:
        return self.cutpoints.blocks * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        first, gaps = self.cutpoints(params)
        return over_event(CodeDistribution(ordinal_log_masses(first, positive(gaps))))

    def written(self, reads: str) -> str:
        return f"Ordinal({term(self.cutpoints, reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.cutpoints.levels - 1)

    def density(self, x: Tensor) -> Density:
        return Density(f"levels 0 to {self.cutpoints.levels - 1}", "probability mass")


def ordinal_log_masses(first: Tensor, gaps: Tensor) -> Tensor:
    """The log-masses of K levels, from the first cutpoint less the score `(...)` and K - 2 gaps `(..., K - 2)`."""
    start = first.unsqueeze(-1)
    cuts = torch.cat([start, start + gaps.cumsum(-1)], -1)
    between = log_logistic_mass(cuts[..., 1:], cuts[..., :-1], gaps)
    return torch.cat([logsigmoid(start), between, logsigmoid(-cuts[..., -1:])], -1)


class Levels(Scalars):
    """Independent values k / top by the logits of the levels k = 0, 1, ..., K - 1, `(..., K)`."""

    top: ClassVar[float]
    """The level at which the value is 1."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape[:-1])

    def expand(self, batch_shape: Shape, _instance: None = None) -> Levels:
        """The same distribution with its logits broadcast."""
        return type(self)(self.logits.expand(*batch_shape, -1))

    def log_inside(self, value: Tensor) -> Tensor:
        level = (value * self.top).round().long().unsqueeze(-1)
        lead = torch.broadcast_shapes(level.shape[:-1], self.logits.shape[:-1])
        chosen = self.logits.expand(*lead, -1).gather(-1, level.expand(*lead, 1)).squeeze(-1)
        return chosen - self.logits.logsumexp(-1)

    @property
    def _values(self) -> Tensor:
        return torch.arange(self.logits.shape[-1], device=self.logits.device).to(self.logits.dtype) / self.top

    @property
    def probs(self) -> Tensor:
        """The probability of each level, `(..., K)`."""
        return self.logits.softmax(-1)

    @property
    def mean(self) -> Tensor:
        """The mean of the value."""
        return self.probs @ self._values

    @property
    def variance(self) -> Tensor:
        """The variance of the value."""
        centred: Tensor = self._values - self.mean.unsqueeze(-1)
        return (self.probs * centred.square()).sum(-1)

    def drawn(self, shape: Size) -> Tensor:
        logits = self.logits.expand(*shape, -1)
        level: Tensor = TorchCategorical(logits=logits, validate_args=False).sample()
        return level.to(logits.dtype) / self.top


class CodeDistribution(Levels):
    """Independent codes 0, 1, ..., K - 1 by their logits, `(..., K)`."""

    top = 1.0

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        """The codes."""
        return constraints.integer_interval(0, self.logits.shape[-1] - 1)


class OneHotDistribution(Distribution):
    """One-hot vectors along the first of the last `axes` axes, by their logits."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_enumerate_support = True

    def __init__(self, logits: Tensor, axes: int) -> None:
        self.logits, self.axes = logits, axes
        super().__init__(logits.shape[:-axes], logits.shape[-axes:], validate_args=False)

    def expand(self, batch_shape: Shape, _instance: None = None) -> OneHotDistribution:
        """The same distribution with its logits broadcast."""
        return OneHotDistribution(self.logits.expand(*batch_shape, *self.event_shape), self.axes)

    @property
    def support(self) -> Constraint:
        """Vectors with a single 1."""
        return OneHotAlong(-self.axes)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-mass, summed over the axes behind the vectors; -inf for what is not one-hot."""
        masses = (value * self.logits.log_softmax(-self.axes)).sum(-self.axes, keepdim=True)
        inside = self.support.check(value).narrow(-self.axes, 0, 1)
        return torch.where(inside, masses, -torch.inf).flatten(-self.axes).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The probability of each category."""
        return self.logits.softmax(-self.axes)

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate of the vector."""
        return self.mean * (1 - self.mean)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every category in its turn, `(K, *batch or 1s, *event)`; for events of one axis, as others have too many."""
        if self.axes != 1:
            raise NotImplementedError(f"maps of shape {tuple(self.event_shape)} have too many values to list")
        every = torch.eye(self.event_shape[0], dtype=self.logits.dtype, device=self.logits.device)
        every = every.reshape(-1, *[1] * len(self.batch_shape), *self.event_shape)
        return every.expand(-1, *self.batch_shape, -1) if expand else every

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """One-hot vectors, without a gradient."""
        with torch.no_grad():
            logits = self.logits.movedim(-self.axes, -1)
            code = TorchCategorical(logits=logits, validate_args=False).sample(Size(sample_shape))
            return one_hot(code, logits.shape[-1]).movedim(-1, -self.axes).to(logits.dtype)
