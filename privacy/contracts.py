"""What an asset holds about people, and how a person is found, exported, erased and withheld in it.

An `AssetContract` is plain data. It is declared where the asset is declared (an argument in Dagster, ``meta`` in
dbt YAML, tags on a Feast view, the manifest of a model) and is the only source of the erasure plan, the access export,
the record of processing and the ``/v1/assets`` API. The kind of its store selects the handler
(`privacy.stores.handler_for`).
"""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "SMALLEST_GROUP",
    "Artifacts",
    "AssetContract",
    "Category",
    "ColumnTag",
    "ContractError",
    "DeltaStore",
    "Duty",
    "FeastOnlineStore",
    "LegalBasis",
    "NoStore",
    "PostgresStore",
    "Purpose",
    "RedisStore",
    "RedisStream",
    "Retention",
    "Store",
    "Unlearn",
    "Withhold",
    "no_personal_data",
]


SMALLEST_GROUP = 10
"""An aggregate holds no figure that fewer people stand behind: one of few tells about each of them."""
_YEAR = 365.25  # days


class ContractError(ValueError):
    """An asset has no contract, or its contract contradicts itself; says which and what to do."""


class Category(StrEnum):
    """How closely the data is tied to a person."""

    NONE = "none"
    AGGREGATE = "aggregate"
    PSEUDONYMOUS = "pseudonymous"
    DIRECT = "direct"
    SENSITIVE = "sensitive"


class Purpose(StrEnum):
    """What data may be used for; `consent/purposes.yaml` gives each its text and legal basis."""

    PERSONALISATION = "personalisation"
    MODEL_TRAINING = "model_training"
    ANALYTICS = "analytics"
    EXPERIMENTATION = "experimentation"
    MARKETING_EMAIL = "marketing_email"
    SERVICE = "service"


class LegalBasis(StrEnum):
    """The six legal bases of Art. 6(1) GDPR, in its order."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class Unlearn(StrEnum):
    """How a trained model forgets a subject."""

    EXACT = "exact"
    FOLD_OUT = "fold_out"
    RETRAIN = "retrain"


class ColumnTag(StrEnum):
    """What the text of a column may hold that looks like personal data; a column without a tag may hold none.

    masked_text: what people wrote, masked before it was stored. Names and places that no rule knows may be left in it, never an
        e-mail address, or a telephone, card or bank account number.
    names_of_things: brands, authors and products that are called like people.
    places: streets and cities of shops, mills and warehouses.
    business_contact: how to reach a company, such as a supplier's address and telephone number.
    codes: numbers of articles, parcels and the like, some of which look like telephone or card numbers.
    encrypted: ciphertext or keyed hashes, which nobody reads.
    personal: personal data in clear, on purpose; only where the category is ``direct`` or ``sensitive``.
    """

    MASKED_TEXT = "masked_text"
    NAMES_OF_THINGS = "names_of_things"
    PLACES = "places"
    BUSINESS_CONTACT = "business_contact"
    CODES = "codes"
    ENCRYPTED = "encrypted"
    PERSONAL = "personal"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PostgresStore(_Frozen):
    """A Postgres table or view; a view is searched and exported but erased through its tables."""

    kind: Literal["postgres"] = "postgres"
    schema_name: str
    table: str
    is_view: bool = False


class DeltaStore(_Frozen):
    """A Delta table in the lake; `path` is relative to the lake's root."""

    kind: Literal["delta"] = "delta"
    path: str


class RedisStore(_Frozen):
    """Redis keys of a subject; `pattern` holds ``{pseudonym}``, and ``*`` where keys vary."""

    kind: Literal["redis"] = "redis"
    pattern: str


class RedisStream(_Frozen):
    """A Redis stream; the contract's `subject` names the field that holds the pseudonym."""

    kind: Literal["redis_stream"] = "redis_stream"
    key: str


class FeastOnlineStore(_Frozen):
    """One feature view in Feast's online store."""

    kind: Literal["feast_online"] = "feast_online"
    project: str
    feature_view: str
    entity: str


