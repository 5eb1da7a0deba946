"""The privacy contracts of what Spark makes of the interactions, and of the published catalogue."""

from datetime import timedelta

from privacy.contracts import (
    AssetContract,
    Category,
    DeltaStore,
    LegalBasis,
    Purpose,
    Retention,
    Withhold,
    no_personal_data,
)

__all__ = ["INTERACTION_MATRIX", "POPULARITY", "PRODUCTS", "PROFILE", "SESSIONS"]

_OWNER = "team:data-platform"
_THREE_YEARS = Retention(days=1095, column="event_timestamp")


def _of_subjects(name: str, description: str, *purposes: Purpose) -> AssetContract:
    return AssetContract(
        key=f"lake/{name}",
        owner=_OWNER,
        description=description,
        category=Category.PSEUDONYMOUS,
        purposes=purposes,
        legal_basis=LegalBasis.CONSENT,
        retention=_THREE_YEARS,
        store=DeltaStore(path=name),
        subject="pseudonym",
        withhold=Withhold(at="materialisation", within=timedelta(days=1)),
    )


SESSIONS = _of_subjects(
    "sessions",
    "Visits of subjects who agree to analytics: length, page views, purchases.",
    Purpose.ANALYTICS,
)
# A profile of the past serves training and holds only what was agreed to for both; see `subject_profiles`.
PROFILE = _of_subjects(
    "subject_profile",
    "Taste of subjects who agree to personalisation, as of the newest interaction; and weekly before it, for training, of those "
    "who agree to that too.",
    Purpose.PERSONALISATION,
    Purpose.MODEL_TRAINING,
)
INTERACTION_MATRIX = _of_subjects(
    "interaction_matrix",
    "Interest of each subject who agrees to model training in each product.",
    Purpose.MODEL_TRAINING,
)
# Counted from those who agree to analytics. A count per product is about nobody, so whoever looks at the shop may be
# shown what is popular.
POPULARITY = AssetContract(
    key="lake/product_popularity",
    owner=_OWNER,
    description="Views, carts and purchases of each product, its decayed popularity and its trend, counted over subjects who "
    "agree to analytics; a figure of fewer than ten of them is left out.",
    category=Category.AGGREGATE,
    purposes=(
        Purpose.ANALYTICS,
        Purpose.PERSONALISATION,
        Purpose.MODEL_TRAINING,
        Purpose.EXPERIMENTATION,
    ),
    legal_basis=LegalBasis.CONSENT,
    retention=_THREE_YEARS,
    store=DeltaStore(path="product_popularity"),
    people=("subjects",),
)
PRODUCTS = no_personal_data(
    "lake/products",
    owner=_OWNER,
    description="The catalogue as the warehouse publishes it, with the sizes in stock.",
    reason="Describes articles.",
    store=DeltaStore(path="products"),
)
