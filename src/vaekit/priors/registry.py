"""The priors by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Size

from vaekit.common.registry import Registry
from vaekit.core.conditional import Conditional
from vaekit.priors.standard import standard_normal

PRIORS: Registry[Callable[[Size], Conditional]] = Registry("prior", {"standard_normal": standard_normal})
