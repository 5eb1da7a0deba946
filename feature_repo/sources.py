"""Where features come from: Delta tables of the lake, and pushes of fresh profiles."""

from feast import FileSource, PushSource
from feast.data_format import DeltaFormat


def _delta(name: str, description: str, renamed: dict[str, str] | None = None) -> FileSource:
    return FileSource(
        name=f"lake_{name}",
        path=name,  # relative to the lake
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        field_mapping=renamed or {},
        description=description,
    )


subject_profile_snapshots = _delta(
    "subject_profile", "Weekly snapshots of decayed profiles, from consented interactions."
)
product_popularity_snapshots = _delta(
    "product_popularity",
    "Snapshots of counts and decayed popularity per product.",
    # A profile has `views_7d` too, and a training set holds both.
    renamed={"views_7d": "product_views_7d"},
)
products = _delta("products", "The product catalogue as the warehouse publishes it.")

subject_profile_push = PushSource(
    name="subject_profile_push",
    batch_source=subject_profile_snapshots,
    description="Fresh profiles between two snapshots; written online only with consent.",
)
