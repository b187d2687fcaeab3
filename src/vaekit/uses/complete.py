"""Complete: what belongs in the holes of rows, by all that a model knows of the rest of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch
from vaekit.evaluate.evidence import refuse_points
from vaekit.families.missing import in_holes
from vaekit.train.means import evaluating
from vaekit.uses.alone import each_alone
from vaekit.uses.completion.explained import Encode, Explained, Holes, explained
from vaekit.uses.completion.summaries import Mean, Median, Mode, Quantile, Summary
from vaekit.uses.score import in_groups

__all__ = ["Completion", "Mean", "Median", "Mode", "Quantile", "complete"]

_MEAN = Mean()


@dataclass(frozen=True)
class Completion:
    """Rows without holes, `(n, *event)`; what was observed is as it was."""

    x: Tensor
    ess: Tensor
    """The effective number of draws behind each row, `(n,)`, float64; all of them where it had no hole. Where it is
    near 1, a row's completion hangs on a single draw of the latents."""
    low: Tensor | None = None
    """The lower end of each number's interval, where one was asked for; both ends of a level are the level."""
    high: Tensor | None = None
    """The upper end."""


def complete(
    model: VAE | Sequence[VAE],
    batch: Batch,
    samples: int = 1000,
    seed: int = 0,
    by: Summary = _MEAN,
    level: float | None = None,
    encode: Encode = torch.Tensor.float,
) -> Completion:
    r"""Fill the holes (NaN) of each row by what is likely to be in them given what was observed, row by row.

    .. math:: E[x_{mis} \mid x_{obs}] \approx \sum_k w_k \, E[x_{mis} \mid z_k], \qquad
        w_k \propto \frac{p(x_{obs} \mid z_k) \, p(z_k)}{q(z_k \mid x_{obs})}, \quad z_k \sim q(z \mid x_{obs})

    The weights are of what was observed alone, so the answer is the model's own, whatever its encoder: that only
    decides how many draws it takes. Where missing is not at random, p(s | x) is one of their factors. An encoder that
    knows nothing of holes is shown what the model makes up on average in them. The noise is drawn from `seed` afresh
    for each row: the answer to a row does not depend on the rows beside it.

    Args:
        model: the model, or several for the same rows, of which the mixture in equal shares is asked: what they differ
            in is part of what is not known. They are not changed.
        batch: stored rows `(n, *event)` with NaN in their holes, and what is known beside them.
        samples: K, draws for each row, by each model.
        seed: of the draws.
        by: what is told of each hole: `Mean()`, `Median()`, `Mode()` or `Quantile(at)`.
        level: of intervals of each number between equal tails, for instance 0.9; None for none.
        encode: from stored rows to rows as the model sees them.

    Raises `UsageError` for less than one sample, a level outside (0, 1), a likelihood whose coordinates hang together
    and a latent whose posterior is a point.

    Source: Mattei and Frellsen, 2019.

    >>> from vaekit.recipes import build
    >>> model, x = build("vae", (4,), latent=2).model, torch.tensor([[1.0, 0.0, torch.nan, 1.0]])
    >>> complete(model, Batch(x)).x.isnan().any()
    tensor(False)
    """
    models = [model] if isinstance(model, VAE) else list(model)
    _refuse(models, samples)
    summaries = [by, *_ends(level)]
    draws = any(summary.of_draws for summary in summaries)
    holed = _Holed.of(batch)

    def answer(one: Batch) -> Tensor:
        x = torch.where(one.x.isnan(), torch.nan, encode(one.x))
        found = _by_all(models, Batch(x, one.given), samples, draws)
        told = [summary(found)[0].flatten() for summary in summaries]
        return torch.cat([found.ess.to(told[0]), *told])

    all_draws = samples * len(models)
    with ExitStack() as stack:
        for each in models:
            stack.enter_context(evaluating(each))
        answers = [each_alone(answer, part, seed) for part in in_groups(holed.batch, all_draws) if len(part)]
    ess, *told = holed.put(answers, float(all_draws), len(summaries))
    return Completion(told[0], ess, *told[1:])


@dataclass(frozen=True)
class _Holed:
    """The rows of a batch that have holes, and where among all rows they are."""

    whole: Tensor
    places: Tensor
    batch: Batch

    @staticmethod
    def of(batch: Batch) -> _Holed:
        places = batch.x.isnan().flatten(1).any(1).nonzero()[:, 0]
        given = {name: value[places] for name, value in batch.given.items()}
        return _Holed(batch.x, places, Batch(batch.x[places], given))

    def put(self, answers: list[Tensor], all_draws: float, summaries: int) -> Iterator[Tensor]:
        """The effective sample size of all rows, then all rows with each summary in their holes."""
        ess = torch.full((len(self.whole),), all_draws, dtype=torch.float64)
        told = torch.cat(answers) if answers else self.whole.new_zeros(0, 1 + summaries * self.whole.shape[1:].numel())
        ess[self.places.cpu()] = told[:, 0].double().cpu()
        yield ess
        for summary in told[:, 1:].unflatten(1, (summaries, *self.whole.shape[1:])).unbind(1):
            yield self.whole.index_put((self.places,), in_holes(self.batch.x, summary.to(self.whole)))


def _by_all(models: Sequence[VAE], rows: Batch, samples: int, draws: bool) -> Explained:
    """The draws of each model with as much weight as those of every other."""
    each = (explained(model, Holes.of(model, rows), samples, draws) for model in models)
    return Explained.joined([found.normalised() for found in each])


def _refuse(models: Sequence[VAE], samples: int) -> None:
    if samples < 1:
        raise UsageError(f"{samples} samples: a completion needs at least 1")
    if not models:
        raise UsageError("no model: a completion needs at least one")
    for model in models:
        refuse_points(model, "what was missing")


def _ends(level: float | None) -> list[Summary]:
    if level is None:
        return []
    if not 0 < level < 1:
        raise UsageError(f"intervals of level {level}: choose between 0 and 1, such as 0.9")
    return [Quantile((1 - level) / 2), Quantile((1 + level) / 2)]
