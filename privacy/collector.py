"""Python's cycle collector, put off where millions of small objects are made that form no cycle.

Each of its full passes walks everything that is alive, a vault's million pseudonyms among it: a sixth of the time that
looking up 200,000 subjects takes.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """No pass of the collector while the block runs; reference counting frees memory as ever.

    It holds for the whole process, and ends early where another thread's block ends first.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
