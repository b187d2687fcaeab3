"""Reading a page as a browser would."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text; fails on a page whose elements do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def section(html: str, key: str) -> str:
    """One section of a page, as HTML."""
    found = re.search(rf'<section id="{key}">.*?</section>', html, re.DOTALL)
    assert found is not None, f"the page has no section {key}"
    return found[0]


def pictures(html: str) -> list[NDArray[np.uint8]]:
    """The pixels of the pictures in a piece of HTML, decoded by another program than the one that wrote them."""
    sources = [image["src"] for image in Page(html).all("img")]
    return [decoded(base64.b64decode(source.removeprefix("data:image/png;base64,"))) for source in sources]


def decoded(file: bytes) -> NDArray[np.uint8]:
    """A PNG file's pixels, `(height, width, channel)`."""
    pixels = np.asarray(Image.open(io.BytesIO(file)))
    return pixels[..., None] if pixels.ndim == 2 else pixels
