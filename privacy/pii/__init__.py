"""Personal data in free text: found by pattern or because its author is known, and masked before it is stored."""

from privacy.pii.detector import Detector
from privacy.pii.masker import FreeTextMasker, shared_masker

__all__ = ["Detector", "FreeTextMasker", "shared_masker"]
