from datetime import UTC, date, datetime

import pyarrow as pa

from privacy.coarsening import age_bands, ages_at, height_bands


def test_age_counts_whole_years_at_the_moment() -> None:
    born = pa.array([date(2000, 3, 2), date(2000, 3, 1), date(2000, 2, 29), None])
    at = pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * 4, pa.timestamp("us", "UTC"))
    assert ages_at(born, at).to_pylist() == [25, 26, 26, None]


def test_ages_become_bands_without_gaps() -> None:
    ages = pa.array([13, 17, 18, 24, 25, 34, 44, 54, 64, 65, 99, None], pa.int32())
    assert age_bands(ages).to_pylist() == [
        "under 18", "under 18", "18-24", "18-24", "25-34", "25-34", "35-44", "45-54", "55-64",
        "65+", "65+", None,
    ]  # fmt: skip


def test_heights_become_bands_without_gaps() -> None:
    heights = pa.array([149.9, 150.0, 159.99, 160.0, 171.5, 189.0, 190.0, 210.0, None])
    assert height_bands(heights).to_pylist() == [
        "under 150", "150-159", "150-159", "160-169", "170-179", "180-189", "190+", "190+", None,
    ]  # fmt: skip
