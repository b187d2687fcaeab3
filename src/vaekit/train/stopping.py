"""Early stopping, with the best weights kept."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Best:
    """Keeps the weights of the best epoch and says when there has been none better for too long."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.score = float("-inf")
        self.epoch = 0
        self._weights: dict[str, Tensor] = {}

    def consider(self, epoch: int, score: float, model: nn.Module) -> None:
        """Keep the weights if the score is the best so far."""
        if score > self.score:
            self.score, self.epoch = score, epoch
            self._weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def patience_is_over(self, epoch: int) -> bool:
        """Whether the best epoch lies `patience` epochs back."""
        return epoch - self.epoch >= self.patience

    def state(self) -> dict[str, Any]:
        """The best epoch, its score and its weights."""
        return {"epoch": self.epoch, "score": self.score, "weights": self._weights}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.epoch, self.score, self._weights = state["epoch"], state["score"], state["weights"]

    def restore(self, model: nn.Module) -> None:
        """Give the model its best weights back."""
        model.load_state_dict(self._weights)
