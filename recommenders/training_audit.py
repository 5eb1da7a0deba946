"""Whether the training set is what the lake says: no row lost, every feature recomputed, none from after its interaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from privacy import lake
from recommenders.as_of import SOURCES, joined, later, with_affinities
from recommenders.permission import permitted
from recommenders.training_set import TRAINING_SET, training_set_contract

__all__ = ["SAMPLE", "TrainingAudit", "audit", "differing", "recomputed"]

SAMPLE = 1_000
_SEED = 29
_ROW = ("pseudonym", "product_id", "event_timestamp", "weight", "interactions")


@dataclass(frozen=True)
class TrainingAudit:
    """Counts of one audit.

    Attributes
    ----------
    rows: rows of the training set.
    dropped, added: interactions that it lacks, and rows of no interaction, of subjects who permit it now.
    sampled, equal: rows recomputed, and those of them whose every feature is the same.
    newer: sampled rows with the features of a snapshot that is not older than their interaction, where those differ.
    differing: feature to how many sampled rows differ in it.
    """

    rows: int
    dropped: int
    added: int
    sampled: int
    equal: int
    newer: int
    differing: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, added or different."""
        return not (self.dropped or self.added or self.newer) and self.equal == self.sampled


def audit(
    since: datetime | None = None, most: int | None = SAMPLE, seed: int = _SEED
) -> TrainingAudit:
    """Hold `lake/training_set` against the tables it was made of, at most `most` rows of it (None: all) feature by feature.

    `since`: the moment (UTC) before which interactions may be left out. Raises LakeError where a table does not exist.
    """
    rows = _read(TRAINING_SET)
    dropped, added = _unmatched(rows, since)
    sample = rows if most is None else rows.sample(min(most, rows.height), seed=seed)
    wrong = differing(sample, recomputed(sample))
    return TrainingAudit(
        rows=rows.height,
        dropped=dropped,
        added=added,
        sampled=sample.height,
        equal=int((~wrong["any"]).sum()),
        newer=_newer(sample.filter(wrong["any"]), wrong.filter(pl.col("any"))),
        differing=_counts(wrong.drop("any")),
    )


def recomputed(rows: pl.DataFrame) -> pl.DataFrame:
    """The features of each of `rows` (`pseudonym`, `product_id`, `event_timestamp`), in their order."""
    parts = [joined(rows, source).drop("taken") for source in SOURCES]
    return with_affinities(pl.concat(parts, how="horizontal"))


def differing(rows: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """Of each row and feature whether it differs from the expected one, and of each row (column `any`) whether one does.

    Equal are equal numbers to the last bit, lists in order, and null with null alone.
    """
    both = pl.concat([rows.select(expected.columns), expected.rename("{}_then".format)], how="horizontal")  # fmt: skip
    found = both.select(
        pl.col(name).ne_missing(pl.col(f"{name}_then")).alias(name) for name in expected.columns
    )
    return found.with_columns(any=pl.any_horizontal(pl.all()))


def _counts(wrong: pl.DataFrame) -> dict[str, int]:
    totals = wrong.sum().row(0, named=True) if wrong.height else {}
    return {name: int(count) for name, count in totals.items() if count}


def _read(table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    found = lake.open_table(table).to_pyarrow_table(columns=list(columns) if columns else None)
    return pl.DataFrame(found)


def _unmatched(rows: pl.DataFrame, since: datetime | None) -> tuple[int, int]:
    """Interactions without their row, and rows without their interaction."""
    matrix = _read("interaction_matrix", _ROW)
    subjects = set(matrix["pseudonym"]) | set(rows["pseudonym"])
    allowed = pl.Series(sorted(permitted(subjects, training_set_contract)), dtype=pl.String)

    found, made = (
        frame.filter(pl.col("pseudonym").is_in(allowed.implode())).select(_ROW)
        for frame in (rows, matrix)
    )
    due = made if since is None else made.filter(pl.col("event_timestamp") >= since)
    return _lacking(due, found), _lacking(found, made)


def _lacking(rows: pl.DataFrame, others: pl.DataFrame) -> int:
    """How many of `rows` are not among `others`, each counted as often as it is there."""
    counts = rows.group_by(_ROW).len()
    beside = others.group_by(_ROW).len("there")
    both = counts.join(beside, on=_ROW, how="left", nulls_equal=True)
    absent = pl.col("len").cast(pl.Int64) - pl.col("there").fill_null(0).cast(pl.Int64)
    return int(both.select(absent.clip(lower_bound=0).sum()).item())


def _newer(rows: pl.DataFrame, wrong: pl.DataFrame) -> int:
    """Rows in which the features of a source differ and are those of a later snapshot."""
    found = pl.repeat(value=False, n=rows.height, dtype=pl.Boolean, eager=True)
    for source in SOURCES:
        found |= wrong.select(pl.any_horizontal(source.features)).to_series() & later(rows, source)
    return int(found.sum())
