"""zuko, imported without the change it makes to torch: whether distributions validate stays as it was."""

from __future__ import annotations

from typing import Any

from torch.distributions import Distribution


def _imported() -> Any:
    validates = Distribution._validate_args
    import zuko

    Distribution.set_default_validate_args(validates)
    return zuko


zuko = _imported()
