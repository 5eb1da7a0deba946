"""Each subject's taste as of each snapshot: counts, decayed shares of categories, brands and sizes, latest products."""

from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from orchestration.defs.profiles.snapshots import (
    age_days,
    as_of_snapshots,
    decay,
    due_snapshots,
    on_the_grid,
    snapshot_time,
)
from recommenders.signals import signals

__all__ = ["SCHEMA", "subject_profiles"]

# Weeks after one with events in which something but the time changes: it ends, counts of 7, 30 and 90 days run out.
WEEKS_AFTER = (0, 1, 2, 5, 13)
TOP = {"category": 8, "brand": 8, "size": 4}
COLUMNS = {"category": "top_categories", "brand": "top_brands", "size": "top_sizes"}
RECENT = 20
# Latest products are looked for in this many weeks with events; 20 different ones lie in far fewer.
RECENT_WEEKS = 26
_STRINGS, _DOUBLES = pa.list_(pa.string()), pa.list_(pa.float64())
_TIME = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("event_timestamp", _TIME),
        ("created", _TIME),
        ("interactions_30d", pa.int64()),
        ("purchases_90d", pa.int64()),
        ("views_7d", pa.int64()),
        ("days_since_last_event", pa.float64()),
        ("mean_price", pa.float64()),
        ("mean_sustainability", pa.float64()),
        ("top_categories", _STRINGS),
        ("top_category_scores", _DOUBLES),
        ("top_brands", _STRINGS),
        ("top_brand_scores", _DOUBLES),
        ("top_sizes", _STRINGS),
        ("top_size_scores", _DOUBLES),
        ("recent_products", _STRINGS),
    ]
)


def subject_profiles(
    current: DataFrame, trainable: DataFrame, products: DataFrame, clock: datetime
) -> DataFrame:
    """Profiles in the columns of `SCHEMA`: one per subject as of `clock`, and weekly ones before it.

    Parameters
    ----------
    current: interactions that serve personalisation; the profile as of `clock` is made of them.
    trainable: interactions that serve model training as well; the profiles of the past, which only training reads,
        are made of them.
    products: product_id with category, brand, price and sustainability_rating (null where unknown).
    clock: time of snapshot 0, see `snapshots.data_clock`.
    """
    latest = _events(current, products, clock)
    now = latest.select("pseudonym").distinct().withColumn("snapshot", F.lit(0))
    past = _events(trainable, products, clock)
    then = due_snapshots(past, "pseudonym", WEEKS_AFTER).cache()
    profiles = _profiles(latest, now).unionByName(_profiles(past, then))
    return profiles.select(
        "*",
        snapshot_time(F.col("snapshot"), clock).alias("event_timestamp"),
        F.lit(datetime.now(UTC)).alias("created"),
    ).select(*SCHEMA.names)


def _events(interactions: DataFrame, products: DataFrame, clock: datetime) -> DataFrame:
    """Interactions on the grid with their products' attributes, cached; what was only shown is no interaction.

    All of a subject's events lie in one partition, and whatever follows is per subject, so nothing is shuffled again.
    """
    attributes = products.select(
        "product_id", "category", "brand", "price", F.col("sustainability_rating").alias("rating")
    )
    done = interactions.filter(F.col("event_type") != "impression")
    return (
        on_the_grid(done, clock)
        .select("pseudonym", "product_id", "event_type", "size", "age_us", "week", "weight")
        .withColumn("decayed", F.col("weight") * decay(signals().taste_half_life))
        .join(F.broadcast(attributes), "product_id", "left")
        .repartition("pseudonym")
        .cache()
    )


def _profiles(events: DataFrame, due: DataFrame) -> DataFrame:
    """The snapshots of `due` (pseudonym, snapshot), computed from the events that each may know."""
    keys = ["pseudonym", "snapshot"]
    profiles = as_of_snapshots(due, _states(events), "pseudonym").join(
        _counts(events, due), keys, "left"
    )
    profiles = profiles.join(_top(events, due), keys, "left")
    none_known = {
        name: F.coalesce(name, F.array().cast(f"array<{kind}>"))
        for attribute, column in COLUMNS.items()
        for name, kind in ((column, "string"), (f"top_{attribute}_scores", "double"))
    }
    return profiles.fillna(0, ["interactions_30d", "purchases_90d", "views_7d"]).withColumns(
        {
            **none_known,
            "recent_products": F.coalesce("recent_products", F.array().cast("array<string>")),
            "days_since_last_event": age_days(F.col("snapshot")),
        }
    )


