"""The simulated shop's customers: who they are, what they like, and when they came."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.sources.simulator.catalogue import SIZE_LABELS, Catalogue
from orchestration.sources.simulator.names import COUNTRIES, MAIL_DOMAINS
from orchestration.sources.simulator.taste import Floats, Ints, subject_vectors

__all__ = ["Identity", "People", "make_people", "opaque_ids"]

Times = NDArray[np.datetime64]

_NUMBERS = 89_999_999  # prime, so that multiplying permutes the customer numbers
_YEARS_BEFORE = 3
_MINORS = 0.02
_SHAPES = ("hourglass", "pear", "apple", "athletic", "petite", "full bust", "straight & narrow")


@dataclass(frozen=True, slots=True)
class Identity:
    """The direct identifiers of one customer, for texts in which they hide."""

    first: str
    last: str
    email: str
    phone: str
    street: str
    city: str
    country: str
    language: str


@dataclass(frozen=True, slots=True)
class People:
    """Some customers, n of them, as columns.

    Attributes
    ----------
    table: the raw table `customers` as the shop keeps it.
    subject_ids: (n,) customer numbers.
    identities: n direct identifiers.
    vectors: (n, dimensions), see `taste`.
    sizes: (n, size systems) index into each system's labels.
    signed_up: (n,) UTC.
    activity: (n,) expected sessions of a whole history, before the time of sign-up counts.
    openness: (n,) standard normal; how readily a person agrees to data use.
    treated: (n,) who gets the planted uplift.
    minor: (n,) who is between 13 and 16 years old at the end of the history.
    """

    table: pa.Table
    subject_ids: NDArray[np.object_]
    identities: list[Identity]
    vectors: Floats
    sizes: Ints
    signed_up: Times
    activity: Floats
    openness: Floats
    treated: NDArray[np.bool_]
    minor: NDArray[np.bool_]


def opaque_ids(rng: np.random.Generator, count: int, size: int = 16) -> pa.Array:
    """`count` random ids of `size` bytes in hexadecimal: they say nothing about the row or its person."""
    data = rng.bytes(count * size).hex().encode()
    offsets = np.arange(count + 1, dtype=np.int32) * (2 * size)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))


def make_people(
    rng: np.random.Generator,
    catalogue: Catalogue,
    *,
    first: int,
    count: int,
    weeks: int,
    end: datetime,
    sessions: float,
) -> People:
    """Customers `first` to `first + count`, with `sessions` expected sessions each in a history of `weeks` weeks."""
    stop = np.datetime64(end.replace(tzinfo=None), "us")
    department = rng.choice(3, count, p=[0.60, 0.31, 0.09])  # women's, men's, both
    numbers = 10_000_000 + (np.arange(first, first + count) * 48_271_003 + 7) % _NUMBERS
    subject_ids = np.array([f"KD-{number}" for number in numbers], dtype=object)
    female = np.where(department == 2, rng.random(count) < 0.5, department == 0)
    countries = rng.choice(len(COUNTRIES), count, p=[country.share for country in COUNTRIES])
    ages, minor = _with_minors(rng, _ages(rng, count))
    born = stop - (ages * 365.25 * 86_400).astype("timedelta64[s]")
    identities = _identities(rng, countries, female, born)
    centre, spread = np.where(female, 167.0, 180.0), np.where(female, 6.5, 7.0)
    height = (centre + spread * rng.standard_normal(count)).round()
    sizes = _sizes(rng, height, female)
    signed_up = _signed_up(rng, count, weeks, stop)
    return People(
        table=_table(rng, subject_ids, identities, born, height, sizes, department, signed_up),
        subject_ids=subject_ids,
        identities=identities,
        vectors=subject_vectors(rng, department != 1, department != 0, catalogue.brand_styles),
        sizes=sizes,
        signed_up=signed_up,
        activity=(sessions * rng.gamma(1.3, 1 / 1.3, count)).astype(np.float32),
        openness=rng.normal(size=count).astype(np.float32),
        treated=rng.random(count) < 0.5,
        minor=minor,
    )


def _ages(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Years, 16 to 84, most of them between 25 and 45."""
    return 16 + np.minimum(rng.gamma(4.0, 5.2, count), 68.0)


