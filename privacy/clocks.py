"""How far other clocks may be ahead of this one."""

from datetime import timedelta

__all__ = ["AHEAD"]

AHEAD = timedelta(minutes=5)
"""What is dated later than this from now is refused; what is dated within it may have happened up to this much earlier."""
