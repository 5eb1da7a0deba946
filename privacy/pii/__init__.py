"""Personal data in free text: found by pattern or because its author is known, and masked before it is stored."""

from privacy.pii.masker import FreeTextMasker, shared_masker

__all__ = ["FreeTextMasker", "shared_masker"]
