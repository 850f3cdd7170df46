"""The names that both ends of the replication protocol use."""

from __future__ import annotations

from typing import Final

from nemorun_cli.tracking.outbox import addresses

PROTOCOLS: Final = ("1.0",)
BATCHES: Final = "batches"  # among the extensions of a server that takes several small files in one request
MOST_PARTS: Final = 128  # files in such a request
OFFSET: Final = "Upload-Offset"
LENGTH: Final = "Upload-Length"
COMPLETE: Final = "Upload-Complete"
LARGEST_BATCH: Final = 1 << 20  # bytes of the body of one append to rows, as it is sent
LARGEST_DECOMPRESSED: Final = 8 << 20  # bytes of the same, decompressed
LARGEST_ROW: Final = 1 << 29  # bytes, in several appends: as much as readers read of a file
LARGEST_FILE: Final = 10 << 30  # bytes of a saved file, unless the server has another limit
RESERVED: Final = addresses.RESERVED
