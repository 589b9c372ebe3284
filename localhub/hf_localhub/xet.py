"""The Xet formats needed for uploads: xorbs (compressed chunks) and shards (which chunks make up which file)."""

from __future__ import annotations

import mmap
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from lz4.frame import LZ4FrameDecompressor

_RECORD = 48
_MAGIC = b"HFRepoMetaData"
_END = b"\xff" * 32
_FOOTER = b"XETBLOB"
_MOST_CHUNKS = 8192
"""Chunks of a xorb, as in the specification of the format."""
_OPEN_XORBS = 16
_WITH_VERIFICATION, _WITH_SHA256 = 1 << 31, 1 << 30


class XetError(ValueError):
    """The bytes are not a valid xorb or shard, or do not make up the file that the shard describes."""


def hash_text(raw: bytes) -> str:
    """Return a hash as URLs and the Hub write it: four little-endian words in hex."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive chunks of one xorb, from `first` up to `last`."""

    xorb: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file of a shard: its segments in order, and its sha256 if the client sent it."""

    segments: list[Segment]
    sha256: str | None


def read_shard(data: bytes) -> Iterator[ShardFile]:
    """Yield the files of a shard.

    Raises:
        XetError: the bytes are not a shard, or end early.
    """
    if not data.startswith(_MAGIC):
        raise XetError("these bytes are not a shard")
    at = _RECORD
    names: dict[bytes, str] = {}
    try:
        while data[at : at + 32] != _END:
            _, flags, count, _ = struct.unpack_from("<32sIIQ", data, at)
            at += _RECORD
            rows = [struct.unpack_from("<32sIIII", data, at + row * _RECORD) for row in range(count)]
            at += count * _RECORD * (2 if flags & _WITH_VERIFICATION else 1)
            sha256 = None
            if flags & _WITH_SHA256:
                sha256 = hash_text(struct.unpack_from("<32s", data, at)[0])
                at += _RECORD
            for row in rows:
                names.setdefault(row[0], hash_text(row[0]))
            yield ShardFile([Segment(names[row[0]], row[3], row[4]) for row in rows], sha256)
    except struct.error as error:
        raise XetError("the shard ends early") from error


class Xorb:
    """A stored xorb. Its chunks are located once and decompressed when they are read."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (FileNotFoundError, ValueError) as error:
            raise XetError(f"xorb {path.name} does not exist") from error
        self._chunks = list(self._locate())
        self.size = len(self._map)
        self._ends = [0, *accumulate(full for _, _, _, full in self._chunks)]

    def full_size(self, first: int, last: int) -> int:
        """Return the size of the chunks from `first` up to `last` once they are decompressed."""
        self._check(first, last)
        return self._ends[last] - self._ends[first]

    def _check(self, first: int, last: int) -> None:
        if not 0 <= first <= last <= len(self._chunks):
            raise XetError("the shard references chunks that the xorb does not have")

    def _locate(self) -> Iterator[tuple[int, int, int, int]]:
        at, count, size = 0, 0, len(self._map)
        while at + 8 <= size and self._map[at : at + 7] != _FOOTER:
            count += 1
            if count > _MOST_CHUNKS:
                raise XetError(f"the xorb has more than {_MOST_CHUNKS} chunks")
            version, scheme = self._map[at], self._map[at + 4]
            length, full = (int.from_bytes(self._map[at + skip : at + skip + 3], "little") for skip in (1, 5))
            if version or at + 8 + length > size:
                raise XetError("a chunk of the xorb is damaged")
            yield at + 8, length, scheme, full
            at += 8 + length

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the chunks from `first` up to `last`."""
        self._check(first, last)
        for start, length, scheme, full in self._chunks[first:last]:
            yield _unpack(self._map[start : start + length], scheme, full)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()


class Xorbs:
    """The xorbs of one account. Only the last used ones are open."""

    def __init__(self, path_of: Callable[[str], Path]) -> None:
        self._path_of = path_of
        self._open: OrderedDict[str, Xorb] = OrderedDict()

    def get(self, name: str) -> Xorb:
        """Return an open xorb.

        Raises:
            XetError: it does not exist or is damaged.
        """
        if name not in self._open:
            self._open[name] = Xorb(self._path_of(name))
            if len(self._open) > _OPEN_XORBS:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(name)
        return self._open[name]

    def chunks(self, file: ShardFile) -> Iterator[bytes]:
        """Yield the content of a file."""
        for segment in file.segments:
            yield from self.get(segment.xorb).read(segment.first, segment.last)

    def sizes(self, file: ShardFile) -> tuple[int, dict[str, int]]:
        """Return the size of a file, and the stored size of each xorb that it consists of."""
        full, stored = 0, {}
        for segment in file.segments:
            xorb = self.get(segment.xorb)
            full += xorb.full_size(segment.first, segment.last)
            stored[segment.xorb] = xorb.size
        return full, stored

    def close(self) -> None:
        """Close all of them."""
        for xorb in self._open.values():
            xorb.close()
        self._open.clear()


def _unpack(data: bytes, scheme: int, full: int) -> bytes:
    if scheme in (1, 2):
        try:
            data = LZ4FrameDecompressor().decompress(data, max_length=full + 1)
        except RuntimeError as error:
            raise XetError("a chunk cannot be decompressed") from error
    elif scheme != 0:
        raise XetError(f"compression scheme {scheme} is not known")
    if len(data) != full:
        raise XetError("the length of a chunk differs from its header")
    return _ungroup(data) if scheme == 2 else data


def _ungroup(data: bytes) -> bytes:
    out, at = bytearray(len(data)), 0
    for offset in range(4):
        count = len(range(offset, len(data), 4))
        out[offset::4] = data[at : at + count]
        at += count
    return bytes(out)
