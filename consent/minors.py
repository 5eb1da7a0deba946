"""Subjects below the age of digital consent (Art. 8 GDPR): whose agreement counts only if a guardian states it.

Who they are, `privacy.age_of_consent` decides and keeps; here serving is told.
"""

from collections.abc import Sequence
from datetime import date, datetime

from consent import withdrawal
from privacy.age_of_consent import Ages, ages, keep, minor_until

__all__ = ["GUARDIAN", "record"]

GUARDIAN = "guardian"
"""Mechanism of a guardian's statement; one that says more begins with ``guardian_`` (``guardian_email``)."""


def record(
    pseudonyms: Sequence[str],
    born: Sequence[date | None],
    countries: Sequence[str | None],
    since: Sequence[datetime | None],
    rule: Ages | None = None,
) -> int:
    """Keep who was a minor when they came, and forget who, as is now known, was none; returns how many entries changed.

    Parameters
    ----------
    pseudonyms, born, countries, since: one element for each subject; `since` is when they came to the shop (their
        statements are not older), the GDPR's first day where it is unknown.

    What serves subjects who turn out to be minors without a guardian's agreement is dropped at once.
    """
    rule = rule or ages()
    told = {
        pseudonym: minor_until(birth, country, at, rule)
        for pseudonym, birth, country, at in zip(pseudonyms, born, countries, since, strict=True)
    }
    changed = keep(told)
    withdrawal.catch_up(changed)
    return len(changed)
