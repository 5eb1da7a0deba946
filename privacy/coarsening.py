"""Ages and heights as bands: what features need of a body, and no more."""

from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["age_bands", "ages_at", "born_at_latest", "height_bands"]

_AGE_EDGES = (0, 18, 25, 35, 45, 55, 65)
_HEIGHT_STEP, _SHORTEST, _TALLEST = 10, 150, 190  # cm


def ages_at(birth_dates: pa.Array, moments: pa.Array) -> pa.Array:
    """Whole years from each birth date (date32) to its moment (timestamp), int32; null where either is."""
    pairs = zip(birth_dates.to_pylist(), moments.to_pylist(), strict=True)
    return pa.array([_age(born, at) for born, at in pairs], pa.int32())


def born_at_latest(ages: pa.Array, moments: pa.Array) -> pa.Array:
    """The last day (date32) on which somebody of each age in years at its moment can be born; null where either is."""
    pairs = zip(ages.to_pylist(), moments.to_pylist(), strict=True)
    return pa.array([_birthday(age, at) for age, at in pairs], pa.date32())


def age_bands(ages: pa.Array) -> pa.Array:
    """Bands ``under 18``, ``18-24``, ``25-34`` … ``65+`` of ages in years; null where unknown."""
    return pa.array(
        [None if age is None else _age_band(age) for age in ages.to_pylist()], pa.string()
    )


def height_bands(centimetres: pa.Array) -> pa.Array:
    """Bands ``under 150``, ``150-159`` … ``190+`` of heights in cm; null where unknown."""
    heights = pc.floor(centimetres).to_pylist()
    return pa.array([None if cm is None else _height_band(int(cm)) for cm in heights], pa.string())


def _age(born: date | None, at: datetime | None) -> int | None:
    if born is None or at is None:
        return None
    return at.year - born.year - ((at.month, at.day) < (born.month, born.day))


def _birthday(age: int | None, at: datetime | None) -> date | None:
    if age is None or at is None:
        return None
    try:
        return at.date().replace(year=at.year - age)
    except ValueError:  # 29 February
        return date(at.year - age, 3, 1)


def _age_band(age: int) -> str:
    lower = max(edge for edge in _AGE_EDGES if edge <= max(age, 0))
    if lower == 0:
        return f"under {_AGE_EDGES[1]}"
    if lower == _AGE_EDGES[-1]:
        return f"{lower}+"
    return f"{lower}-{_AGE_EDGES[_AGE_EDGES.index(lower) + 1] - 1}"


def _height_band(cm: int) -> str:
    if cm < _SHORTEST:
        return f"under {_SHORTEST}"
    if cm >= _TALLEST:
        return f"{_TALLEST}+"
    lower = cm // _HEIGHT_STEP * _HEIGHT_STEP
    return f"{lower}-{lower + _HEIGHT_STEP - 1}"