class Artifacts(_Frozen):
    """A folder of model artefacts; `path` is relative to the models' root.

    Files that hold one row per subject are Parquet with the contract's `subject` column, or ``.npy``
    arrays aligned to such a file as the manifest's ``subject_arrays`` says.
    """

    kind: Literal["artifacts"] = "artifacts"
    path: str


class NoStore(_Frozen):
    """The asset stores nothing (an action, such as registering feature definitions)."""

    kind: Literal["none"] = "none"


Store = Annotated[
    PostgresStore | DeltaStore | RedisStore | RedisStream | FeastOnlineStore | Artifacts | NoStore,
    Field(discriminator="kind"),
]


class Retention(_Frozen):
    """How long rows are kept.

    Attributes
    ----------
    days: the length.
    column: the timestamp column from which it is counted; None: from when they were written.
    year_end_in: a time zone; there it is counted from the end of the calendar year of `column`, as tax law counts.
    """

    days: int = Field(gt=0)
    column: str | None = None
    year_end_in: str | None = None

    @model_validator(mode="after")
    def _counts_from_a_year(self) -> Self:
        if self.year_end_in is not None and self.column is None:
            raise ContractError(
                "A retention is counted from the end of a column's year, and names no column: name one, or leave year_end_in out."
            )
        return self

    @property
    def start(self) -> str:
        """From when it is counted, in words."""
        if self.column is None:
            return "written"
        return f"the end of the year of {self.column}" if self.year_end_in else self.column

    def overdue_before(self, moment: datetime) -> datetime:
        """The time (UTC) of `column` before which rows are overdue at `moment`."""
        limit = moment - timedelta(days=self.days)
        if self.year_end_in is None:
            return limit
        year = limit.astimezone(ZoneInfo(self.year_end_in)).year
        return datetime(year, 1, 1, tzinfo=ZoneInfo(self.year_end_in)).astimezone(UTC)

    def last_day(self, at: datetime) -> date:
        """The day on which a row of the time `at` goes."""
        if self.year_end_in is not None:
            zone = ZoneInfo(self.year_end_in)
            at = datetime(at.astimezone(zone).year + 1, 1, 1, tzinfo=zone)
        return (at + timedelta(days=self.days)).date()


class Withhold(_Frozen):
    """How an opt-out takes effect, and within how long."""

    at: Literal["read", "materialisation"]
    within: timedelta


class Duty(_Frozen):
    """A law that keeps a record after its subject is erased, and what of the record it needs (Art. 17(3)(b)).

    Attributes
    ----------
    reference: the provision, as a certificate and an access export name it.
    years: full calendar years after the one in which the record arose.
    column: when the record arose.
    fields: the only columns that are kept; the subject is never one of them.
    time_zone: where the calendar year ends.
    """

    reference: str = Field(min_length=1)
    years: int = Field(gt=0)
    column: str
    fields: tuple[str, ...] = Field(min_length=1)
    time_zone: str = "Europe/Berlin"


