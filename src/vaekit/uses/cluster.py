"""Cluster: which rows belong together, by a model that has clusters, or by a mixture fitted to its codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from vaekit.common.chunks import ROWS, by_rows
from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.core import NOTHING, VAE, Batch, Latent
from vaekit.core.conditional import Explains
from vaekit.families import Normal
from vaekit.families.scale import SMALLEST, unpositive
from vaekit.priors import LearnedMixture
from vaekit.priors.em import em
from vaekit.train.means import evaluating
from vaekit.uses.alone import each_alone
from vaekit.uses.classify import of, refuse_no_class, trained, vectors
from vaekit.uses.encode import encode

DRAWS = 16
"""Draws of the codes over which the responsibilities of a prior's clusters are averaged."""
MOST = 30
"""Clusters that a mixture of codes has at most."""
PATIENCE: Final = 3
"""So many more clusters than the best number are tried before the search for it ends."""
ENOUGH: Final = 10_000
"""Codes that are enough to tell how many clusters there are."""


@dataclass(frozen=True, repr=False)
class Clusters:
    """What clusters rows are in.

    >>> Clusters(torch.tensor([[0.9, 0.1], [0.8, 0.2]]), torch.tensor([0.5, 0.5]))
    Clusters(1 cluster of 2 rows: 2)
    """

    probabilities: Tensor
    """Of each cluster for each row, `(n, clusters)`."""
    weights: Tensor
    """The share of each cluster as the clustering has it, `(clusters,)`."""

    def __repr__(self) -> str:
        sizes = ", ".join(f"{size:,}" for size in self.sizes.sort(descending=True).values.tolist() if size)
        return f"Clusters({self.count} cluster{'s' * (self.count > 1)} of {len(self.probabilities):,} rows: {sizes})"

    @property
    def labels(self) -> Tensor:
        """The number of the most probable cluster of each row, `(n,)`."""
        return self.probabilities.argmax(1)

    @property
    def sizes(self) -> Tensor:
        """How many rows each cluster has, `(clusters,)`."""
        return torch.bincount(self.labels, minlength=self.probabilities.shape[1])

    @property
    def count(self) -> int:
        """How many clusters have a row."""
        return int((self.sizes > 0).sum())


class Clusterer(ABC):
    """Says of rows, those it was made with or others, which clusters they are in."""

    @abstractmethod
    def probabilities(self, batch: Batch) -> Tensor:
        """The probability of each cluster for each row, `(n, clusters)`."""

    @abstractmethod
    def weights(self, probabilities: Tensor) -> Tensor:
        """The share of each cluster, `(clusters,)`."""

    def __call__(self, batch: Batch) -> Clusters:
        probabilities = self.probabilities(batch)
        return Clusters(probabilities, self.weights(probabilities))


@dataclass(frozen=True)
class Inferred(Clusterer):
    """Clusters that are the values of a discrete latent: q(c | x) of a GM-VAE."""

    model: VAE
    latent: str
    seed: int = 0

    def probabilities(self, batch: Batch) -> Tensor:
        """q(c | x)."""
        work = trained(self.model, self.latent)
        with evaluating(self.model), seeded(self.seed, batch.x.device):
            return by_rows(work, batch)

    def weights(self, probabilities: Tensor) -> Tensor:
        """The mean of q(c | x) over the rows."""
        return probabilities.mean(0)


@dataclass(frozen=True)
class OfThePrior(Clusterer):
    """Clusters that are the components of a latent's prior: E_q(z | x) p(c | z), as in VaDE."""

    model: VAE
    latent: str
    seed: int = 0

    @property
    def prior(self) -> LearnedMixture:
        """The mixture."""
        prior = of(self.model, self.latent).prior
        assert isinstance(prior, LearnedMixture)
        return prior

    def probabilities(self, batch: Batch) -> Tensor:
        """The mean of p(c | z) over draws of z, for each row as if it were alone."""

        def responsibilities(one: Batch) -> Tensor:
            z = self.model.posterior(one.x, DRAWS, one.given)[self.latent].value
            each: Tensor = self.prior(NOTHING).responsibilities(z)
            return each.mean(0)[0]

        with evaluating(self.model):
            return torch.cat([each_alone(responsibilities, part, self.seed) for part in batch.split(ROWS)])

    def weights(self, probabilities: Tensor) -> Tensor:
        """Those of the prior."""
        return self.prior.logits.detach().softmax(0)


@dataclass(frozen=True)
class OfTheCodes(Clusterer):
    """Clusters of a latent's codes: those components of a variational mixture of normals that have rows."""

    model: VAE
    latent: str
    mixture: Any
    """A fitted `sklearn.mixture.BayesianGaussianMixture`."""
    kept: tuple[int, ...]
    """The components that are left."""

    def probabilities(self, batch: Batch) -> Tensor:
        """The responsibilities of the components that are left."""
        every = torch.as_tensor(self.mixture.predict_proba(vectors(self.model, batch, self.latent)))
        left = every[:, list(self.kept)].clamp(min=torch.finfo(torch.float64).tiny)
        return (left / left.sum(1, keepdim=True)).float()

    def weights(self, probabilities: Tensor) -> Tensor:
        """Those of the mixture."""
        left = torch.as_tensor(self.mixture.weights_)[list(self.kept)]
        return (left / left.sum()).float()


