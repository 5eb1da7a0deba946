"""What Dagster keeps of an error: it wraps what a step raised, sometimes more than once."""

from dagster_shared.error import SerializableErrorInfo

__all__ = ["innermost"]


def innermost(error: SerializableErrorInfo | None) -> SerializableErrorInfo | None:
    """The error that began it; None where Dagster kept none."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error
