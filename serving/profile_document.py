"""The document of a subject's profile, in the shape that the shop expects."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

__all__ = [
    "Demographics",
    "InteractionHistory",
    "Interactions",
    "Origin",
    "Provenance",
    "SizesOfCategory",
    "SubjectProfileDocument",
]

_EXAMPLE: dict[str, Any] = {
    "user_id": "AAFkm1qVbR0nJ5mHq0u3s8pXw2Zt7yLcV4gKe9dQxNfTjBvA6hUrMzWo1iPsEyCl",
    "demographics": {
        "age_band": "25-34",
        "country": "DE",
        "height_band": "170-179",
        "body_shape": None,
    },
    "style_tags": ["minimal", "office", "dresses"],
    "preferred_sizes": [
        {"category": None, "sizes": ["M", "L"]},
        {"category": "dresses", "sizes": ["M"]},
    ],
    "wishlist": ["SEL-00450"],
    "interaction_history": {
        "viewed": {"count": 41, "latest_products": ["SEL-00545", "SEL-00450"]},
        "clicked": {"count": 0, "latest_products": []},
        "added_to_cart": {"count": 3, "latest_products": ["SEL-00545"]},
        "purchased": {"count": 2, "latest_products": ["SEL-00102", "SEL-00077"]},
        "returned": {"count": 1, "latest_products": ["SEL-00077"]},
    },
    "provenance": {
        "demographics": [
            {
                "asset": "shop/customers",
                "purpose": "personalisation",
                "as_of": "2026-11-20T08:00:00Z",
            }
        ],
        "style_tags": [
            {
                "asset": "shop/quiz_answers",
                "purpose": "personalisation",
                "as_of": "2026-03-01T12:00:00Z",
            }
        ],
        "preferred_sizes": [
            {
                "asset": "shop/customers",
                "purpose": "personalisation",
                "as_of": "2026-11-20T08:00:00Z",
            }
        ],
        "wishlist": [
            {
                "asset": "lake/interactions",
                "purpose": "personalisation",
                "as_of": "2026-11-23T19:04:11Z",
            }
        ],
        "interaction_history": [
            {
                "asset": "lake/interactions",
                "purpose": "personalisation",
                "as_of": "2026-11-24T07:30:02Z",
            }
        ],
    },
}


class Demographics(BaseModel):
    """Who somebody is, as bands; null where it is not known."""

    age_band: str | None = None
    country: Annotated[str | None, Field(description="ISO 3166-1 alpha-2")] = None
    height_band: Annotated[str | None, Field(description="In cm")] = None
    body_shape: str | None = None


class SizesOfCategory(BaseModel):
    """Sizes of one category of garments."""

    category: Annotated[
        str | None, Field(description="The shop's category; null: stated or worn whatever it is")
    ]
    sizes: Annotated[list[str], Field(description="The most fitting first")]


class Interactions(BaseModel):
    """One kind of interaction."""

    count: Annotated[
        int, Field(ge=0, description="How often, as of the last ingest of events and orders")
    ] = 0
    latest_products: Annotated[
        list[str],
        Field(description="Different products, newest first; those of this visit among them"),
    ] = []


class InteractionHistory(BaseModel):
    """What was done with products of the shop."""

    viewed: Interactions = Interactions()
    clicked: Interactions = Interactions()
    added_to_cart: Interactions = Interactions()
    purchased: Interactions = Interactions()
    returned: Interactions = Interactions()


class Origin(BaseModel):
    """Where something came from."""

    asset: Annotated[
        str,
        Field(
            description="The asset's key, as `GET /v1/assets` lists it: objecting to it leaves it out here"
        ),
    ]
    purpose: Literal["personalisation"] = "personalisation"
    as_of: Annotated[
        AwareDatetime | None, Field(description="The time (UTC) that it is of; null: not known")
    ]


class Provenance(BaseModel):
    """Where each part came from; nothing for a part that nothing is known of."""

    demographics: list[Origin] = []
    style_tags: list[Origin] = []
    preferred_sizes: list[Origin] = []
    wishlist: list[Origin] = []
    interaction_history: list[Origin] = []


class SubjectProfileDocument(BaseModel):
    """What the platform knows of one subject for personalisation."""

    model_config = ConfigDict(title="SubjectProfile", json_schema_extra={"examples": [_EXAMPLE]})

    user_id: Annotated[str, Field(description="The subject reference that was asked with")]
    demographics: Demographics = Demographics()
    style_tags: Annotated[
        list[str],
        Field(description="What was said in the style quiz, then categories that are liked"),
    ] = []
    preferred_sizes: Annotated[
        list[SizesOfCategory],
        Field(description="What was stated or is worn, then what was bought and kept, by category"),
    ] = []
    wishlist: Annotated[list[str], Field(description="Products, the newest wish first")] = []
    interaction_history: InteractionHistory = InteractionHistory()
    provenance: Provenance = Provenance()