def clusterer(
    model: VAE, batch: Batch, latent: str | None = None, most: int = MOST, codes: bool = False, seed: int = 0
) -> Clusterer:
    """What clusters rows by this model: by its discrete latent, else by its prior's mixture, else by its codes.

    Args:
        model: any model; it is not changed.
        batch: rows `(n, *event)`, to which a mixture of codes is fitted where the model has no clusters of its own.
        latent: the latent to go by; the first discrete one, else the first whose prior is a mixture, else the last.
        most: clusters that a mixture of codes has at most; it picks its own number.
        codes: whether to fit such a mixture even where the model has clusters.
        seed: of draws and starts.
    """
    name = latent or next((name for name, _ in _by_clusters(model)), list(dict(model.latents()))[-1])
    refuse_no_class(model, name)
    part = of(model, name)
    if codes or not (is_discrete(part) or isinstance(part.prior, LearnedMixture)):
        return mixture_of_codes(model, batch, name, most, seed)
    return Inferred(model, name, seed) if is_discrete(part) else OfThePrior(model, name, seed)


def cluster(
    model: VAE, batch: Batch, latent: str | None = None, most: int = MOST, codes: bool = False, seed: int = 0
) -> Clusters:
    """The clusters of rows: `clusterer(...)` made and asked of one and the same rows.

    Sources: Shu, 2016 (GM-VAE); Jiang et al., 2017 (VaDE); Blei and Jordan, 2006 (the mixture of codes).

    >>> from vaekit.recipes import build
    >>> found = cluster(build("gm_vae", (6,), latent=2, components=3).model, Batch(torch.rand(5, 6)))
    >>> found.probabilities.shape, found.labels.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """
    return clusterer(model, batch, latent, most, codes, seed)(batch)


def _by_clusters(model: VAE) -> list[tuple[str, Latent]]:
    """The latents that have clusters, discrete ones first."""
    latents = list(model.latents())
    discrete = [each for each in latents if is_discrete(each[1])]
    return discrete + [each for each in latents if isinstance(each[1].prior, LearnedMixture)]


def is_discrete(latent: Latent) -> bool:
    """Whether a latent's values are classes, of which each row has one."""
    posterior = latent.posterior
    one_of_few = isinstance(posterior, Explains) and posterior.support.is_discrete and not latent.prior.given
    return one_of_few and len(latent.prior(NOTHING).event_shape) == 1


def mixture_of_codes(model: VAE, batch: Batch, latent: str, most: int = MOST, seed: int = 0) -> OfTheCodes:
    """A variational mixture of normals, fitted to the codes of rows; components that no row is most probably of go.

    It starts with `likely_number` components, at most `most`, and its weights have a Dirichlet process prior that
    favours fewer.

    Raises `DataError` for fewer than 2 rows, `UsageError` for no clusters.

    Source: Blei and Jordan, 2006.
    """
    if most < 1:
        raise UsageError(f"at most {most} clusters: ask for at least 1")
    if len(batch) < 2:
        raise DataError(f"{len(batch)} rows: a mixture is fitted to the codes of at least 2")
    codes = vectors(model, batch, latent)
    mixture = import_module("sklearn.mixture").BayesianGaussianMixture(
        n_components=likely_number(codes, most, seed),
        weight_concentration_prior=1.0 / len(batch),
        max_iter=500,
        n_init=3,
        random_state=seed,
    )
    used = mixture.fit_predict(codes)
    return OfTheCodes(model, latent, mixture, tuple(sorted(set(used.tolist()))))


def likely_number(codes: np.ndarray, most: int, seed: int = 0) -> int:
    """How many normals explain codes `(n, d)` best by the Bayesian information criterion, looked for from 1 upwards.

    The search ends where as many as `PATIENCE` more have brought nothing. A variational mixture that starts with many
    components seldom gives up enough of them: of 178 wines it kept 29.

    Source: Schwarz, 1978.

    >>> rows = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[-9.0, 0.0], [9.0, 0.0]], 100, 0)
    >>> likely_number(rows, most=10)
    2
    """
    mixture, some = import_module("sklearn.mixture").GaussianMixture, codes[:: max(1, len(codes) // ENOUGH)]
    best, least = 1, float("inf")
    for number in range(1, min(most, len(some)) + 1):
        told = float(mixture(number, n_init=2, random_state=seed).fit(some).bic(some))
        if told < least:
            best, least = number, told
        elif number - best >= PATIENCE:
            break
    return best


def start_clusters(model: VAE, batch: Batch, latent: str = "z", starts: int = 10, seed: int = 0) -> None:
    """Put the components of a latent's mixture prior where the codes of rows are, by the best of some ascents of EM.

    This is the second of the three steps in which VaDE is trained: first the model learns to reconstruct, with the KL
    left out or weighed lightly; then the mixture is fitted to the codes; then both are trained together.

    Args:
        model: a model whose latent has a `LearnedMixture` of independent normals; its prior is set in place.
        batch: rows `(n, *event)`.
        latent: the name of the latent.
        starts: ascents, of which the likeliest is taken.
        seed: of the starts.

    Raises `UsageError` for a prior of another kind.

    Source: Jiang et al., 2017.

    >>> from vaekit.recipes import build
    >>> model = build("vade", (6,), latent=2, components=3).model
    >>> start_clusters(model, Batch(torch.rand(100, 6)))
    """
    refuse_no_class(model, latent)
    prior = of(model, latent).prior
    if not isinstance(prior, LearnedMixture) or not isinstance(prior.family, Normal):
        raise UsageError(f"the prior of {latent!r} is no mixture of independent normals: take the recipe 'vade'")
    with evaluating(model), seeded(seed, batch.x.device):
        points = encode(model, batch, latent).double()
        ascents = [em(points, len(prior.logits)) for _ in range(starts)]
    best = max(ascents, key=lambda ascent: ascent.climbed[-1]).mixture
    deviations = best.covariances.diagonal(dim1=1, dim2=2).sqrt().clamp(min=2 * SMALLEST)
    with torch.no_grad():
        prior.params.copy_(torch.cat([best.means, unpositive(deviations)], dim=1))
        prior.logits.copy_(best.weights.clamp(min=1e-6).log())
