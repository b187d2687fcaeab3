"""What makes a run the same run, and what its bits depend on besides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import torch

from vaekit import __version__
from vaekit.common.errors import UsageError
from vaekit.core import VAE
from vaekit.objectives import Objective
from vaekit.train.runtime import describe
from vaekit.train.settings import Settings

FREE: Final = frozenset({"max_epochs"})
"""Settings that may change: more epochs than were asked for at first make a longer run of the same."""
ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True)
class Identity:
    """The settings, data and parts of a run, which have to be the same for it to go on, and its circumstances.

    With other circumstances it goes on too, but not to the bit.

    >>> one = Identity({"seed": 0, "batch_size": 128}, {"torch": "2.13.0"})
    >>> one.compare(Identity({"seed": 0, "batch_size": 64}, {"torch": "2.13.0"}), Path("runs/first"))
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: runs/first is of another run: its batch_size was 64, and now is 128; ...
    >>> one.compare(Identity({"seed": 0, "batch_size": 128}, {"torch": "2.11.0"}), Path("runs/first"))
    ['runs/first was written where torch was 2.11.0, and now is 2.13.0: the run goes on, but not to the bit']
    """

    settings: Mapping[str, Any]
    circumstances: Mapping[str, str]

    def compare(self, before: Identity, path: Path) -> list[str]:
        """What a user should know of circumstances that changed.

        Raises `UsageError` where the run is not the one that `before` tells of.
        """
        for words in _changes(before.settings, self.settings):
            raise UsageError(f"{path} is of another run: its {words}; give the same, or begin anew in another place")
        changes = _changes(before.circumstances, self.circumstances)
        return [f"{path} was written where {words}: the run goes on, but not to the bit" for words in changes]


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*now, *before)):
        was, is_now = before.get(name), now.get(name)
        if was != is_now:
            yield f"{name} was {_short(was)}, and now is {_short(is_now)}"


def _short(value: object) -> str:
    words = str(value)
    return words if len(words) <= 60 else f"{words[:57]}..."


def identity_of(
    model: VAE, objective: Objective, settings: Settings, device: torch.device, more: Mapping[str, Any]
) -> Identity:
    """The identity of a run of this model, by this objective and these settings, and of more that tells it.

    >>> from vaekit.recipes import build
    >>> found = identity_of(*build("vae", (6,)), Settings(seed=3), torch.device("cpu"), {"data": "a digest"})
    >>> found.settings["seed"], found.settings["data"], "max_epochs" in found.settings
    (3, 'a digest', False)
    """
    chosen = {item.name: _plain(getattr(settings, item.name)) for item in fields(settings) if item.name not in FREE}
    parts = {"model": model_words(model), "objective": ADDRESS.sub("", repr(objective))}
    circumstances = {"vaekit": __version__, "torch": torch.__version__, "device": describe(device)}
    return Identity({**more, **chosen, **parts}, circumstances)


def _plain(setting: object) -> object:
    """A setting as JSON can hold it, without the place it has in memory."""
    plain = isinstance(setting, (int, float, str)) or setting is None
    return setting if plain else ADDRESS.sub("", repr(setting))


def model_words(model: VAE) -> str:
    """A digest of the names, shapes and types of the weights.

    >>> from vaekit.recipes import build
    >>> model_words(build("vae", (6,)).model) == model_words(build("vae", (6,), seed=1).model)
    True
    """
    weights = [(name, tuple(value.shape), str(value.dtype)) for name, value in model.named_parameters()]
    return hashlib.sha256(repr(weights).encode()).hexdigest()
