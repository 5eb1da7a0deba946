"""Every definition once, for `feast apply`: the other modules are ignored by `.feastignore` and imported here.

Feast imports each file of this folder as a module of its own; objects defined in one and imported in another would
exist twice and count as duplicates.
"""

from feature_repo.entities import product, selvedge, subject
from feature_repo.on_demand import affinity
from feature_repo.services import ranker_v1, training_v1
from feature_repo.sources import (
    product_popularity_snapshots,
    products,
    subject_profile_push,
    subject_profile_snapshots,
)
from feature_repo.views import product_attributes, product_popularity, subject_profile

__all__ = [
    "affinity",
    "product",
    "product_attributes",
    "product_popularity",
    "product_popularity_snapshots",
    "products",
    "ranker_v1",
    "selvedge",
    "subject",
    "subject_profile",
    "subject_profile_push",
    "subject_profile_snapshots",
    "training_v1",
]
