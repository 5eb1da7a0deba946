"""The feature views, each with its privacy contract in the tag `contract`."""

from datetime import timedelta

from feast import FeatureView, Field
from feast.types import Array, Float64, Int64, String

from feature_repo.entities import product, selvedge, subject
from feature_repo.sources import product_popularity_snapshots, products, subject_profile_push
from privacy.contracts import (
    AssetContract,
    Category,
    FeastOnlineStore,
    LegalBasis,
    Purpose,
    Retention,
    Withhold,
    no_personal_data,
)

PROJECT: str = selvedge.name
CONTRACT_TAG = "contract"
OWNER = "team:recommendations"
# How long values stay online that nobody refreshed: five weeks bridge missed runs, and a stale profile ranks nothing.
ONLINE = Retention(days=35)
# A snapshot holds until the next one: the lake stores none where only time passed.
UNTIL_REPLACED = timedelta(0)


def _store(view: str, entity: str) -> FeastOnlineStore:
    return FeastOnlineStore(project=PROJECT, feature_view=view, entity=entity)


subject_profile_contract = AssetContract(
    key="features/subject_profile",
    owner=OWNER,
    description="What a subject lately looked at and bought, for online ranking: decayed counts, "
    "favourite categories, brands and sizes, recent products.",
    category=Category.PSEUDONYMOUS,
    purposes=(Purpose.PERSONALISATION,),
    legal_basis=LegalBasis.CONSENT,
    retention=ONLINE,
    store=_store("subject_profile", "subject"),
    subject="pseudonym",
    withhold=Withhold(at="materialisation", within=timedelta(hours=24)),
)

product_popularity_contract = AssetContract(
    key="features/product_popularity",
    owner=OWNER,
    description="How often each product is viewed, put into carts and bought, with decay and trend; what fewer than ten "
    "people stand behind is null.",
    category=Category.AGGREGATE,
    purposes=(Purpose.ANALYTICS, Purpose.PERSONALISATION, Purpose.MODEL_TRAINING),
    legal_basis=LegalBasis.CONSENT,
    retention=ONLINE,
    store=_store("product_popularity", "product"),
)

product_attributes_contract = no_personal_data(
    "features/product_attributes",
    owner=OWNER,
    description="Brand, category, price, sustainability rating, sizes and seasons of each product.",
    reason="The catalogue describes products; no customer takes part in it.",
    store=_store("product_attributes", "product"),
)

subject_profile = FeatureView(
    name="subject_profile",
    entities=[subject],
    ttl=UNTIL_REPLACED,
    schema=[
        Field(name="pseudonym", dtype=String),
        Field(name="interactions_30d", dtype=Int64, description="Interactions in 30 days"),
        Field(name="purchases_90d", dtype=Int64, description="Purchases in 90 days"),
        Field(name="views_7d", dtype=Int64, description="Page views in 7 days"),
        Field(name="days_since_last_event", dtype=Float64, description="Days"),
        Field(name="mean_price", dtype=Float64, description="Shop currency; null if unknown"),
        Field(name="mean_sustainability", dtype=Float64, description="Rating; null if unknown"),
        Field(name="top_categories", dtype=Array(String), description="Best first, up to 8"),
        Field(name="top_category_scores", dtype=Array(Float64), description="In that order"),
        Field(name="top_brands", dtype=Array(String), description="Best first, up to 8"),
        Field(name="top_brand_scores", dtype=Array(Float64), description="In that order"),
        Field(name="top_sizes", dtype=Array(String), description="Best first, up to 4"),
        Field(name="top_size_scores", dtype=Array(Float64), description="In that order"),
        Field(name="recent_products", dtype=Array(String), description="Newest first, up to 20"),
    ],
    source=subject_profile_push,
    owner=OWNER,
    description=subject_profile_contract.description,
    tags={CONTRACT_TAG: subject_profile_contract.model_dump_json()},
)

product_popularity = FeatureView(
    name="product_popularity",
    entities=[product],
    ttl=UNTIL_REPLACED,
    schema=[
        Field(name="product_id", dtype=String),
        Field(
            name="product_views_7d",
            dtype=Int64,
            description="Page views in 7 days; null if few people",
        ),
        Field(
            name="carts_7d",
            dtype=Int64,
            description="Put into a cart in 7 days; null if few people",
        ),
        Field(name="purchases_7d", dtype=Int64, description="Bought in 7 days; null if few people"),
        Field(
            name="purchases_30d", dtype=Int64, description="Bought in 30 days; null if few people"
        ),
        Field(name="popularity", dtype=Float64, description="Weighted count, half-life 14 days"),
        Field(
            name="trend",
            dtype=Float64,
            description="7-day rate against the 28-day rate; 1 if few people",
        ),
    ],
    source=product_popularity_snapshots,
    owner=OWNER,
    description=product_popularity_contract.description,
    tags={CONTRACT_TAG: product_popularity_contract.model_dump_json()},
)

product_attributes = FeatureView(
    name="product_attributes",
    entities=[product],
    ttl=UNTIL_REPLACED,
    schema=[
        Field(name="product_id", dtype=String),
        Field(name="brand", dtype=String),
        Field(name="category", dtype=String),
        Field(name="price", dtype=Float64, description="Shop currency; null if unknown"),
        Field(name="sustainability_rating", dtype=Float64, description="Null if unknown"),
        Field(name="sizes", dtype=Array(String)),
        Field(name="in_stock_sizes", dtype=Array(String), description="Null if unknown"),
        Field(name="season_tags", dtype=Array(String)),
    ],
    source=products,
    owner=OWNER,
    description=product_attributes_contract.description,
    tags={CONTRACT_TAG: product_attributes_contract.model_dump_json()},
)
