"""Strategies: how a model, its gradients and what it learns beside them are kept together over the ranks of a run."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.core import VAE, Deterministic
from vaekit.objectives import Objective
from vaekit.objectives.objective import OverBatch
from vaekit.train.ranks.shards import is_sharded, whole
from vaekit.train.ranks.world import World

BUCKET: Final = 2**23
"""Numbers that are exchanged at once."""

_BatchNorm = nn.modules.batchnorm._BatchNorm


class Strategy(Protocol):
    """How a model is kept together over ranks."""

    @property
    def world(self) -> World:
        """The ranks."""

    def equalise(self, model: VAE, objective: Objective) -> None:
        """Give every rank the first one's weights and buffers; refuse what cannot be trained so."""

    def spread(self, model: VAE) -> None:
        """Lay a model out over the ranks, before an optimiser knows its weights."""

    def groups(self, weights: list[nn.Parameter]) -> list[list[nn.Parameter]]:
        """The weights as an optimiser takes them, in groups that it can move at once."""

    def weight(self, counted: int) -> Tensor | float:
        """What a rank's mean over so many examples is multiplied by before it is differentiated."""

    def pool(self, model: VAE, weights: Sequence[nn.Parameter], counted: int) -> None:
        """Turn every rank's gradients, of its own examples, into those of the mean over all of them."""

    def gather(self, model: VAE) -> None:
        """Bring the weights together, for `whole`; every rank has to."""

    def whole(self, model: VAE) -> VAE:
        """The model with all of its weights, as they were gathered last."""

    def compare(self, *modules: nn.Module) -> None:
        """Raise `UsageError` where ranks have come to hold different values, and name the first."""


class OneRank:
    """A model in one process: nothing is to be done.

    >>> from vaekit.train.ranks.world import ALONE
    >>> strategy = OneRank(ALONE)
    >>> strategy.weight(128)
    1.0
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def equalise(self, model: VAE, objective: Objective) -> None:
        """There is nobody to be equal to."""

    def spread(self, model: VAE) -> None:
        """It stays where it is."""

    def groups(self, weights: list[nn.Parameter]) -> list[list[nn.Parameter]]:
        """All at once."""
        return [weights]

    def weight(self, counted: int) -> Tensor | float:
        """The batch is whole."""
        return 1.0

    def pool(self, model: VAE, weights: Sequence[nn.Parameter], counted: int) -> None:
        """The gradients are those of the whole batch."""

    def gather(self, model: VAE) -> None:
        """The weights are together."""

    def whole(self, model: VAE) -> VAE:
        """The model itself."""
        return model

    def compare(self, *modules: nn.Module) -> None:
        """There is nobody to be compared with."""


class Replicated:
    r"""Data parallelism: every rank has all weights and its share of each batch; gradients are averaged after it.

    .. math:: g = \sum_r n_r g_r \Big/ \sum_r n_r

    with :math:`g_r` the gradient of the mean over rank r's :math:`n_r` examples: that of the mean over the whole batch,
    also where shares are unequal. Weights that are equal stay so to the bit. An objective calls `model.trace`, not the
    model, and may have two players: torch's wrapper around `forward` does not fit, and for models whose step is short
    one exchange after the gradient costs no more than many that overlap with it.

    What batch normalisation keeps of the batches is averaged likewise; it normalises by each rank's share.

    Source: Li et al., 2020.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def equalise(self, model: VAE, objective: Objective) -> None:
        """Send the first rank's values to all."""
        for _, value in _named_values(model, objective):
            bits = _bits(value)
            value.detach().copy_(self.world.agreed(bits).view(value.dtype).view(value.shape))

    def spread(self, model: VAE) -> None:
        """Every rank has all of it."""

    def groups(self, weights: list[nn.Parameter]) -> list[list[nn.Parameter]]:
        """All at once."""
        return [weights]

    def weight(self, counted: int) -> Tensor | float:
        """Gradients are weighed when they are pooled."""
        return 1.0

    def pool(self, model: VAE, weights: Sequence[nn.Parameter], counted: int) -> None:
        """Average gradients and statistics, a bucket of them at a time."""
        for bucket in buckets([*_gradients(weights), *_statistics(model)]):
            average(bucket, counted, self.world)

    def gather(self, model: VAE) -> None:
        """They are together."""

    def whole(self, model: VAE) -> VAE:
        """The model itself."""
        return model

    def compare(self, *modules: nn.Module) -> None:
        """Compare the bits of weights and buffers."""
        own = {name: zlib.crc32(_bits(value).cpu().numpy().tobytes()) for name, value in _named_values(*modules)}
        first, *others = self.world.collected(own)
        for rank, other in enumerate(others, 1):
            for name in first:
                if first[name] != other.get(name):
                    raise UsageError(_apart(name, rank))


def _apart(name: str, rank: int) -> str:
    return (
        f"{name} differs between the ranks 0 and {rank}: a part changes it outside the gradient; let that part learn "
        "together with its company (vaekit.core.company), or train in one process"
    )


