"""Subjects below the age of digital consent (Art. 8 GDPR): whose agreement counts only if a guardian states it.

Who they are, `privacy.age_of_consent` decides and keeps; here serving is told.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from operator import itemgetter

from consent import withdrawal
from privacy.age_of_consent import NEVER, Ages, Told, ages, keep, minor_until

__all__ = ["GUARDIAN", "record"]

GUARDIAN = "guardian"
"""Mechanism of a guardian's statement; one that says more begins with ``guardian_`` (``guardian_email``)."""


def record(
    pseudonyms: Sequence[str],
    born: Sequence[date | None],
    countries: Sequence[str | None],
    since: Sequence[datetime | None],
    rule: Ages | None = None,
    *,
    as_of: Sequence[datetime] | None = None,
) -> int:
    """Keep who was a minor when they came, and forget who, as is now known, was none; returns how many entries changed.

    Parameters
    ----------
    pseudonyms, born, countries, since, as_of: one element for each statement about a subject; `since` is when they came to
        the shop (what they said is not older), the GDPR's first day where it is unknown. `as_of` is when the statement was
        made or last changed (now, if left out): of several the newest counts, and one older than what is kept changes nothing.

    A date of birth that is not known says nothing: it neither makes a minor (unless `unknown_age` says so of those of whom
    nothing is kept) nor makes one an adult. What serves subjects who turn out to be minors without a guardian's agreement is
    dropped at once.
    """
    rule = rule or ages()
    moments = as_of if as_of is not None else [datetime.now(UTC)] * len(pseudonyms)
    statements = sorted(
        zip(pseudonyms, born, countries, since, moments, strict=True), key=itemgetter(4)
    )
    told: dict[str, Told] = {}
    if rule.unknown_age == "minor":
        told |= {name: (NEVER, None) for name, birth, *_ in statements if birth is None}
    told |= {
        name: (minor_until(birth, country, at, rule), moment)
        for name, birth, country, at, moment in statements
        if birth is not None
    }
    changed = keep(told)
    withdrawal.catch_up(changed)
    return len(changed)