def _with_minors(
    rng: np.random.Generator, ages: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The ages with one customer in fifty between 13 and 16 instead, and who that is; takes no number out of `rng`'s own row."""
    (aside,) = rng.spawn(1)
    minor = aside.random(len(ages)) < _MINORS
    return np.where(minor, aside.uniform(13, 16, len(ages)), ages), minor


def _signed_up(rng: np.random.Generator, count: int, weeks: int, stop: np.datetime64) -> Times:
    """Seven in ten before the history began, within three years; the others during it."""
    days = np.where(
        rng.random(count) < 0.7,
        rng.uniform(weeks * 7, _YEARS_BEFORE * 365, count),
        rng.uniform(0.2, weeks * 7, count),
    )
    return stop - (days * 86_400).astype("timedelta64[s]").astype("timedelta64[us]")


def _identities(
    rng: np.random.Generator, countries: Ints, female: NDArray[np.bool_], born: Times
) -> list[Identity]:
    years = born.astype("datetime64[Y]").astype(int) % 100
    draws = rng.integers(0, 1 << 30, (len(countries), 7)).tolist()
    identities = []
    for country_index, is_woman, year, draw in zip(countries, female, years, draws, strict=True):
        country = COUNTRIES[country_index]
        firsts = country.women if is_woman else country.men
        first = firsts[draw[0] % len(firsts)]
        last = country.families[draw[1] % len(country.families)]
        local = (
            f"{_plain(first)}.{_plain(last)}"
            if draw[2] % 3
            else f"{_plain(first)[0]}{_plain(last)}"
        )
        digits = draw[5] % 10**country.phone_digits
        identities.append(
            Identity(
                first=first,
                last=last,
                email=f"{local}{year:02d}{draw[2] % 997}@{MAIL_DOMAINS[draw[3] % len(MAIL_DOMAINS)]}",
                phone=f"{country.phone}{digits:0{country.phone_digits}d}",
                street=f"{country.streets[draw[6] % len(country.streets)]} {draw[6] % 120 + 1}",
                city=country.cities[min(draw[4], draw[5]) % len(country.cities)],
                country=country.code,
                language=country.language,
            )
        )
    return identities


_PLAIN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", " ": "", "'": ""}
    | dict(zip("éèêëàâçîïôûÉ", "eeeeaaciioue", strict=True))
)


def _plain(name: str) -> str:
    """A name as it stands in mail addresses."""
    return name.lower().translate(_PLAIN)


def _sizes(
    rng: np.random.Generator, height: NDArray[np.float64], female: NDArray[np.bool_]
) -> Ints:
    """Index into the labels of each size system, (n, systems): a build for clothes, the height for shoes."""
    build = rng.normal(size=len(height))
    tall = (height - np.where(female, 167, 180)) / 7
    centres = [2.2 + 1.1 * build, 2.4 + 1.2 * build, 2.8 + 1.2 * build, 2.6 + 1.1 * tall]
    centres += [3.0 + 1.2 * tall, 0.0 * tall]
    columns = [
        np.clip(np.round(centre), 0, len(labels) - 1)
        for centre, labels in zip(centres, SIZE_LABELS, strict=True)
    ]
    return np.column_stack(columns).astype(np.int64)


def _some(rng: np.random.Generator, values: NDArray[np.generic], share: float) -> pa.Array:
    """`values` with all but `share` of them unknown."""
    return pa.array(values, mask=rng.random(len(values)) >= share, from_pandas=True)


def _table(
    rng: np.random.Generator,
    subject_ids: NDArray[np.object_],
    identities: list[Identity],
    born: Times,
    height: NDArray[np.float64],
    sizes: Ints,
    department: Ints,
    signed_up: Times,
) -> pa.Table:
    count = len(subject_ids)
    times = pa.timestamp("us", tz="UTC")
    preferred = [
        "|".join(SIZE_LABELS[system][row[system]] for system in systems)
        for row, systems in zip(
            sizes, ((0, 2, 4) if d == 1 else (0, 1, 3) for d in department), strict=True
        )
    ]
    return pa.table(
        {
            "customer_no": pa.array(subject_ids, pa.string()),
            "full_name": pa.array([f"{who.first} {who.last}" for who in identities]),
            "e_mail": pa.array([who.email for who in identities]),
            "phone": _some(rng, np.array([who.phone for who in identities], dtype=object), 0.6),
            "city": pa.array([who.city for who in identities]),
            "born": _some(rng, born.astype("datetime64[D]").astype(str).astype(object), 0.9),
            "country": pa.array([who.country for who in identities]),
            "sizes": _some(rng, np.array(preferred, dtype=object), 0.82),
            "height": _some(rng, height, 0.6),
            "body_shape": _some(
                rng, np.array(_SHAPES, dtype=object)[rng.integers(len(_SHAPES), size=count)], 0.35
            ),
            "registered": pa.array(signed_up, times),
            "changed": pa.array(signed_up, times),
        }
    )
