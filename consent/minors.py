"""Subjects below the age of digital consent (Art. 8 GDPR): whose agreement counts only if a guardian states it.

`consent.minors` holds the day on which each of them reaches the age, and nobody else. The views over the ledger leave out the
agreements that do not count, so SQL, Spark and the masks follow without a rule of their own. That day changes nothing by
itself: a guardian's agreement holds on until the subject says otherwise, and the subject's earlier ones stay without effect.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from consent import withdrawal
from privacy.database import Role, connect

__all__ = ["GUARDIAN", "Ages", "ages", "comes_of_age", "record"]

GUARDIAN = "guardian"
"""Mechanism of a guardian's statement; one that says more begins with ``guardian_`` (``guardian_email``)."""

_FILE = Path(__file__).with_name("ages.yaml")
_NEVER = date.max
# Before it there was no age of digital consent, and no consent that the GDPR asks about (Art. 99).
_GDPR = date(2018, 5, 25)
# Until when a subject is a minor (None: was none), and when that was stated (None: their age is unknown).
_Told = tuple[date | None, datetime | None]


class Ages(BaseModel):
    """`ages.yaml`: the age of digital consent by country, and what holds where something is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: int = Field(ge=13, le=16)
    unknown_age: Literal["adult", "minor"]
    countries: dict[str, int]

    def of(self, country: str | None) -> int:
        """The age in `country` (ISO 3166-1 alpha-2, any case); the default where it is unknown."""
        return self.countries.get((country or "").strip().upper(), self.default)


@cache
def ages() -> Ages:
    """The ages in force."""
    return Ages.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))


def comes_of_age(born: date, country: str | None, rule: Ages | None = None) -> date:
    """The day on which somebody born on `born` reaches the age of digital consent of `country`."""
    year = born.year + (rule or ages()).of(country)
    try:
        return born.replace(year=year)
    except ValueError:  # 29 February
        return date(year, 3, 1)


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
    told: dict[str, _Told] = {}
    if rule.unknown_age == "minor":
        told |= {name: (_NEVER, None) for name, birth, *_ in statements if birth is None}
    told |= {
        name: (_minor_until(birth, country, at, rule), moment)
        for name, birth, country, at, moment in statements
        if birth is not None
    }
    changed = _write(told)
    withdrawal.catch_up(changed)
    return len(changed)


def _minor_until(
    born: date, country: str | None, since: datetime | None, rule: Ages
) -> date | None:
    """The day on which they reach the age; None for who had reached it when they came."""
    until = comes_of_age(born, country, rule)
    return until if until > (since.date() if since else _GDPR) else None


def _write(told: Mapping[str, _Told]) -> list[str]:
    """Make the table say what was told of these subjects, where it is not older than that; returns those whose entry changed."""
    with connect(Role.CONSENT) as connection, connection.cursor() as cursor:
        cursor.execute(
            "create temporary table told (pseudonym text, minor_until date, as_of timestamptz) on commit drop"
        )
        with cursor.copy("copy told (pseudonym, minor_until, as_of) from stdin") as copy:
            for pseudonym, said in told.items():
                copy.write_row((pseudonym, *said))
        rows = cursor.execute(
            "with news as ("
            "  select t.*, t.minor_until is distinct from m.minor_until as changes"
            "  from told as t left join consent.minors as m on m.pseudonym = t.pseudonym"
            "  where m.pseudonym is null or (t.as_of is not null and (m.as_of is null or t.as_of >= m.as_of))"
            "), gone as ("
            "  delete from consent.minors as m using news"
            "  where m.pseudonym = news.pseudonym and news.minor_until is null"
            "), kept as ("
            "  insert into consent.minors as m (pseudonym, minor_until, as_of)"
            "  select pseudonym, minor_until, as_of from news where minor_until is not null"
            "  on conflict (pseudonym) do update set minor_until = excluded.minor_until, as_of = excluded.as_of,"
            "    recorded_at = case when m.minor_until = excluded.minor_until then m.recorded_at else clock_timestamp() end"
            "  where (m.minor_until, m.as_of) is distinct from (excluded.minor_until, excluded.as_of)"
            ") select pseudonym from news where changes"
        ).fetchall()
        changed = [row[0] for row in rows]
        cursor.execute("select consent.mark_models_due(%s)", [changed])
    return changed