class Sharded:
    """Fully sharded data parallelism: each rank has a piece of every weight of the nets, of its gradient and of what
    the optimiser keeps; a net's weights come together while it is run.

    What is sharded is each net of a `Parametric` or `Deterministic` part. Weights outside of nets (pseudo-inputs,
    scales, an objective's own) are few: they are replicated. The model itself is no unit, as it is not run by its
    `forward`. To evaluate and to save, the whole weights come together in a second model on every rank.

    Raises `UsageError` for an objective with two players, whose gradients are asked for apart from each other.

    Source: Zhao et al., 2023.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._rest = Replicated(world)
        self._whole: VAE | None = None

    def equalise(self, model: VAE, objective: Objective) -> None:
        """Send the first rank's values to all, while they are whole."""
        if objective.rivals():
            raise UsageError(f"{type(objective).__name__} has two players, which fsdp cannot tell apart: use ddp")
        self._rest.equalise(model, objective)

    def spread(self, model: VAE) -> None:
        """Cut the weights of every net into pieces."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        if self._whole is None:
            self._whole = deepcopy(model).requires_grad_(False)
        # The warning is of writing into what a net answers, which nothing that reads a net does.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
        device = next(model.parameters()).device
        mesh = init_device_mesh(device.type, (self.world.size,))
        for net in nets(model):
            fully_shard(net, mesh=mesh, reshard_after_forward=True)

    def groups(self, weights: list[nn.Parameter]) -> list[list[nn.Parameter]]:
        """Pieces and whole weights, each for themselves."""
        kinds = [[weight for weight in weights if is_sharded(weight) is kind] for kind in (False, True)]
        return [kind for kind in kinds if kind]

    def weight(self, counted: int) -> Tensor | float:
        """Pieces are averaged over ranks as if all had as many examples: weigh each rank by what it has."""
        total = self.world.sum(torch.tensor(float(counted)))
        return counted * self.world.size / total

    def pool(self, model: VAE, weights: Sequence[nn.Parameter], counted: int) -> None:
        """Average the gradients of whole weights; those of pieces were, on the way back through the nets."""
        for bucket in buckets(list(_gradients([weight for weight in weights if not is_sharded(weight)]))):
            average(bucket, 1, self.world)
        for bucket in buckets(list(_statistics(model))):
            average(bucket, counted, self.world)

    def gather(self, model: VAE) -> None:
        """Bring all pieces together in the second model."""
        gathered = {name: whole(value).detach() for name, value in model.state_dict().items()}
        self.whole(model).load_state_dict(gathered)

    def whole(self, model: VAE) -> VAE:
        """The second model."""
        assert self._whole is not None, "a model is spread before it is gathered"
        return self._whole

    def compare(self, *modules: nn.Module) -> None:
        """Compare what is not in pieces."""
        self._rest.compare(*modules)


STRATEGIES: Registry[Callable[[World], Strategy]] = Registry("strategy", {"ddp": Replicated, "fsdp": Sharded})
"""Strategies by the names that torch gives them."""


def strategy_of(name: str, world: World) -> Strategy:
    """The strategy of this name; for one rank there is nothing to choose.

    >>> from vaekit.train.ranks.world import ALONE
    >>> type(strategy_of("fsdp", ALONE)).__name__
    'OneRank'
    """
    chosen = STRATEGIES[name]
    return OneRank(world) if world.size == 1 else chosen(world)


def remarks(model: VAE, objective: Objective, strategy: str, world: World) -> list[str]:
    """What is to be said of a run over several ranks; nothing of one alone.

    >>> from vaekit.recipes import build
    >>> from vaekit.train.ranks.world import ALONE
    >>> remarks(*build("vae", (6,)), "ddp", ALONE)
    []
    """
    if world.size == 1:
        return []
    parts = [part for part in nn.ModuleList([model, objective]).modules() if isinstance(part, (OverBatch, _BatchNorm))]
    names = " and ".join(sorted({type(part).__name__ for part in parts}))
    return [f"{world.size} ranks, {strategy}", *([f"{names} over each rank's share of a batch"] if names else [])]


def nets(model: VAE) -> list[nn.Module]:
    """The nets of a model that have weights, each once.

    >>> from vaekit.recipes import build
    >>> len(nets(build("vae", (6,)).model))
    2
    """
    found = {id(part.net): part.net for part in model.modules() if isinstance(part, Deterministic)}
    return [net for net in found.values() if next(net.parameters(), None) is not None]


def buckets(tensors: Iterable[Tensor], numbers: int = BUCKET) -> Iterator[list[Tensor]]:
    """Tensors in groups of at most so many numbers, or of a single one that has more.

    >>> [len(bucket) for bucket in buckets([torch.zeros(3), torch.zeros(4), torch.zeros(9)], numbers=8)]
    [2, 1]
    """
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(map(torch.numel, bucket)) + tensor.numel() > numbers:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def average(tensors: Sequence[Tensor], counted: int, world: World) -> None:
    """Replace tensors by their means over the ranks, each weighed by what it counted, in one exchange.

    >>> from vaekit.train.ranks.world import ALONE
    >>> average([ones := torch.ones(2)], counted=3, world=ALONE)
    >>> ones
    tensor([1., 1.])
    """
    flat = torch.cat([*(tensor.flatten() for tensor in tensors), tensors[0].new_ones(1)])
    *sums, total = world.sum(flat.mul_(counted)).split([*(tensor.numel() for tensor in tensors), 1])
    for tensor, part in zip(tensors, sums, strict=True):
        tensor.copy_((part / total).view(tensor.shape))


def _gradients(weights: Sequence[nn.Parameter]) -> Iterator[Tensor]:
    """The gradients of weights. Which of them a share needs may differ: one that is not needed is nought."""
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        yield weight.grad


def _statistics(model: nn.Module) -> Iterator[Tensor]:
    """What batch normalisation keeps of the batches it has seen."""
    for part in model.modules():
        if isinstance(part, _BatchNorm) and part.running_mean is not None and part.running_var is not None:
            yield from (part.running_mean, part.running_var)


def _named_values(*modules: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights and buffers of which every rank has all."""
    for module in modules:
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            if not is_sharded(value):
                yield name, value


def _bits(value: Tensor) -> Tensor:
    """A tensor's bytes, `(n,)`."""
    return value.detach().contiguous().flatten().view(torch.uint8)
