"""A section of the report: a title, what one looks at and what would be bad, and a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol


class Figure(Protocol):
    """Something to look at: a frozen record, and the template that turns it into HTML."""

    template: ClassVar[str]
    """The template's file name; it finds the record as `figure`."""


@dataclass(frozen=True)
class Section:
    """One section of the page.

    >>> from vaekit.report.figures import Message
    >>> Section("curves", "Learning curves", "None were kept.", "", Message("No epochs.")).figure.template
    'message.html.j2'
    """

    key: str
    """The section's anchor in the page."""
    title: str
    explanation: str
    """What one looks at, in a sentence or two that a student understands."""
    trouble: str
    """What would be bad to see, as the end of the sentence "Bad would be ..."; empty where nothing would."""
    figure: Figure
