"""Words where there is nothing to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Message:
    """A sentence in the place of a figure."""

    words: str
    template: ClassVar[str] = "message.html.j2"
