"""What the shop and the lake hold of one subject for personalisation, read with serving's own rights.

Serving may not read the schema `shop`. `consent.shop_profile` tells it of one subject what they agreed to, judged by the ledger
at that very moment, and the views of the ledger say which of the lake's events count.
"""

import re

from pydantic import AwareDatetime, BaseModel

from privacy.contracts import Purpose
from privacy.database import Role, connect
from privacy.withholding import EVERYTHING
from recommenders.interaction_history import Done, interaction_history

__all__ = [
    "Answer",
    "Bought",
    "Customer",
    "KeptSize",
    "Lake",
    "ShopProfile",
    "read_lake",
    "read_shop",
]

INTERACTIONS = "lake/interactions"
# A masked item stands in an answer as <EMAIL_ADDRESS>; a longer answer is a text and no tag.
_MASKED = re.compile(r"<[A-Z_]+>")
_LONGEST_TAG = 60
Lake = dict[str, Done]


class Customer(BaseModel):
    """The row of `shop.customers`, as far as it may be told."""

    country: str | None
    age_band: str | None
    height_band: str | None
    body_shape: str | None
    preferred_sizes: list[str] | None
    updated_at: AwareDatetime | None


class Answer(BaseModel):
    """The latest answer to one question of the style quiz."""

    question: str
    answer: str
    answered_at: AwareDatetime

    @property
    def is_tag(self) -> bool:
        """Whether it is short, and nothing in it was masked."""
        return len(self.answer) <= _LONGEST_TAG and not _MASKED.search(self.answer)


class KeptSize(BaseModel):
    """How often a size of one category was bought and not sent back."""

    category: str
    size: str
    times: int


class Bought(BaseModel):
    """Bought, or sent back: how often, when last, and the latest products."""

    count: int
    as_of: AwareDatetime | None
    latest: list[str]


class ShopProfile(BaseModel):
    """What `consent.shop_profile` tells of one subject; empty where nothing may be told."""

    customer: Customer | None = None
    answers: list[Answer] = []
    kept_sizes: list[KeptSize] = []
    purchased: Bought = Bought(count=0, as_of=None, latest=[])
    returned: Bought = Bought(count=0, as_of=None, latest=[])


def read_shop(pseudonym: str, style_questions: tuple[str, ...]) -> ShopProfile:
    """What the shop knows; raises psycopg.OperationalError where Postgres does not answer."""
    with connect(Role.SERVING) as connection:
        row = connection.execute(
            "select consent.shop_profile(%s, %s)", [pseudonym, list(style_questions)]
        ).fetchone()
    assert row is not None
    return ShopProfile.model_validate(row[0])


def read_lake(pseudonym: str) -> Lake:
    """What was done, by type of event, as far as the subject agreed to personalisation then and agrees now.

    Raises psycopg.OperationalError where Postgres does not answer, HistoryUnreadableError where the lake does not.
    """
    with connect(Role.SERVING) as connection:
        agreed = connection.execute(
            "select valid_from, valid_to from consent.intervals as i "
            "where i.pseudonym = %s and i.purpose = %s and i.agreed_now and not exists ("
            "select from consent.withheld as w where w.pseudonym = i.pseudonym and w.asset_key = any(%s))",
            [pseudonym, Purpose.PERSONALISATION.value, [INTERACTIONS, EVERYTHING]],
        ).fetchall()
    return dict(interaction_history(pseudonym, agreed))
