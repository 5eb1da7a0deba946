"""Forms of the identifiers in requests; narrow enough that an e-mail address or a sentence does not fit."""

from typing import Annotated

from pydantic import StringConstraints

__all__ = ["EventId", "ProductId", "RankingId", "SessionId", "Size"]

ProductId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/+ -]{0,63}$")]
Size = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+ -]{0,31}$")]
EventId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
RankingId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
