"""Reading ahead: the next item is made in the background while the present one is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items in their order, the next one made by a thread while the last one is used: two are alive at most,
    so that an item's memory can be used again for the next but one.

    Whoever stops early waits for no more than the item that is being made. Errors are raised where their item would
    have come.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
