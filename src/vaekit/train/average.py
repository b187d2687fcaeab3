"""A moving average of the weights, which is steadier than the last of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from vaekit.core import VAE
from vaekit.train.ranks.shards import load_weights


class Average:
    """An exponential moving average of a model's weights: a <- decay a + (1 - decay) w after each update.

    It begins at the weights after the first update. Whole numbers and flags among the buffers are taken over as they
    are, as a mean would round them. Source: Polyak and Juditsky, 1992.
    """

    def __init__(self, model: VAE, decay: float) -> None:
        self.model = deepcopy(model).requires_grad_(False)
        self.decay = decay
        self._begun = False

    def update(self, model: VAE) -> None:
        """Move the averages towards the model's present values."""
        with torch.no_grad():
            for own, value in zip(_tensors(self.model), _tensors(model), strict=True):
                if self._begun and own.is_floating_point():
                    own.lerp_(value, 1 - self.decay)
                else:
                    own.copy_(value)
        self._begun = True

    def state(self) -> dict[str, Any]:
        """The averages, and whether there are any yet."""
        return {"model": self.model.state_dict(), "begun": self._begun}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        load_weights(self.model, state["model"])
        self._begun = state["begun"]


def _tensors(model: VAE) -> list[Tensor]:
    return [value.detach() for value in (*model.parameters(), *model.buffers())]
