"""Draws: completed copies of rows with holes, which differ as much as the model is uncertain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch
from vaekit.evaluate.evidence import draws_at_once, refuse_points
from vaekit.train.means import evaluating
from vaekit.train.rows.source import order_seed
from vaekit.uses.completion.chains import Moments, State, Walk, shrink_factor
from vaekit.uses.completion.explained import Encode, Explained, Holes, explained


@dataclass(frozen=True)
class Diagnostics:
    """How far draws can be trusted, `(n,)` each, float64; NaN where there was no hole, or nothing to tell."""

    ess: Tensor
    """The effective number of weighted draws that completions were resampled from: where it is near 1, they are all
    but one, and chains have to do the rest."""
    acceptance: Tensor
    """The share of proposals that chains accepted: where it is near 0, they stand still."""
    rhat: Tensor
    """Split R-hat, the largest over a row's holes: above about 1.1, chains have not met; run them longer."""

    @staticmethod
    def joined(parts: Iterable[Diagnostics]) -> Diagnostics:
        """Those of all rows, from those of some at a time."""
        parts = list(parts)
        return Diagnostics(
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("ess", "acceptance", "rhat"))
        )


@dataclass(frozen=True)
class Draws:
    """Completed copies `(draw, n, *event)`; what was observed is as it was in all of them."""

    x: Tensor
    diagnostics: Diagnostics

    def interval(self, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """Between equal tails of the draws, `(n, *event)` each; a level of 0.9 wants some hundred draws."""
        tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=self.x.dtype, device=self.x.device)
        low, high = self.x.quantile(tails, dim=0)
        return low, high


class Moves(Protocol):
    """What is done with chains once they have started from resampled draws."""

    def __call__(self, walk: Walk, state: State, chains: int) -> tuple[State, Tensor, Tensor]:
        """Their last state, their acceptance `(batch,)`, and the R-hat of each cell `(batch, *event)`."""
        ...


@dataclass(frozen=True)
class Resampling:
    """Sampling importance resampling alone: right as far as the draws behind it are many against the draws taken.

    Source: Rubin, 1987; Mattei and Frellsen, 2019.
    """

    def __call__(self, walk: Walk, state: State, chains: int) -> tuple[State, Tensor, Tensor]:
        unknown = torch.full_like(_by_chain(state.x, chains)[0], torch.nan)
        return state, unknown.flatten(1)[:, 0], unknown


@dataclass(frozen=True)
class MetropolisWithinGibbs:
    """Chains from resampled draws, one for each copy, of so many moves: right in the limit, whatever the encoder.

    R-hat is that of the second half of the moves. Raises `UsageError` for less than 4 moves.

    Source: Mattei and Frellsen, 2018.
    """

    moves: int = 100

    def __post_init__(self) -> None:
        if self.moves < 4:
            raise UsageError(f"chains of {self.moves} moves tell nothing of themselves: take at least 4")

    def __call__(self, walk: Walk, state: State, chains: int) -> tuple[State, Tensor, Tensor]:
        quarter = self.moves // 4
        halves = [Moments(_by_chain(state.x, chains)) for _ in range(2)]
        acceptance = torch.zeros(len(state.x), device=state.x.device)
        for move in range(self.moves):
            state, accepted = walk.moved(state)
            acceptance += accepted / self.moves
            if move >= self.moves - 2 * quarter:
                halves[move >= self.moves - quarter].add(_by_chain(state.x, chains))
        return state, _by_chain(acceptance, chains).mean(0), shrink_factor(*halves)


_METROPOLIS = MetropolisWithinGibbs()


