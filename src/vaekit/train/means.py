"""Means of an objective's terms over examples, gathered on the device and read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.common.seeds import reseed
from vaekit.core import VAE, Batch
from vaekit.objectives import Objective, Step, Terms
from vaekit.train.ranks.world import ALONE, World
from vaekit.train.rows.labels import labels_wanted
from vaekit.train.rows.source import Source, order_seed


@dataclass(frozen=True)
class Means:
    """Means over examples, in nats per example. `value` is what was optimised, `elbo` the plain bound.

    Where the posterior of a latent is a point, that latent has no KL, and the model no bound: `elbo` is None.
    """

    value: float
    elbo: float | None
    log_likelihood: float
    kl: Mapping[str, float]
    judged_by: str | None = None
    """What `value` is called, where that is what a model is chosen by; None for the ELBO."""

    @property
    def total_kl(self) -> float:
        """The KL of all latents together."""
        return sum(self.kl.values())

    @property
    def score(self) -> float:
        """What a model is chosen by: the ELBO, or where there is none the log-likelihood of the reconstruction."""
        if self.judged_by is not None:
            return self.value
        return self.log_likelihood if self.elbo is None else self.elbo

    @property
    def measure(self) -> str:
        """What the score is."""
        return self.judged_by or ("log-likelihood" if self.elbo is None else "ELBO")

    def as_record(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


@dataclass(frozen=True)
class Entries:
    """Rows of mean terms for a ledger, `(batches, terms)`, the terms' names and the batches' sizes."""

    names: tuple[str, ...]
    rows: Tensor
    sizes: tuple[int, ...]


def entries_of(terms: Terms) -> Entries:
    """The row of one batch: the means of its terms, detached and on its device."""
    parts = {
        "the objective's value": terms.value,
        "the log-likelihood": terms.log_likelihood,
        **{_kl_of(name): kl for name, kl in terms.kl.items()},
    }
    row = torch.stack([part.detach().mean() for part in parts.values()])
    return Entries(tuple(parts), row.unsqueeze(0), (len(terms.value),))


class Ledger:
    """A row of mean terms for each batch, on the device: nothing waits for it until it is read."""

    def __init__(self, batches: int, device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._rows: Tensor | None = None
        self._names: tuple[str, ...] = ()
        self._sizes: list[int] = []

    def add(self, terms: Terms, counted: int | None = None) -> None:
        """Enter the terms of the next batch, of whose examples so many count; all, if it is not said."""
        entries = entries_of(terms)
        self.enter(entries if counted is None else replace(entries, sizes=(counted,)))

    def enter(self, entries: Entries) -> None:
        """Enter the rows of the next batches."""
        if self._rows is None:
            self._names = entries.names
            self._rows = torch.zeros(self._batches, len(entries.names), device=self._device)
        begin = len(self._sizes)
        self._rows[begin : begin + len(entries.sizes)] = entries.rows
        self._sizes.extend(entries.sizes)

    def __len__(self) -> int:
        """How many batches were entered."""
        return len(self._sizes)

    def state(self) -> dict[str, Any]:
        """What was entered."""
        rows = None if self._rows is None else self._rows[: len(self)]
        return {"names": self._names, "rows": rows, "sizes": self._sizes}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        if state["sizes"]:
            self.enter(Entries(state["names"], state["rows"], state["sizes"]))

    def examples(self, world: World = ALONE) -> int:
        """How many examples were entered, on all ranks."""
        return int(world.sum(torch.tensor(sum(self._sizes))))

    def means(self, latents: tuple[str, ...], world: World = ALONE) -> Means:
        """The means over all examples entered, on all ranks."""
        rows = self._read()
        sizes = torch.tensor(self._sizes, dtype=rows.dtype)
        *sums, total = world.sum(torch.cat([sizes @ rows, sizes.sum().unsqueeze(0)])).tolist()
        value, log_likelihood, *kl = (part / total for part in sums)
        entered = dict(zip(self._names[2:], kl, strict=True))
        known = {name: entered[_kl_of(name)] for name in latents if _kl_of(name) in entered}
        elbo = log_likelihood - sum(known.values()) if len(known) == len(latents) else None
        return Means(value, elbo, log_likelihood, known)

    def first_fault(self) -> tuple[int, str] | None:
        """The first batch with a term that is not a finite number, and which; the value only where it is alone."""
        if not self._sizes:
            return None
        faulty = ~self._read().isfinite()
        if not faulty.any():
            return None
        batch = int(faulty.any(1).nonzero()[0])
        terms = [name for name, bad in zip(self._names, faulty[batch].tolist(), strict=True) if bad]
        parts = [name for name in terms if name != self._names[0]]
        return batch, " and ".join(parts or terms)

    def _read(self) -> Tensor:
        assert self._rows is not None, "a ledger is read after something was entered"
        return self._rows[: len(self._sizes)].double().cpu()


def _kl_of(latent: str) -> str:
    return f"the KL of {latent!r}"


def first_fault_of_weights(module: nn.Module) -> str | None:
    """The name of the first parameter that is not finite throughout."""
    return next((name for name, value in module.named_parameters() if not value.isfinite().all()), None)


def latent_names(model: VAE) -> tuple[str, ...]:
    """The names of a model's latents, as declared."""
    return tuple(name for name, _ in model.latents())


def mean_terms(
    model: VAE,
    objective: Objective,
    batches: Source,
    step: Step | None = None,
    world: World = ALONE,
    seed: int | None = None,
) -> Means:
    """The mean terms of a pass over the data that learns nothing; of several ranks, each passes over its share.

    With a seed each batch has draws of its own, from torch's global generators: they are the same whoever takes it.
    """
    ledger = Ledger(len(batches), batches.device)
    with torch.no_grad(), evaluating(model):
        for batch in _drawn(batches.labelled(labels_wanted(model, objective)), world, seed):
            ledger.add(objective(model, batch, step or Step.first(batches.device)), batch.counted)
    return ledger.means(latent_names(model), world)


def _drawn(batches: Source, world: World, seed: int | None) -> Iterator[Batch]:
    passing = batches.in_order()
    for own in count():
        if seed is not None:
            reseed(order_seed(seed, world.number(own)), batches.device)
        batch = next(passing, None)
        if batch is None:
            return
        yield batch


class evaluating:  # noqa: N801
    """A scope in which a module is in evaluation mode."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.was_training = module, module.training

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *_: object) -> None:
        self.module.train(self.was_training)
