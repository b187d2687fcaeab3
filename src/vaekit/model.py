"""The fitted model: one small face for every use; each method hands on to a file of `uses/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vaekit.about import About, refuse_unexplained
from vaekit.common.chunks import ROWS
from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Context
from vaekit.data import Dataset, dataset
from vaekit.evaluate import Evaluation, Evidence, evaluate, log_evidence
from vaekit.objectives import Elbo
from vaekit.priors import PRIOR_FITS, PriorFit
from vaekit.recipes import Blueprint
from vaekit.store import load, save
from vaekit.train import Epoch, Resident
from vaekit.train.rows.labels import as_vectors, labels_wanted, refuse_unfit
from vaekit.uses.classify import classify
from vaekit.uses.cluster import Clusters, cluster
from vaekit.uses.complete import Completion, complete
from vaekit.uses.completion.draws import Draws, draw_completions
from vaekit.uses.completion.summaries import SUMMARIES, Summary
from vaekit.uses.decode import decode
from vaekit.uses.encode import encode, encode_draws
from vaekit.uses.interpolate import PATHS, interpolate
from vaekit.uses.interpolate import Path as LatentPath
from vaekit.uses.reconstruct import reconstruct
from vaekit.uses.refit import aggregated_codes, refit_prior
from vaekit.uses.sample import sample, sample_means
from vaekit.uses.score import Scores, scores
from vaekit.uses.scores import SCORES, Reference, Scorer, Shares, ready, shares
from vaekit.uses.traverse import PRIOR_DRAWS, prior_scale, traversals

Rows = Dataset | ArrayLike | Tensor | Any
"""Rows: a data set, an array, or for a model of a table a frame: of pandas, polars or Arrow."""
Examples = Any
"""Examples a model made: a tensor `(n, *event)`, or for a model of a table a frame."""


class FittedVAE:
    """A trained VAE, for every use.

    Rows come in as they are stored (bytes or floats, `(n, *event)`) and are encoded as they were for training.
    What comes out is float32, on the CPU, on the scale that the model explains: greys in [0, 1] for bytes. A model of
    a table takes frames with its columns, and what it makes up comes out as a frame (`Examples`). Every method that
    draws takes a `seed` and leaves the global random state alone.
    """

    def __init__(self, model: VAE, about: About) -> None:
        self.model = model.eval()
        self.about = about

    def __repr__(self) -> str:
        blueprint, about = self.model.blueprint, self.about
        name = blueprint.recipe if isinstance(blueprint, Blueprint) else "composed by hand"
        shape = " x ".join(map(str, about.event_shape))
        told = (f"rows of {shape}", f"latents {', '.join(self.latents)}", f"{self.model.weights:,} weights")
        return f"FittedVAE({name} of {about.data}: {', '.join(told)})"

    @property
    def history(self) -> tuple[Epoch, ...]:
        """One record an epoch of training."""
        return self.about.history

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def latents(self) -> tuple[str, ...]:
        """The names of the latents, in the order in which the model draws them."""
        return tuple(name for name, _ in self.model.latents())

    @property
    def reads_labels(self) -> bool:
        """Whether the model is one of rows whose labels are known."""
        return bool(labels_wanted(self.model, Elbo()))

    def rows(self, x: Rows) -> Dataset:
        """Rows of the shape that the model explains, prepared as they were for training.

        Raises `DataError` if they have another shape, cannot be encoded, or hold what the likelihood cannot explain.
        """
        prepared = self.about.encoding.prepare(self._of_its_shape(x))
        refuse_unexplained(self.model, prepared)
        return prepared

    def _of_its_shape(self, x: Rows) -> Dataset:
        given = self._read(x)
        if tuple(given.event_shape) != self.about.event_shape:
            raise DataError(
                f"rows of shape {tuple(given.event_shape)}, but the model explains {self.about.event_shape}: "
                "give rows of that shape"
            )
        return given

    def _read(self, x: Rows) -> Dataset:
        if isinstance(x, Dataset):
            return x
        if self.about.schema is None:
            return dataset(x, holes=True)
        from vaekit.data.tables.rows import table_rows  # loads pandas, which only a table needs

        return table_rows(x, self.about.schema)

    def _told(self, x: Tensor, like: Rows | None = None) -> Examples:
        """Examples as the rows were: a tensor, or a frame of the caller's kind."""
        if self.about.schema is None:
            return x
        return self.about.schema.decode(x.flatten(0, -2), like=None if isinstance(like, Dataset) else like)

    def in_numbers(self) -> FittedVAE:
        """The same model, of tensors even where it is one of a table: a cell a number, as `Schema.encode` has it."""
        return FittedVAE(self.model, replace(self.about, schema=None))

    def batch(self, x: Rows) -> Batch:
        """Rows as the model sees them, on its device, with their labels where it reads labels.

        Draws from torch's current generator. Raises `DataError` where the model reads labels and the rows have none.
        """
        return self._resident(x).whole()

    def _resident(self, x: Rows) -> Resident:
        resident = Resident(self.rows(x), self.about.encoding, ROWS, self.device)
        return resident.labelled(labels_wanted(self.model, Elbo()))

    def conditions(self, n: int, labels: ArrayLike | Tensor | None = None) -> Context:
        """What the model reads beside the latents, for n examples: these labels, or each class in its turn."""
        wanted = labels_wanted(self.model, Elbo())
        told = None if labels is None else torch.as_tensor(labels, dtype=torch.int64)
        found = {name: torch.arange(n) % how.classes if told is None else told for name, how in wanted.items()}
        for y in found.values():
            if len(y) != n:
                raise DataError(f"{len(y)} labels for {n} examples: give one to each")
            refuse_unfit(y, wanted)
        return {name: as_vectors(y, wanted[name].classes).to(self.device) for name, y in found.items()}

    def _latent(self, name: str | None) -> str:
        chosen = name or self.latents[0]
        if chosen not in self.latents:
            raise UsageError(f"unknown latent {chosen!r}: the model has {', '.join(self.latents)}")
        return chosen

    def sample(
        self,
        n: int,
        *,
        mean: bool = False,
        labels: ArrayLike | Tensor | None = None,
        given: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Examples:
        """`n` new examples from the model, `(n, *event)`; with `mean`, without the likelihood's own noise.

        A model that reads labels makes examples of these, `(n,)`, or of each class in its turn if none are given.
        A model of a table makes rows in which some columns are as `given`, `{"sex": "female"}`, and the others are
        draws from what it knows of such rows.
        """
        if n < 1:
            raise UsageError(f"{n} samples: ask for at least 1")
        if given is not None:
            return self._given(n, given, seed)
        with seeded(seed, self.device):
            return self._told((sample_means if mean else sample)(self.model, n, self.conditions(n, labels)).cpu())

    def _given(self, n: int, given: Mapping[str, Any], seed: int) -> Examples:
        if self.about.schema is None:
            raise UsageError("columns are given to a model of a table: this one is of arrays")
        from vaekit.data.tables.rows import row_of

        row = row_of(self.about.schema, given)
        assert row.schema is not None
        return row.schema.decode(self.completion_draws(row, n, samples=max(1000, 10 * n), seed=seed).x[:, 0].cpu())

    def encode(self, x: Rows, *, latent: str | None = None, seed: int = 0) -> Tensor:
        """The posterior mean of a latent for each row, `(n, *event)`; the first latent if none is named."""
        with seeded(seed, self.device):
            return encode(self.model, self.batch(x), self._latent(latent)).cpu()

    def encode_draws(self, x: Rows, draws: int, *, latent: str | None = None, seed: int = 0) -> Tensor:
        """Draws of a latent from its posterior, `(draws, n, *event)`."""
        if draws < 1:
            raise UsageError(f"{draws} draws: ask for at least 1")
        with seeded(seed, self.device):
            return encode_draws(self.model, self.batch(x), self._latent(latent), draws).cpu()

    def decode(
        self,
        codes: ArrayLike | Tensor,
        *,
        latent: str | None = None,
        labels: ArrayLike | Tensor | None = None,
        seed: int = 0,
    ) -> Examples:
        """The mean of x for each code `(n, *event)` of a latent; latents drawn after it come from their priors.

        For a model that reads labels, `labels` are as in `sample`.
        """
        values = torch.as_tensor(codes, dtype=torch.float32, device=self.device)
        name = self._latent(latent)
        with seeded(seed, self.device):
            self._refuse_codes(name, tuple(values.shape[1:]))
            return self._told(decode(self.model, values, name, self.conditions(len(values), labels)).cpu())

    def latent_shape(self, name: str) -> tuple[int, ...]:
        """The shape of a latent's values for one example."""
        with torch.no_grad(), seeded(0, self.device):
            return tuple(self.model.sample(1, self.conditions(1)).latent(name).shape[1:])

    def _refuse_codes(self, name: str, shape: tuple[int, ...]) -> None:
        event = self.latent_shape(name)
        if shape != event:
            raise DataError(f"codes of shape {shape}, but the latent {name!r} has {event}: give codes of that shape")

    def reconstruct(self, x: Rows, *, seed: int = 0) -> Examples:
        """The mean of x given the posterior means of the latents, `(n, *event)`."""
        with seeded(seed, self.device):
            return self._told(reconstruct(self.model, self.batch(x)).cpu(), x)

    def interpolate(
        self,
        start: Rows,
        end: Rows,
        *,
        steps: int = 10,
        path: str | LatentPath = "spherical",
        seed: int = 0,
    ) -> Examples:
        """The way from each row of `start` to the same row of `end`, `(n, steps, *event)`, reconstructions at its ends.

        In a frame, the steps of a way are rows that follow each other.

        `path` is "spherical", which stays as far from the origin as draws of a normal prior are, or "linear".
        """
        if steps < 2:
            raise UsageError(f"{steps} steps: a way from one example to another has at least its 2 ends")
        along = PATHS[path] if isinstance(path, str) else path
        with seeded(seed, self.device):
            starts, ends = self._codes(start), self._codes(end)
            counts = [len(next(iter(codes.values()))) for codes in (starts, ends)]
            if counts[0] != counts[1]:
                raise DataError(f"{counts[0]} rows to start from but {counts[1]} to end at: give as many of each")
            return self._told(interpolate(self.model, starts, ends, steps, along).cpu())

    def traverse(
        self,
        start: Rows | None = None,
        *,
        latent: str | None = None,
        coordinates: Sequence[int] = (),
        steps: int = 11,
        reach: float = 3.0,
        seed: int = 0,
    ) -> Examples:
        """What each coordinate of a latent does, `(coordinate, steps, *event)`; in a frame, one way after another.

        From the code of `start`, one row, or from the centre of the prior, one coordinate goes from -`reach` to
        +`reach` standard deviations of the prior, and the others stay. All coordinates do if none is named.
        """
        if steps < 2 or not reach > 0:
            raise UsageError(f"{steps} steps to {reach:g} standard deviations: take at least 2 steps, to more than 0")
        name = self._latent(latent)
        with seeded(seed, self.device):
            centre, spread = prior_scale(self.model, name, self.conditions(PRIOR_DRAWS))
        code = centre if start is None else self.encode(start, latent=name, seed=seed)[0]
        codes = traversals(code, coordinates, centre, spread, torch.linspace(-reach, reach, steps))
        plain, labels = self.in_numbers(), self._one_label(start, len(codes))
        made = [plain.decode(step, latent=name, labels=labels, seed=seed) for step in codes.unbind(1)]
        return self._told(torch.stack(made, 1))

    def _one_label(self, start: Rows | None, n: int) -> Tensor | None:
        """The label of a row, or the first there is, so many times; None for a model that reads none."""
        if not self.reads_labels:
            return None
        y = None if start is None else self.rows(start).y
        return torch.zeros(n, dtype=torch.int64) if y is None else y[:1].expand(n)

    def _codes(self, rows: Rows) -> dict[str, Tensor]:
        batch = self.batch(rows)
        return {**batch.given, **{name: encode(self.model, batch, name) for name in self.latents}}

    def log_evidence(self, x: Rows, samples: int = 100, *, seed: int = 0) -> Evidence:
        """Importance-sampled log p(x) of each row, in nats, with its standard error and effective sample size."""
        with seeded(seed, self.device):
            batch = self.batch(x)
            return log_evidence(self.model, batch.x, samples, batch.given)

    def alone(self, x: Rows) -> Batch:
        """Rows as they are stored, each prepared as if it were alone, on the device, with their labels if any are read.

        Raises what `rows` raises, and `DataError` where the model reads labels and the rows have none.
        """
        rows = self.about.encoding.prepare_each(self._of_its_shape(x))
        refuse_unexplained(self.model, rows)
        wanted = labels_wanted(self.model, Elbo())
        refuse_unfit(rows.y, wanted)
        y = torch.empty(0) if rows.y is None else rows.y.to(self.device)
        return Batch(rows.x.to(self.device), {name: as_vectors(y, how.classes) for name, how in wanted.items()})

    def scores(self, x: Rows, samples: int = 100, *, seed: int = 0) -> Scores:
        """log p(x) and ELBO of each row as if it were alone: they do not depend on the rows it comes with."""
        return scores(self.model, self.alone(x), samples, seed, self.about.encoding.encode)

    def score_samples(self, x: Rows, samples: int = 100, *, seed: int = 0) -> Tensor:
        """The importance-sampled log p(x) of each row, `(n,)`, float64, in nats: higher is more normal.

        It is a function of the row: neither the other rows nor their order matter. See `vaekit.uses.score`.
        """
        return self.scores(x, samples, seed=seed).log_evidence

    def score(
        self, x: Rows, by: str | Scorer = "log_evidence", samples: int = 100, *, known: Rows = None, seed: int = 0
    ) -> Tensor:
        """How odd each row is, `(n,)`, float64: higher is odder. It does not depend on the rows beside it.

        Args:
            x: rows, as they are stored.
            by: a name of `vaekit.uses.scores.SCORES`, or a `Scorer` of one's own; -log p(x) if none is named.
            samples: draws of the latents for each row.
            known: rows that are in order, for the scores that learn from some: `mahalanobis` and `typicality`.
            seed: of the draws.

        Raises `UsageError` for a score that learns from rows, of which none are given.
        """
        scorer = SCORES[by] if isinstance(by, str) else by
        asked: dict[str, Any] = {"samples": samples, "seed": seed, "encode": self.about.encoding.encode}
        if known is not None:
            scorer = ready(scorer, self.model, self.alone(known), **asked)
        return scorer(self.model, self.alone(x), **asked)

    def shares(self, x: Rows, samples: int = 100, *, seed: int = 0) -> Shares:
        """What -log p(x) of each row is made of: each column's or pixel's share, and that of the latents, in nats."""
        return shares(self.model, self.alone(x), samples, seed, self.about.encoding.encode)

    def p_values(
        self,
        x: Rows,
        held_out: Rows,
        by: str | Scorer = "log_evidence",
        samples: int = 100,
        *,
        known: Rows = None,
        seed: int = 0,
    ) -> Tensor:
        """The share of held-out rows that are at least as odd as each row, `(n,)`: small for what is odd.

        Of rows like the held-out ones at most a share a has a p-value of at most a, however bad the model is.
        """
        reference = Reference(self.score(held_out, by, samples, known=known, seed=seed))
        return reference.p_values(self.score(x, by, samples, known=known, seed=seed))

    def complete(self, x: Rows, samples: int = 1000, *, by: str | Summary = "mean", seed: int = 0) -> Examples:
        """The rows with their holes filled: numbers by the conditional mean, levels by the most probable one.

        What was observed stays as it was. `by` is mean, median or mode; `completion` tells intervals too.
        """
        return self._told(self.completion(x, samples, by=by, seed=seed).x.cpu(), x)

    def completion(
        self, x: Rows, samples: int = 1000, *, by: str | Summary = "mean", level: float | None = None, seed: int = 0
    ) -> Completion:
        """The same in numbers, with the effective number of draws behind each row, and intervals of a level."""
        how = SUMMARIES[by]() if isinstance(by, str) else by
        return complete(self.model, self.alone(x), samples, seed, how, level, self.about.encoding.encode)

    def complete_draws(self, x: Rows, draws: int = 20, *, samples: int = 200, seed: int = 0) -> tuple[Examples, ...]:
        """Completed copies of the rows that differ as much as the model is uncertain of what is in their holes.

        To estimate something from incomplete rows, estimate it from each copy and pool the estimates by
        `vaekit.uses.completion.pooling.pool`. `completion_draws` tells how far the draws can be trusted.
        """
        return tuple(
            self._told(copy, x) for copy in self.completion_draws(x, draws, samples=samples, seed=seed).x.cpu()
        )

    def completion_draws(self, x: Rows, draws: int = 20, *, samples: int = 200, seed: int = 0) -> Draws:
        """The same in numbers, with diagnostics of the chains behind them."""
        encode = self.about.encoding.encode
        return draw_completions(self.model, self.alone(x), draws, samples, seed, encode=encode)

    def classify(self, x: Rows, samples: int = 0, *, seed: int = 0) -> Tensor:
        """The probability of each class for each row, `(n, classes)`, by a model with labels for a latent.

        With samples it is p(y | x) by importance sampling, without it is q(y | x).
        """
        return classify(self.model, self.alone(x), samples=samples, seed=seed)

    def cluster(self, x: Rows, *, most: int = 10, seed: int = 0) -> Clusters:
        """The clusters of rows: the model's own, or where it has none those of a mixture fitted to their codes."""
        with seeded(seed, self.device):
            return cluster(self.model, self.batch(x), most=most, seed=seed)

    def evaluate(self, x: Rows, samples: int = 100, *, seed: int = 0) -> Evaluation:
        """How well the model explains rows it was not trained on, in nats per example."""
        with seeded(seed, self.device):
            return evaluate(self.model, self._resident(x), samples, self.about.density)

    def refit_prior(
        self,
        x: Rows,
        kind: str | PriorFit = "normal",
        *,
        latent: str | None = None,
        draws: int = 1,
        seed: int = 0,
    ) -> FittedVAE:
        """The model with a prior fitted to the codes of rows, such as those it was trained on; itself it is left alone.

        Samples get better where the prior it was trained with has holes, and an autoencoder gets a prior at all.

        Args:
            x: rows, as they are stored.
            kind: "normal" (full covariance), "mixture" (of such), "flow" or "autoregressive"; or a `PriorFit` with
                settings of its own.
            latent: whose prior; that of the first latent if none is named.
            draws: codes from the posterior of each row.
            seed: of the codes and of the fit.

        Raises `UsageError` and `DataError` as `vaekit.uses.refit.refit_prior` does.
        """
        name, how = self._latent(latent), PRIOR_FITS[kind]() if isinstance(kind, str) else kind
        if draws < 1:
            raise UsageError(f"{draws} draws: ask for at least 1")
        with seeded(seed, self.device):
            rows = self.batch(x)
            codes = aggregated_codes(self.model, rows.x, name, draws, rows.given)
        return FittedVAE(refit_prior(self.model, name, codes, how, seed), self.about)

    def save(self, directory: str | Path, *, force: bool = False) -> Path:
        """Write the model to a directory, whole or not at all; `force` replaces one that is there."""
        return save(self.model, self.about, Path(directory), force=force)

    @staticmethod
    def load(directory: str | Path, model: VAE | None = None, *, device: str = "auto") -> FittedVAE:
        """Read a model directory; no code in it is run. A model built by hand is passed for its weights."""
        return FittedVAE(*load(Path(directory), model, device))


def load_model(directory: str | Path, model: VAE | None = None, *, device: str = "auto") -> FittedVAE:
    """Read a model directory: `FittedVAE.load`."""
    return FittedVAE.load(directory, model, device=device)
