"""The feature services: what the ranker reads, and what models are trained on."""

from feast import FeatureService

from feature_repo.on_demand import affinity
from feature_repo.views import OWNER, product_attributes, product_popularity, subject_profile

ranker_v1 = FeatureService(
    name="ranker_v1",
    features=[
        subject_profile,
        product_popularity[["popularity", "trend"]],
        product_attributes[["brand", "category", "price", "sustainability_rating"]],
        affinity,
    ],
    owner=OWNER,
    description="Features of one subject and one product at ranking time.",
)

training_v1 = FeatureService(
    name="training_v1",
    features=[
        subject_profile,
        product_popularity,
        product_attributes[["brand", "category", "price", "sustainability_rating"]],
        affinity,
    ],
    owner=OWNER,
    description="Features of a subject and a product just before an interaction, for training.",
)
