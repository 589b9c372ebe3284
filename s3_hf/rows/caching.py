"""Caches of `datasets` and of the Hub's client that cannot be written: one sentence that names the variable to set."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from s3_hf.errors import S3Error, StorageError, one_line
from s3_hf.files import error_number

_WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
"""Errors that only occur where something is written."""
_FULL = "Not enough disk space"
"""The words of `datasets`, whose error has no number."""


@contextlib.contextmanager
def cache_errors() -> Iterator[None]:
    """Raise StorageError where an error of the block comes from a cache that cannot be written; pass on all others."""
    try:
        yield
    except S3Error:
        raise
    except Exception as error:
        if (fault := _cache_fault(error)) is None:
            raise
        raise fault from error


def _cache_fault(error: BaseException | None) -> StorageError | None:
    """Return the sentence for the first error of the chain that comes from a cache, None if there is none."""
    while error is not None:
        if isinstance(error, OSError) and (place := _place(error)):
            detail = os.strerror(number).lower() if (number := error_number(error)) else one_line(error)
            variable, path = place
            name = variable if variable in os.environ else "HF_HOME"
            return StorageError(
                f"the cache of datasets must be a folder that can be written, found {str(path)!r} ({detail}); make "
                f"room or correct its rights, or set {name} to another folder"
            )
        error = error.__cause__ or error.__context__
    return None


def _place(error: OSError) -> tuple[str, Path] | None:
    """Return the cache that an error comes from, and the variable that moves it."""
    caches = _caches()
    if isinstance(error.filename, str | bytes | os.PathLike):
        place = Path(os.fsdecode(error.filename))
        for variable, cache in caches.items():
            inside, above = place.is_relative_to(cache), cache.is_relative_to(place)
            if (inside and error.errno != errno.ENOENT) or ((inside or above) and not cache.exists()):
                return variable, cache
        return None
    written = error_number(error) in _WRITING or _FULL in str(error)
    return next(iter(caches.items())) if written else None


def _caches() -> dict[str, Path]:
    import datasets
    from huggingface_hub import constants

    return {
        "HF_DATASETS_CACHE": Path(datasets.config.HF_DATASETS_CACHE),
        "HF_MODULES_CACHE": Path(datasets.config.HF_MODULES_CACHE),
        "HF_HUB_CACHE": Path(constants.HF_HUB_CACHE),
    }
