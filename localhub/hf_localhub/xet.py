"""The Xet formats needed for uploads: xorbs (compressed chunks) and shards (which chunks make up which file)."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lz4.frame import LZ4FrameDecompressor

_RECORD = 48
_MAGIC = b"HFRepoMetaData"
_END = b"\xff" * 32
_FOOTER = b"XETBLOB"
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
            yield ShardFile([Segment(hash_text(row[0]), row[3], row[4]) for row in rows], sha256)
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

    def _locate(self) -> Iterator[tuple[int, int, int, int]]:
        at, size = 0, len(self._map)
        while at + 8 <= size and self._map[at : at + 7] != _FOOTER:
            version, scheme = self._map[at], self._map[at + 4]
            length, full = (int.from_bytes(self._map[at + skip : at + skip + 3], "little") for skip in (1, 5))
            if version or at + 8 + length > size:
                raise XetError("a chunk of the xorb is damaged")
            yield at + 8, length, scheme, full
            at += 8 + length

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the chunks from `first` up to `last`."""
        if not 0 <= first <= last <= len(self._chunks):
            raise XetError("the shard references chunks that the xorb does not have")
        for start, length, scheme, full in self._chunks[first:last]:
            yield _unpack(self._map[start : start + length], scheme, full)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()


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