def draw_completions(
    model: VAE,
    batch: Batch,
    draws: int = 20,
    samples: int = 200,
    seed: int = 0,
    how: Moves = _METROPOLIS,
    encode: Encode = torch.Tensor.float,
) -> Draws:
    r"""Completed copies of rows with holes, each a draw from :math:`p(x_{mis} \mid x_{obs})`.

    Each copy starts from sampling importance resampling: one of `samples` draws of (z, x_mis), taken with its
    weight. `how` says what is done from there: nothing, or moves of Metropolis within Gibbs.

    The draws of a row depend on the seed, on the row and on its number, not on what is in the rows beside it; those of
    different rows are independent, as whoever averages over rows needs them to be.

    Args:
        model: the model; it is not changed.
        batch: stored rows `(n, *event)` with NaN in their holes, and what is known beside them.
        draws: completed copies.
        samples: weighted draws for each row to resample from, many times as many as copies.
        seed: of all draws.
        how: `MetropolisWithinGibbs(moves)` or `Resampling()`.
        encode: from stored rows to rows as the model sees them.

    Raises `UsageError` for less than one draw or sample, a likelihood whose coordinates hang together and a latent
    whose posterior is a point.

    Source: Mattei and Frellsen, 2018 and 2019.

    >>> from vaekit.recipes import build
    >>> model, x = build("vae", (4,), latent=2).model, torch.tensor([[1.0, 0.0, torch.nan, 1.0]])
    >>> draw_completions(model, Batch(x), draws=5, how=MetropolisWithinGibbs(8)).x.shape
    torch.Size([5, 1, 4])
    """
    if min(draws, samples) < 1:
        raise UsageError(f"{draws} draws out of {samples} samples: completions need at least 1 of each")
    refuse_points(model, "what was missing")
    work = _Work(model, draws, samples, how, encode)
    if not len(batch):
        return _as_they_are(batch.x, draws)
    rows = max(1, draws_at_once(batch.x) // max(draws, samples))
    with torch.no_grad(), evaluating(model):
        found = [work.on(part, rows, order_seed(seed, at)) for at, part in enumerate(batch.split(rows))]
    return Draws(torch.cat([part.x for part in found], 1), Diagnostics.joined(part.diagnostics for part in found))


@dataclass(frozen=True)
class _Work:
    """The drawing of completions of some rows at a time."""

    model: VAE
    draws: int
    samples: int
    how: Moves
    encode: Encode

    def on(self, part: Batch, rows: int, seed: int) -> Draws:
        """The draws of some rows, by noise of this seed for so many: fewer are filled up, so that all meet the same."""
        missing = part.x.isnan()
        if not bool(missing.any()):
            return _as_they_are(part.x, self.draws)
        with seeded(seed, part.x.device):
            found = self._drawn(_filled_up(part, rows))
        x = torch.where(missing, found.x[:, : len(part)].to(part.x), part.x)
        return Draws(x, _of_holed(found.diagnostics, missing.flatten(1).any(1)))

    def _drawn(self, part: Batch) -> Draws:
        x = torch.where(part.x.isnan(), torch.nan, self.encode(part.x))
        found = explained(self.model, Holes.of(self.model, Batch(x, part.given)), self.samples)
        walk = Walk(
            self.model, _repeated(x.isnan(), self.draws), {k: _repeated(v, self.draws) for k, v in part.given.items()}
        )
        state = walk.refilled(self._resampled(found))
        state, acceptance, rhat = self.how(walk, state, self.draws)
        worst = rhat.masked_fill(~x.isnan(), -torch.inf).flatten(1).amax(1)
        diagnostics = Diagnostics(*(each.cpu().double() for each in (found.ess, acceptance, worst)))
        return Draws(_by_chain(state.x, self.draws), diagnostics)

    def _resampled(self, found: Explained) -> State:
        chosen = torch.multinomial(found.weights.T, self.draws, replacement=True).T
        return State(_taken(found.x, chosen), {name: _taken(value, chosen) for name, value in found.latents.items()})


def _as_they_are(x: Tensor, draws: int) -> Draws:
    nothing = torch.full((len(x),), torch.nan, dtype=torch.float64)
    return Draws(x.expand(draws, *x.shape), Diagnostics(nothing, nothing, nothing))


def _filled_up(part: Batch, rows: int) -> Batch:
    places = torch.arange(rows, device=part.x.device).clamp(max=len(part) - 1)
    return Batch(part.x[places], {name: value[places] for name, value in part.given.items()})


def _of_holed(told: Diagnostics, holed: Tensor) -> Diagnostics:
    holed = holed.cpu()
    return Diagnostics(
        *(torch.where(holed, each[: len(holed)], torch.nan) for each in (told.ess, told.acceptance, told.rhat))
    )


def _repeated(value: Tensor, chains: int) -> Tensor:
    """Rows `(batch, *event)` once for each chain, `(chain * batch, *event)`."""
    return value.repeat(chains, *[1] * (value.dim() - 1))


def _by_chain(value: Tensor, chains: int) -> Tensor:
    """Values `(chain * batch, *event)` as `(chain, batch, *event)`."""
    by_chain: Tensor = value.unflatten(0, (chains, -1))
    return by_chain


def _taken(values: Tensor, chosen: Tensor) -> Tensor:
    """Of values `(sample, batch, *event)` those chosen `(chain, batch)`: `(chain * batch, *event)`."""
    rows = torch.arange(values.shape[1], device=values.device)
    return values[chosen, rows].flatten(0, 1)
