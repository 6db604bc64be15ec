"""What identifies the data of a source."""

from __future__ import annotations

from typing import Any

from ifcurate.data.readers.files import Source
from ifcurate.errors import DataError
from ifcurate.storage.files import file_digest


def fingerprint_source(source: Source) -> dict[str, Any]:
    """Name, size and hash of a file; name, subset and split of a Hub dataset."""
    if source.format == "hub":
        return {
            "name": source.name,
            "format": "hub",
            "subset": source.subset,
            "split": source.split,
        }
    try:
        return {
            "name": source.name,
            "format": source.format,
            "compression": source.compression,
            "bytes": source.path.stat().st_size,
            "blake2b": file_digest(source.path),
        }
    except OSError as error:
        raise DataError(f"{source.name}: cannot be read: {error}; check the file") from error