def _states(events: DataFrame) -> DataFrame:
    """Per subject and week with events: the newest event's age, means and latest products, all known by then."""
    weekly = (
        events.groupBy("pseudonym", "week")
        .agg(
            F.min("age_us").alias("age_us"),
            *_weighted_sums("price"),
            *_weighted_sums("rating"),
        )
        .join(_latest_products(events), ["pseudonym", "week"], "left")
    )
    older_first = Window.partitionBy("pseudonym").orderBy(F.col("week").desc())
    so_far = older_first.rowsBetween(Window.unboundedPreceding, 0)
    return weekly.select(
        "pseudonym",
        "week",
        "age_us",
        _mean("price", so_far).alias("mean_price"),
        _mean("rating", so_far).alias("mean_sustainability"),
        _newest_of(F.collect_list("_products").over(older_first.rowsBetween(1 - RECENT_WEEKS, 0))),
    )


def _weighted_sums(attribute: str) -> tuple[Column, Column]:
    """Sums of value times decayed weight and of the weights, over wanted products whose value is known."""
    weight = F.when((F.col("weight") > 0) & F.col(attribute).isNotNull(), F.col("decayed"))
    return (
        F.sum(weight * F.col(attribute)).alias(f"_{attribute}_sum"),
        F.sum(weight).alias(f"_{attribute}_weight"),
    )


def _mean(attribute: str, so_far: Window) -> Column:
    return F.sum(f"_{attribute}_sum").over(so_far) / F.sum(f"_{attribute}_weight").over(so_far)


def _latest_products(events: DataFrame) -> DataFrame:
    """Per subject and week, `_products`: up to 20 different products of positive interest, newest first."""
    wanted = events.filter((F.col("weight") > 0) & F.col("product_id").isNotNull())
    by_age = F.sort_array(F.collect_list(F.struct("age_us", "product_id")))
    return (
        wanted.groupBy("pseudonym", "week", "product_id")
        .agg(F.min("age_us").alias("age_us"))
        .groupBy("pseudonym", "week")
        .agg(F.slice(by_age["product_id"], 1, RECENT).alias("_products"))
    )


def _newest_of(weeks: Column) -> Column:
    """The newest different products of a list of weeks, the oldest week first."""
    newest_first = F.array_distinct(F.flatten(F.reverse(weeks)))
    return F.slice(newest_first, 1, RECENT).alias("recent_products")


def _counts(events: DataFrame, due: DataFrame) -> DataFrame:
    """Events in the 7, 30 and 90 days before each snapshot that is due."""
    reach = F.when(F.col("event_type") == "purchase", 13).otherwise(5)
    known_to = F.explode(F.sequence(F.greatest(F.lit(0), F.col("week") - reach), "week"))
    dated = events.withColumn("snapshot", known_to).withColumn("age", age_days(F.col("snapshot")))
    counts = dated.groupBy("pseudonym", "snapshot").agg(
        F.count_if(F.col("age") <= 30).alias("interactions_30d"),
        F.count_if((F.col("event_type") == "purchase") & (F.col("age") <= 90)).alias(
            "purchases_90d"
        ),
        F.count_if((F.col("event_type") == "page_view") & (F.col("age") <= 7)).alias("views_7d"),
    )
    return counts.join(due, ["pseudonym", "snapshot"], "left_semi")


def _top(events: DataFrame, due: DataFrame) -> DataFrame:
    """The best categories, brands and sizes as of each snapshot, each with its share of its kind's positive interest.

    Both sides of a share fade alike, so the decay as of snapshot 0 serves every snapshot.
    """
    kinds = [F.struct(F.lit(kind).alias("kind"), F.col(kind).alias("value")) for kind in TOP]
    weekly = (
        events.filter(F.col("weight") != 0)
        .select("pseudonym", "week", "decayed", F.inline(F.array(*kinds)))
        .filter(F.col("value").isNotNull())
        .groupBy("pseudonym", "kind", "value", "week")
        .agg(F.sum("decayed").alias("decayed"))
    )
    so_far = (
        Window.partitionBy("pseudonym", "kind", "value")
        .orderBy(F.col("week").desc())
        .rowsBetween(Window.unboundedPreceding, 0)
    )
    states = weekly.withColumn("score", F.sum("decayed").over(so_far)).drop("decayed")
    scored = as_of_snapshots(due, states, "pseudonym", "kind", "value").filter(F.col("score") > 0)
    best = scored.groupBy("pseudonym", "snapshot").agg(*map(_ranked, TOP))
    return best.select("pseudonym", "snapshot", *[name for kind in TOP for name in _shares(kind)])


def _ranked(kind: str) -> Column:
    """All values of `kind` with their negated scores, the best first."""
    entry = F.struct((-F.col("score")).alias("low"), "value")
    return F.sort_array(F.collect_list(F.when(F.col("kind") == kind, entry))).alias(kind)


def _shares(kind: str) -> tuple[Column, Column]:
    """The first values of `kind`, and each one's share of the sum over all of them."""
    total = F.aggregate(f"{kind}.low", F.lit(0.0), lambda done, low: done + low)
    best = F.slice(kind, 1, TOP[kind])
    return (
        best["value"].alias(COLUMNS[kind]),
        F.transform(best["low"], lambda low: low / total).alias(f"top_{kind}_scores"),
    )
