"""A fixed change of scale."""

from __future__ import annotations

from torch import Tensor, nn

from vaekit.common.errors import UsageError


class UnitScale(nn.Module):
    """A value of known mean and spread brought to mean 0 and spread 1, the scale that the weights of nets start for.

    Raises `UsageError` for a spread that is not positive.

    >>> import torch
    >>> UnitScale(mean=0.5, spread=0.5)(torch.tensor([0.0, 1.0]))
    tensor([-1.,  1.])
    """

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        if not spread > 0:
            raise UsageError(f"a value of spread {spread} has no unit scale: it must vary")
        self.mean, self.spread = mean, spread

    def forward(self, x: Tensor) -> Tensor:
        """The value at its unit scale."""
        return (x - self.mean) / self.spread

    def extra_repr(self) -> str:
        """Mean and spread, for the module's printed form."""
        return f"mean={self.mean:.4g}, spread={self.spread:.4g}"

    def written(self, reads: str) -> str:
        """The change of scale, as a term."""
        return f"({reads} − {self.mean:.4g}) / {self.spread:.4g}" if self.mean else f"{reads} / {self.spread:.4g}"
