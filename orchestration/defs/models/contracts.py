"""What each model holds about people."""

from datetime import timedelta

from privacy.contracts import (
    Artifacts,
    AssetContract,
    Category,
    LegalBasis,
    NoStore,
    Purpose,
    Retention,
    Unlearn,
    Withhold,
    no_personal_data,
)

__all__ = ["EVALUATION", "ITEM_INDEX", "LIGHTFM", "POPULARITY", "RANKER", "TRENDING"]

_OWNER = "team:recommendations"
_KEPT = Retention(days=30)
# Made anew every night; a week leaves room for nights that fail, and lies within the month of Art. 12(3).
_MADE_ANEW = timedelta(days=7)


def _aggregate(
    name: str, description: str, *purposes: Purpose, learns: bool = True
) -> AssetContract:
    """A model of everybody together; one that `learns` from people forgets one by being made anew."""
    return AssetContract(
        key=f"models/{name}",
        owner=_OWNER,
        description=description,
        category=Category.AGGREGATE,
        purposes=purposes,
        legal_basis=LegalBasis.CONSENT,
        retention=_KEPT,
        store=Artifacts(path=name),
        unlearn=Unlearn.RETRAIN if learns else None,
        retrain_within=_MADE_ANEW if learns else None,
    )


POPULARITY = _aggregate(
    "popularity",
    "One score per product: everybody's interest, halved every 14 days. Ranks for those who refuse personalisation.",
    Purpose.ANALYTICS,
)
TRENDING = _aggregate(
    "trending",
    "One score per product: how far its last seven days stand out against its last 28.",
    Purpose.ANALYTICS,
)
EVALUATION = _aggregate(
    "evaluation",
    "Recall@20, NDCG@20 and coverage of every model on the held-out last week, trained on what was before it, and the "
    "parameters chosen on the week before that.",
    Purpose.MODEL_TRAINING,
    Purpose.PERSONALISATION,
    learns=False,
)
LIGHTFM = AssetContract(
    key="models/lightfm",
    owner=_OWNER,
    description="The LightFM hybrid: vectors of products, of features, and of each subject who agrees to model training "
    "and to personalisation, with what they bought and last looked at.",
    category=Category.PSEUDONYMOUS,
    purposes=(Purpose.MODEL_TRAINING, Purpose.PERSONALISATION),
    legal_basis=LegalBasis.CONSENT,
    retention=_KEPT,
    store=Artifacts(path="lightfm"),
    subject="pseudonym",
    withhold=Withhold(at="materialisation", within=timedelta(days=1)),
    unlearn=Unlearn.FOLD_OUT,
)
ITEM_INDEX = _aggregate(
    "item_index",
    "The products' vectors in a Faiss index, for similar items and candidates, with the catalogue and its stock.",
    Purpose.MODEL_TRAINING,
    Purpose.PERSONALISATION,
)
RANKER = no_personal_data(
    "serving/ranker",
    owner=_OWNER,
    description="Which version of each model the ranker serves; publishing it makes serving processes reload.",
    reason="Names versions of models only; what they hold is in their own contracts.",
    store=NoStore(),
)
