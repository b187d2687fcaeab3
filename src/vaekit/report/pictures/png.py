"""PNG files, written with zlib alone."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Pixels `(height, width, channel)`: grey, grey and alpha, RGB, or RGB and alpha."""

_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}


def png(pixels: Pixels) -> bytes:
    """Pixels `(height, width, channel)`, uint8, as a PNG file of 1 (grey), 2 (with alpha), 3 (RGB) or 4 channels.

    Source: ISO/IEC 15948:2004.

    >>> png(np.zeros((1, 1, 1), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    unfiltered = np.zeros((height, 1), np.uint8)
    lines = np.hstack([unfiltered, pixels.reshape(height, width * channels)])
    chunks = _chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)), _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def data_uri(file: bytes) -> str:
    """A PNG file as an address that holds it.

    >>> data_uri(b"abc")
    'data:image/png;base64,YWJj'
    """
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"
