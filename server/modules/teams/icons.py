"""The two icons of the Teams app, drawn here: four jacks, and a cord that joins two of them.

The bytes are the same everywhere: pixels are stored, not compressed, since compressors differ between machines.
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

_BLUE: Final = (31, 78, 140)
_WHITE: Final = (255, 255, 255)
_LONGEST_BLOCK: Final = 65_535
_LOW, _HIGH, _RADIUS = 0.25, 0.75, 0.15
_EDGE: Final = _RADIUS / math.sqrt(2)

Colour = tuple[int, int, int]


def colour_icon() -> bytes:
    """Returns a PNG of 192 by 192 pixels in full colour, with the symbol inside the middle half that Teams shows."""
    shades = [_between(_BLUE, _WHITE, level) for level in range(256)]
    return _png(192, _symbol(192, scale=0.5, line=0.08), shades, [255] * 256)


def outline_icon() -> bytes:
    """Returns a PNG of 32 by 32 pixels: white on nothing, as Teams wants outlines."""
    return _png(32, _symbol(32, scale=0.9, line=0.09), [_WHITE] * 256, list(range(256)))


def _between(low: Colour, high: Colour, level: int) -> Colour:
    red, green, blue = (first + (last - first) * level // 255 for first, last in zip(low, high, strict=True))
    return red, green, blue


def _symbol(size: int, *, scale: float, line: float) -> Callable[[int, int], int]:
    """Returns how much of a pixel the symbol covers, from 0 to 255."""

    def covered(column: int, row: int) -> int:
        x, y = (((place + 0.5) / size - 0.5) / scale + 0.5 for place in (column, row))
        distance = min(_from_jacks(x, y), _from_cord(x, y)) - line / 2
        return round(255 * min(1.0, max(0.0, 0.5 - distance * scale * size)))

    return covered


def _from_jacks(x: float, y: float) -> float:
    across, down = (_LOW if place < 0.5 else _HIGH for place in (x, y))
    return abs(math.hypot(x - across, y - down) - _RADIUS)


def _from_cord(x: float, y: float) -> float:
    """The cord runs from one jack to the one across, edge to edge."""
    nearest = min(max((x + y) / 2, _LOW + _EDGE), _HIGH - _EDGE)
    return math.hypot(x - nearest, y - nearest)


def _png(size: int, level: Callable[[int, int], int], palette: list[Colour], opacity: list[int]) -> bytes:
    rows = b"".join(b"\0" + bytes(level(column, row) for column in range(size)) for row in range(size))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(part for colour in palette for part in colour)),
        (b"tRNS", bytes(opacity)),
        (b"IDAT", b"".join(_stored(rows))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _stored(data: bytes) -> Iterator[bytes]:
    """Yields a zlib stream (RFC 1950) of stored blocks (RFC 1951 section 3.2.4)."""
    yield b"\x78\x01"
    for start in range(0, len(data), _LONGEST_BLOCK):
        block = data[start : start + _LONGEST_BLOCK]
        last = start + _LONGEST_BLOCK >= len(data)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block
    yield struct.pack(">I", zlib.adler32(data))
