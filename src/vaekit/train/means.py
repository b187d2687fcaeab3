"""Means of an objective's terms over examples, gathered on the device and read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.core import VAE
from vaekit.objectives import Objective, Step, Terms
from vaekit.train.batches import Resident
from vaekit.train.labels import labels_wanted


@dataclass(frozen=True)
class Means:
    """Means over examples, in nats per example. `value` is what was optimised, `elbo` the plain bound."""

    value: float
    elbo: float
    log_likelihood: float
    kl: Mapping[str, float]

    @property
    def total_kl(self) -> float:
        """The KL of all latents together."""
        return sum(self.kl.values())

    def as_record(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


class Ledger:
    """A row of mean terms for each batch, on the device: nothing waits for it until it is read."""

    def __init__(self, batches: int, device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._rows: Tensor | None = None
        self._names: tuple[str, ...] = ()
        self._sizes: list[int] = []

    def add(self, terms: Terms) -> None:
        """Enter the terms of the next batch."""
        parts = {
            "the objective's value": terms.value,
            "the log-likelihood": terms.log_likelihood,
            **{f"the KL of {name!r}": kl for name, kl in terms.kl.items()},
        }
        if self._rows is None:
            self._names = tuple(parts)
            self._rows = torch.zeros(self._batches, len(parts), device=self._device)
        self._rows[len(self._sizes)] = torch.stack([part.detach().mean() for part in parts.values()])
        self._sizes.append(len(terms.value))

    def means(self, latents: tuple[str, ...]) -> Means:
        """The means over all examples entered."""
        rows = self._read()
        sizes = torch.tensor(self._sizes, dtype=rows.dtype)
        value, log_likelihood, *kl = (sizes @ rows / sizes.sum()).tolist()
        return Means(value, log_likelihood - sum(kl), log_likelihood, dict(zip(latents, kl, strict=True)))

    def first_fault(self) -> tuple[int, str] | None:
        """The first batch with a term that is not a finite number, and which; the value only where it is alone."""
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


def first_fault_of_weights(module: nn.Module) -> str | None:
    """The name of the first parameter that is not finite throughout."""
    return next((name for name, value in module.named_parameters() if not value.isfinite().all()), None)


def latent_names(model: VAE) -> tuple[str, ...]:
    """The names of a model's latents, as declared."""
    return tuple(name for name, _ in model.latents())


def mean_terms(model: VAE, objective: Objective, batches: Resident, step: Step | None = None) -> Means:
    """The mean terms of a pass over the data that learns nothing."""
    ledger = Ledger(len(batches), batches.x.device)
    with torch.no_grad(), evaluating(model):
        for batch in batches.labelled(labels_wanted(model, objective)).in_order():
            ledger.add(objective(model, batch, step or Step.first(batches.x.device)))
    return ledger.means(latent_names(model))


class evaluating:  # noqa: N801
    """A scope in which a module is in evaluation mode."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.was_training = module, module.training

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *_: object) -> None:
        self.module.train(self.was_training)
