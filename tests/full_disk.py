"""A disk that is full for a while."""

import contextlib
import resource


@contextlib.contextmanager
def largest_file(size):
    """The kernel refuses longer files, to libraries in any language."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
