"""Vector quantisation: a posterior that is a point, on the code nearest to what the encoder says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.company import SINGLE, Company
from vaekit.core.context import LEAD
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import at, words_of
from vaekit.families.codes import OnCodes, require_dimensions
from vaekit.families.straight_through import carried

NONE = Size()


class Quantised(NamedTuple):
    """Vectors `(..., dimensions)` before and after quantisation; the gradient of `hard` is passed on to `soft`."""

    soft: Tensor
    hard: Tensor
    share: float = 1.0
    """Of the gradient that is passed on: less than all where several codes were read off the same vector."""


class Quantizer(nn.Module, ABC):
    """Maps vectors `(..., inputs)` to codes `(..., dimensions)`, and codes to digits and back: it is `Codes`."""

    inputs: int
    """Length of the vectors it reads."""
    dimensions: int
    """Length of a code."""
    codes: int
    """How many values a digit has."""
    digits: int
    """How many digits tell a code."""

    @abstractmethod
    def forward(self, vectors: Tensor) -> Quantised:
        """The codes of vectors; in training it may learn from them."""

    @abstractmethod
    def indices(self, vectors: Tensor) -> Tensor:
        """The digits of the codes nearest to vectors, `(..., dimensions)` to `(..., digits)`."""

    @abstractmethod
    def vectors(self, indices: Tensor) -> Tensor:
        """The codes of digits, `(..., digits)` to `(..., dimensions)`."""


class Codebook(Quantizer):
    r"""A table of K codes, each the moving average of the vectors that it stood for.

    .. math:: N_k \leftarrow \gamma N_k + (1 - \gamma) n_k, \qquad
        m_k \leftarrow \gamma m_k + (1 - \gamma) \sum_{i \in k} v_i, \qquad e_k = m_k / N_k

    What a batch teaches is in the codes from the next batch on, so that all of one trace is told by the same codes. A
    code that stands for less than `revive` of an even share of the vectors is dead: it moves to a vector of the batch.
    So do all of them at the first batch. Only in training mode do they learn, and only along with the encoder.

    Args:
        codes: K.
        dimensions: length of a code.
        decay: gamma.
        revive: share of an even share below which a code is dead; 0 for never, but for the first batch.

    Sources: van den Oord, Vinyals and Kavukcuoglu, 2017; Dhariwal et al., 2020 (restart of dead codes).

    Raises `UsageError` for less than 2 codes, no dimensions, and a decay outside (0, 1).

    >>> book = Codebook(codes=2, dimensions=1)
    >>> _ = book.table.copy_(torch.tensor([[0.0], [1.0]]))
    >>> book(torch.tensor([[0.2], [0.9]])).hard.flatten()
    tensor([0., 1.])
    """

    digits = 1
    learns_when_run = True
    company: Company = SINGLE
    table: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, codes: int = 512, dimensions: int = 64, decay: float = 0.99, revive: float = 0.03) -> None:
        super().__init__()
        if codes < 2 or dimensions < 1:
            raise UsageError(f"{codes} codes of length {dimensions}: there are at least 2, of length 1")
        if not 0 < decay < 1:
            raise UsageError(f"a decay of {decay}: it lies between 0 and 1")
        self.codes, self.dimensions, self.inputs = codes, dimensions, dimensions
        self.decay, self.revive = decay, revive
        self.register_buffer("table", torch.randn(codes, dimensions))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, dimensions))

    def forward(self, vectors: Tensor) -> Quantised:
        if self.training and vectors.requires_grad and torch.is_grad_enabled():
            with torch.no_grad():
                self._learn(self.company.gathered(vectors.detach().reshape(-1, self.dimensions)))
        return Quantised(vectors, self.vectors(self.indices(vectors)))

    def _learn(self, vectors: Tensor) -> None:
        """Take over what the batches before have taught, then count this one."""
        self._renew(vectors)
        belongs = torch.nn.functional.one_hot(self.indices(vectors).squeeze(-1), self.codes).to(vectors.dtype)
        self.counts.lerp_(belongs.sum(0), 1 - self.decay)
        self.sums.lerp_(belongs.mT @ vectors, 1 - self.decay)

    def _renew(self, vectors: Tensor) -> None:
        """Codes from their averages; dead ones move to vectors of the batch, with an even share of the count."""
        share = len(vectors) / self.codes
        dead = (self.counts <= self.revive * share).unsqueeze(-1)
        found = self.company.agreed(vectors[torch.randint(len(vectors), (self.codes,), device=vectors.device)])
        self.sums.copy_(torch.where(dead, found * share, self.sums))
        self.counts.copy_(torch.where(dead.squeeze(-1), torch.full_like(self.counts, share), self.counts))
        self.table.copy_(self.sums / self.counts.unsqueeze(-1))

    @torch.no_grad()
    def indices(self, vectors: Tensor) -> Tensor:
        """The index of the nearest code."""
        centre = self.table.mean(0)  # subtracted, so that vectors far from 0 keep their digits
        flat, table = vectors.reshape(-1, self.dimensions) - centre, self.table - centre
        distance = table.square().sum(-1) - 2 * flat @ table.mT
        return distance.argmin(-1).reshape(*vectors.shape[:-1], 1)

    def vectors(self, indices: Tensor) -> Tensor:
        """Rows of the table."""
        return self.table[indices.squeeze(-1)]

    def extra_repr(self) -> str:
        return f"codes={self.codes}, dimensions={self.dimensions}, decay={self.decay}, revive={self.revive}"

    @property
    def words(self) -> str:
        """What the codes are."""
        return f"{self.codes} learned codes"


class ResidualCodebook(Quantizer):
    """Several codebooks, each of which quantises what those before it left over.

    A code is what all of them say, one block each, so that it is told by as many digits: `depth * dimensions` of it
    against `dimensions` of what is read. A decoder adds the blocks up, or does better; each passes on its share of the
    gradient.

    Args:
        depth: how many codebooks.
        codes, dimensions, decay, revive: those of each `Codebook`.

    Source: Zeghidour et al., 2021 (SoundStream); Lee et al., 2022 (RQ-VAE).

    Raises `UsageError` for a depth below 1.

    >>> ResidualCodebook(depth=2, codes=16, dimensions=8)(torch.randn(5, 8)).hard.shape
    torch.Size([5, 16])
    """

    def __init__(
        self, depth: int = 4, codes: int = 512, dimensions: int = 64, decay: float = 0.99, revive: float = 0.03
    ) -> None:
        super().__init__()
        if depth < 1:
            raise UsageError(f"a residual quantiser of {depth} codebooks: it needs at least 1")
        self.books = nn.ModuleList(Codebook(codes, dimensions, decay, revive) for _ in range(depth))
        self.inputs, self.codes, self.digits = dimensions, codes, depth
        self.dimensions = depth * dimensions

    def forward(self, vectors: Tensor) -> Quantised:
        soft, hard = [vectors], list[Tensor]()
        for book in self.books:
            hard.append(book(soft[-1]).hard)
            soft.append(soft[-1] - hard[-1])
        return Quantised(torch.cat(soft[:-1], -1), torch.cat(hard, -1), share=1 / len(hard))

    def indices(self, vectors: Tensor) -> Tensor:
        """The nearest code of each block, in the book of the block."""
        blocks = vectors.chunk(len(self.books), -1)
        return torch.cat([book.indices(block) for book, block in self._pairs(blocks)], -1)

    def vectors(self, indices: Tensor) -> Tensor:
        """The codes of each book, as blocks."""
        blocks = indices.split(1, -1)
        return torch.cat([book.vectors(block) for book, block in self._pairs(blocks)], -1)

    def _pairs(self, blocks: Sequence[Tensor]) -> list[tuple[Codebook, Tensor]]:
        return [(book, block) for book, block in zip(self.books, blocks, strict=True) if isinstance(book, Codebook)]

    @property
    def words(self) -> str:
        """What the codes are."""
        return f"{self.digits} × {self.codes} learned codes"


class FiniteScalar(Quantizer):
    r"""A grid in the place of a table: each coordinate is squashed and rounded to one of a few levels.

    .. math:: \mathrm{round}\bigl(h \tanh(z + s) - o\bigr) / \lfloor L / 2 \rfloor

    with h half the range of L levels, o = 1/2 for an even L and else 0, and the shift s = tan(o / h), by which 0 stays
    about 0. The product of the levels is the number of codes, none of which is learned or can die. It needs no
    commitment.

    Args:
        levels: L for each coordinate, such as (8, 5, 5, 5) for 1000 codes.

    Source: Mentzer, Minnen, Agustsson and Tschannen, 2023.

    Raises `UsageError` for no coordinates and for less than 2 levels.

    >>> grid = FiniteScalar((3, 2))
    >>> sorted({tuple(code) for code in grid(3 * torch.randn(200, 2)).hard.tolist()})
    [(-1.0, -1.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 0.0), (1.0, -1.0), (1.0, 0.0)]
    """

    digits = 1
    MARGIN = 1e-3
    """How far the squashed values stay from a half beyond the outermost levels."""
    sizes: Tensor
    places: Tensor

    def __init__(self, levels: Sequence[int] = (8, 5, 5, 5)) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise UsageError(f"levels = {tuple(levels)}: give at least one coordinate, and each at least 2 levels")
        self.levels = tuple(levels)
        self.inputs = self.dimensions = len(self.levels)
        sizes = torch.tensor(self.levels)
        self.codes = int(sizes.prod())
        self.register_buffer("sizes", sizes, persistent=False)
        places = torch.cat([sizes.new_ones(1), sizes.cumprod(0)[:-1]])
        self.register_buffer("places", places, persistent=False)

    def forward(self, vectors: Tensor) -> Quantised:
        half = (self.sizes - 1) * (1 + self.MARGIN) / 2
        offset = (1 - self.sizes % 2) / 2
        squashed = half * torch.tanh(vectors + torch.tan(offset / half)) - offset
        lowest = -(self.sizes // 2)
        rounded = squashed.detach().round().clamp(min=lowest, max=lowest + self.sizes - 1)
        return Quantised(squashed / (self.sizes // 2), rounded / (self.sizes // 2) + 0.0)

    def indices(self, vectors: Tensor) -> Tensor:
        """The levels, as digits of one number."""
        levels = (vectors.detach() * (self.sizes // 2)).round().long() + self.sizes // 2
        return (levels.clamp(min=0).minimum(self.sizes - 1) * self.places).sum(-1, keepdim=True)

    def vectors(self, indices: Tensor) -> Tensor:
        """The levels, from their place in the number."""
        half = self.sizes // 2
        return ((indices // self.places) % self.sizes - half) / half

    def extra_repr(self) -> str:
        return f"levels={self.levels}"

    @property
    def words(self) -> str:
        """What the codes are."""
        return f"a grid of {' × '.join(map(str, self.levels))} codes"


class Quantize(Family):
    r"""A posterior that is sure: a point on the code nearest to what the encoder says, :math:`q(z \mid x) = 1`.

    An event `(D, *positions)` holds a code at each position. The gradient by the code is passed on to the encoder, as
    if it had been said itself. With a prior over the codes the ELBO is a bound; with a uniform one its KL is the
    constant log K for each digit. Add `Commitment`, by which the encoder keeps to the codes.

    Args:
        quantizer: `Codebook`, `ResidualCodebook` or `FiniteScalar`.

    Source: van den Oord, Vinyals and Kavukcuoglu, 2017.

    Raises `UsageError` for an event whose first axis is not as long as the codes.

    >>> posterior = Quantize(Codebook(codes=16, dimensions=8))(torch.randn(1, 5, 8, 7, 7))
    >>> posterior.rsample().shape, float(posterior.log_prob(posterior.rsample()).sum())
    (torch.Size([1, 5, 8, 7, 7]), 0.0)
    """

    over_vectors = True
    biased = True

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def width(self, event_shape: Size) -> int:
        require_dimensions(self.quantizer, event_shape)
        return self.quantizer.inputs

    def forward(self, params: Tensor) -> Distribution:
        soft, hard, share = self.quantizer(params.movedim(LEAD, -1))
        return Point(soft.movedim(-1, LEAD), hard.movedim(-1, LEAD), self.quantizer, params.dim() - LEAD, share)

    def written(self, reads: str) -> str:
        return f"δ(nearest of {words_of(self.quantizer)} to {at('e', reads)})"

    @property
    def support(self) -> Constraint:
        return OnCodes(self.quantizer, 1)

    def density(self, x: Tensor) -> Density:
        return Density(f"codes out of {self.quantizer.codes}", "probability mass")


class Point(Distribution):
    """All the mass on one value, an event of codes `(D, *positions)`, with the gradient of what it was rounded from."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, soft: Tensor, hard: Tensor, quantizer: Quantizer, axes: int, share: float = 1.0) -> None:
        self.soft, self.hard, self.quantizer, self.axes, self.share = soft, hard, quantizer, axes, share
        cut = hard.dim() - axes
        super().__init__(hard.shape[:cut], hard.shape[cut:], validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> Point:  # type: ignore[override]
        """The same point for more."""
        soft, hard = (each.expand(*batch_shape, *self.event_shape) for each in (self.soft, self.hard))
        return Point(soft, hard, self.quantizer, self.axes, self.share)

    @property
    def support(self) -> Constraint:
        """The codes."""
        return OnCodes(self.quantizer, self.axes)

    @property
    def mean(self) -> Tensor:
        """The point, with its gradient."""
        return carried(self.hard, self.share * self.soft)

    @property
    def variance(self) -> Tensor:
        """None at all."""
        return torch.zeros_like(self.hard)

    def entropy(self) -> Tensor:
        """0."""
        return self.hard.new_zeros(self.batch_shape)

    @property
    def distance(self) -> Tensor:
        """The squared distance of what was rounded from the point, with a gradient by the former, `(*batch)`."""
        return (self.soft - self.hard.detach()).square().flatten(-self.axes).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """0 at the point and -inf elsewhere."""
        here = (value == self.hard).flatten(-self.axes).all(-1)
        return torch.zeros_like(here, dtype=self.hard.dtype).masked_fill(~here, -torch.inf)

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """The point, with its gradient."""
        return self.mean.expand(self._extended_shape(Size(sample_shape)))
