"""How the ids lie on disk: one zarr v3 array, int16 [frame, point], a chunk a frame, few large shards.

zarr encodes into memory and the caller writes the bytes: so a file can be hashed, flushed and renamed as a whole, and
no process ever writes into a file that another one may have open.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarr.storage import MemoryStore

from pipeline.regions.ids import ABSENT, PADDING

ARRAY = "ids.zarr"
HEADER = f"{ARRAY}/zarr.json"


@dataclass(frozen=True)
class Layout:
    """Shape of the array.

    Attributes:
        frames: rows.
        width: columns: points of the largest frame, at least 1.
        frames_per_shard: rows of a shard; the last one may have fewer frames.
    """

    frames: int
    width: int
    frames_per_shard: int

    @property
    def firsts(self) -> range:
        """Position of the first frame of every shard."""
        return range(0, self.frames, self.frames_per_shard)

    def shard_file(self, first: int) -> str:
        """The file of the shard that starts with frame `first`, relative to the store."""
        return f"{ARRAY}/c/{first // self.frames_per_shard}/0"


def encode_header(layout: Layout) -> bytes:
    """The content of `HEADER`; the same bytes for the same layout."""
    kept: dict[str, Any] = {}
    _create_array(layout, kept)
    return bytes(kept["zarr.json"].to_bytes())


def encode_shard(layout: Layout, first: int, ids: list[NDArray[np.int16] | None]) -> bytes:
    """The content of one whole shard.

    Args:
        layout: of the array.
        first: position of the shard's first frame, a multiple of `frames_per_shard`.
        ids: int16 [points] of each of its frames; None for a bad frame.
    """
    block = np.full((len(ids), layout.width), PADDING, np.int16)
    for row, frame in zip(block, ids, strict=True):
        if frame is not None:
            row[: len(frame)] = frame
    kept: dict[str, Any] = {}
    _create_array(layout, kept)[first : first + len(ids)] = block
    return bytes(kept[layout.shard_file(first).removeprefix(f"{ARRAY}/")].to_bytes())


def _create_array(layout: Layout, kept: dict[str, Any]) -> Any:
    """An array whose files land in `kept`. Chunks get a checksum too: zarr by itself protects the index only."""
    checked: tuple[Any, ...] = (ZstdCodec(level=3), Crc32cCodec())
    sharding = ShardingCodec(
        chunk_shape=(1, layout.width),
        codecs=[BytesCodec(), *checked],
        index_codecs=[BytesCodec(), Crc32cCodec()],
    )
    return zarr.create_array(
        MemoryStore(kept),
        shape=(layout.frames, layout.width),
        dtype=np.int16,
        chunks=(layout.frames_per_shard, layout.width),
        serializer=sharding,
        compressors=None,
        filters=None,
        fill_value=ABSENT,
    )
