"""What is left of canaries anywhere: one look at every file, row and key, by the battery's own means."""

from collections.abc import Sequence

from privacy.file_search import counter, needles_of
from tests.adversarial.canaries import Canary
from tests.adversarial.reading import everything
from tests.adversarial.whole_platform import Platform

__all__ = ["needles", "traces"]


def needles(platform: Platform, canaries: Sequence[Canary]) -> list[bytes]:
    """The spellings of their pseudonyms, and the texts that they wrote."""
    texts = [text.encode() for canary in canaries for text in canary.texts]
    return [*needles_of(platform.pseudonyms(canaries)), *texts]


def traces(platform: Platform, canaries: Sequence[Canary]) -> list[str]:
    """The places that still hold something of them."""
    count = counter(needles(platform, canaries))
    return sorted({place for place, piece in everything(platform) if count(piece)})