class AssetContract(_Frozen):
    """The privacy contract of one asset.

    Attributes
    ----------
    key: the asset's key, parts joined by ``/`` (``shop/customers``).
    subject: the column, key field or join key that finds a person; None only where category is
        ``none`` or ``aggregate``.
    people: columns that say how many people stand behind a row, for an ``aggregate`` that is a table; one that is kept as
        artefacts says the same in its manifest (`smallest_group`).
    quasi_identifiers: columns that somebody outside may know of a person; k-anonymity is counted over their values.
    sensitive: columns that tell what nobody outside should learn; l-diversity is counted for each.
    derived_from_subject_rows: an ``aggregate`` may be recomputed without a subject at its next
        materialisation; nothing in it can be found by pseudonym.
    unlearn: for models only.
    retrain_within: how soon a model that must be trained again to forget (`Unlearn.RETRAIN`) is trained.
    duty: a law that keeps part of a row after an erasure; Postgres tables only.
    columns: tags of the columns (or fields) whose text may look personal and may be stored; all others are scanned for
        personal data after each materialisation, and finding some fails the run.
    handler: name of a handler registered in place of the store kind's default.
    provided: it holds what its subjects provided, by telling it or by what they did, as it came in; they may take it
        along where it rests on consent or a contract (Art. 20).
    """

    key: str = Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)*$")
    owner: str
    description: str = Field(min_length=1)
    category: Category
    purposes: tuple[Purpose, ...] = ()
    legal_basis: LegalBasis | None = None
    retention: Retention | None = None
    store: Store
    subject: str | None = None
    people: tuple[str, ...] = ()
    quasi_identifiers: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    withhold: Withhold | None = None
    unlearn: Unlearn | None = None
    retrain_within: timedelta | None = None
    duty: Duty | None = None
    columns: dict[str, ColumnTag] = Field(default_factory=dict)
    reason: str | None = None
    handler: str | None = None
    provided: bool = False

    @property
    def is_portable(self) -> bool:
        """Whether its subjects may take what it holds along (Art. 20(1))."""
        return self.provided and self.legal_basis in (LegalBasis.CONSENT, LegalBasis.CONTRACT)

    @property
    def holds_subjects(self) -> bool:
        """Whether a single person can be found in the asset."""
        return self.category not in (Category.NONE, Category.AGGREGATE)

    @model_validator(mode="after")
    def _forgets_in_time(self) -> Self:
        if (self.unlearn is Unlearn.RETRAIN) != (self.retrain_within is not None):
            raise ContractError(
                f"Contract of {self.key}: unlearn 'retrain' and retrain_within go together; say by when the model is "
                "trained without an erased subject, or choose another way to unlearn."
            )
        return self

    @model_validator(mode="after")
    def _keeps_what_it_may(self) -> Self:
        if self.duty is None:
            return self
        if not isinstance(self.store, PostgresStore) or self.store.is_view or not self.subject:
            raise ContractError(
                f"Contract of {self.key}: a duty keeps rows of a Postgres table of subjects, which this is not."
            )
        self._outlasts(self.duty)
        if self.subject in self.duty.fields:
            raise ContractError(
                f"Contract of {self.key}: the duty keeps '{self.subject}', so the record would still lead to its subject: "
                "leave it out of the duty's fields."
            )
        return self

    def _outlasts(self, duty: Duty) -> None:
        """Raises ContractError where rows leave by their age before the duty ends."""
        retention = self.retention
        if retention is None:
            return
        from_its_end = retention.year_end_in == duty.time_zone
        years = duty.years if from_its_end else duty.years + 1
        if retention.column != duty.column or retention.days < math.ceil(years * _YEAR):
            raise ContractError(
                f"Contract of {self.key}: its rows leave by their age before the duty ends ({duty.reference}). Keep them for "
                f"{math.ceil(duty.years * _YEAR)} days or more from the end of the year of '{duty.column}' in {duty.time_zone}."
            )

    @model_validator(mode="after")
    def _personal_columns_are_admitted(self) -> Self:
        personal = sorted(name for name, tag in self.columns.items() if tag is ColumnTag.PERSONAL)
        if personal and self.category not in (Category.DIRECT, Category.SENSITIVE):
            raise ContractError(
                f"Contract of {self.key} tags {', '.join(personal)} as personal, but its category is '{self.category}': "
                "make it 'direct' or 'sensitive', or mask the column before it is stored."
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.category is Category.NONE:
            if not self.reason:
                raise ContractError(
                    f"Contract of {self.key}: category 'none' needs a reason; use no_personal_data(reason=…)."
                )
            return self
        missing = [
            name for name in ("purposes", "legal_basis", "retention") if not getattr(self, name)
        ]
        if self.holds_subjects:
            missing += [name for name in ("subject", "withhold") if not getattr(self, name)]
        if missing:
            raise ContractError(
                f"Contract of {self.key} ({self.category}): {', '.join(missing)} must be declared, "
                "because the asset holds data about people."
            )
        return self


def no_personal_data(
    key: str,
    *,
    owner: str,
    description: str,
    reason: str,
    store: Store,
    columns: Mapping[str, ColumnTag] | None = None,
) -> AssetContract:
    """A contract for an asset that holds nothing about people, and why that is so.

    `columns` tags those whose text may look personal, as in `AssetContract`.
    """
    return AssetContract(
        key=key,
        owner=owner,
        description=description,
        category=Category.NONE,
        reason=reason,
        store=store,
        columns=dict(columns or {}),
    )
