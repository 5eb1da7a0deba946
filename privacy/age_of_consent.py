"""The age of digital consent (Art. 8 GDPR), and who came before they had reached it.

`consent.minors` holds the day on which each of them reaches the age, and nobody else. The views over the ledger leave out the
agreements that do not count, so SQL, Spark and the masks follow without a rule of their own. That day changes nothing by
itself: a guardian's agreement holds on until the subject says otherwise, and the subject's earlier ones stay without effect.
"""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from privacy.database import Role, connect

__all__ = ["Ages", "ages", "came_as_minor", "comes_of_age", "keep", "minor_until"]

_FILE = Path(__file__).with_name("ages.yaml")
_NEVER = date.max
# Before it there was no age of digital consent, and no consent that the GDPR asks about (Art. 99).
_GDPR = date(2018, 5, 25)


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


def minor_until(
    born: date | None, country: str | None, since: datetime | None, rule: Ages | None = None
) -> date | None:
    """The day on which somebody who came at `since` (the GDPR's first day where unknown) is no minor any more.

    None for who was none when they came.
    """
    rule = rule or ages()
    if born is None:
        return _NEVER if rule.unknown_age == "minor" else None
    until = comes_of_age(born, country, rule)
    return until if until > (since.date() if since else _GDPR) else None


def keep(told: Mapping[str, date | None]) -> list[str]:
    """Make the table say of these pseudonyms until when each is a minor (None: not); returns those whose entry changed.

    Models that used the data of who turns out to be a minor are marked. The caller makes the masks follow.
    """
    with connect(Role.PRIVACY) as connection, connection.cursor() as cursor:
        cursor.execute(
            "create temporary table told (pseudonym text, minor_until date) on commit drop"
        )
        with cursor.copy("copy told (pseudonym, minor_until) from stdin") as copy:
            for row in told.items():
                copy.write_row(row)
        rows = cursor.execute(
            "with gone as ("
            "  delete from consent.minors as m using told as t"
            "  where m.pseudonym = t.pseudonym and t.minor_until is null returning m.pseudonym"
            "), kept as ("
            "  insert into consent.minors as m (pseudonym, minor_until)"
            "  select pseudonym, minor_until from told where minor_until is not null"
            "  on conflict (pseudonym) do update set minor_until = excluded.minor_until, recorded_at = clock_timestamp()"
            "  where m.minor_until <> excluded.minor_until returning m.pseudonym"
            ") select pseudonym from gone union all select pseudonym from kept"
        ).fetchall()
        changed = [row[0] for row in rows]
        cursor.execute("select consent.mark_models_due(%s)", [changed])
    return changed


def came_as_minor(pseudonym: str) -> bool:
    """Whether the subject is known to have come before the age of digital consent."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select 1 from consent.minors where pseudonym = %s", [pseudonym]
        ).fetchone()
    return row is not None
