"""Structured log lines of the API: JSON on standard output, free of anything a caller sent."""

import logging
from pathlib import Path
from traceback import extract_tb

import orjson
import structlog

from privacy.settings import PROJECT_ROOT

__all__ = ["configure_logs", "described", "log"]

log: structlog.stdlib.BoundLogger = structlog.get_logger("serving")


def configure_logs() -> None:
    """Set up structlog for this process; a second call changes nothing."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=lambda line, **_: orjson.dumps(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def described(error: BaseException) -> dict[str, object]:
    """What may be logged of `error`: its type and where it was raised.

    The message is left out: those of drivers and parsers repeat values, which may identify a person.
    """
    frames = [
        f"{_short(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in extract_tb(error.__traceback__)
    ]
    return {"error": f"{type(error).__module__}.{type(error).__qualname__}", "frames": frames[-8:]}


def _short(filename: str) -> str:
    path = Path(filename)
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :])
    if path.is_relative_to(PROJECT_ROOT):
        return str(path.relative_to(PROJECT_ROOT))
    return "/".join(path.parts[-2:])
