"""The privacy contracts of what is ingested, and the columns that the Dagster UI shows."""

from datetime import timedelta

from orchestration.ingest.interactions import PATH, SCHEMA
from privacy.contracts import (
    AssetContract,
    Category,
    ColumnTag,
    DeltaStore,
    Duty,
    LegalBasis,
    PostgresStore,
    Purpose,
    Retention,
    Withhold,
    no_personal_data,
)

__all__ = ["COLUMNS", "CONTRACTS"]

_OWNER = "team:data-platform"
_AT_NEXT_INGEST = Withhold(at="materialisation", within=timedelta(days=1))
_BEHAVIOUR = (Purpose.PERSONALISATION, Purpose.MODEL_TRAINING, Purpose.ANALYTICS, Purpose.EXPERIMENTATION)  # fmt: skip
_ALL = tuple(Purpose)
# Booking vouchers and invoices are kept for eight years from the end of the calendar year in which they arose: § 147 (1) no. 4, (3), (4)
# AO, § 257 (4) HGB and § 14b (1) UStG, as the fourth Bürokratieentlastungsgesetz (BGBl. 2024 I no. 323) has them since 2025; before, ten.
# What of an order an erasure leaves: a booking voucher must say what was sold, when, for how much and where it is taxed.
_VOUCHER_LAW = "§ 147 AO (1) no. 4, (3) and § 14b UStG: booking vouchers and invoices, eight years"
_VOUCHER_YEARS = 8
_VOUCHER_DAYS = 2922  # eight years: two leap days are in any eight of this century
_TAX_YEAR = "Europe/Berlin"
_THREE_YEARS = 1095
# No law says for how long consent must be provable: as long as a claim about it can be brought at the latest (§ 199 (3), (4) BGB).
_PROOF_DAYS = 3650


def _shop(name: str) -> PostgresStore:
    return PostgresStore(schema_name="shop", table=name)


def _of_people(
    name: str,
    description: str,
    *,
    retention: Retention,
    category: Category = Category.PSEUDONYMOUS,
    basis: LegalBasis = LegalBasis.CONTRACT,
    purposes: tuple[Purpose, ...] = _ALL,
    duty: Duty | None = None,
    masked: str | None = None,
    quasi_identifiers: tuple[str, ...] = (),
    sensitive: tuple[str, ...] = (),
) -> AssetContract:
    return AssetContract(
        key=f"shop/{name}",
        owner=_OWNER,
        description=description,
        category=category,
        purposes=purposes,
        legal_basis=basis,
        retention=retention,
        store=_shop(name),
        subject="pseudonym",
        withhold=_AT_NEXT_INGEST,
        duty=duty,
        columns={masked: ColumnTag.MASKED_TEXT} if masked else {},
        quasi_identifiers=quasi_identifiers,
        sensitive=sensitive,
        provided=True,
    )


def _voucher(*fields: str) -> Duty:
    return Duty(
        reference=_VOUCHER_LAW,
        years=_VOUCHER_YEARS,
        column="ordered_at",
        fields=fields,
        time_zone=_TAX_YEAR,
    )


def _as_vouchers(column: str) -> Retention:
    return Retention(days=_VOUCHER_DAYS, column=column, year_end_in=_TAX_YEAR)


def _of_things(name: str, description: str, reason: str) -> AssetContract:
    return no_personal_data(
        f"shop/{name}", owner=_OWNER, description=description, reason=reason, store=_shop(name)
    )


CONTRACTS: dict[str, AssetContract] = {
    "customers": _of_people(
        "customers",
        "Customers by pseudonym, with age and height as bands; names and addresses are in the vault alone.",
        category=Category.SENSITIVE,
        retention=Retention(days=_THREE_YEARS, column="updated_at"),
        quasi_identifiers=("country", "age_band", "height_band"),
        sensitive=("body_shape", "preferred_sizes"),
    ),
    "products": _of_things(
        "products", "The catalogue with prices and sustainability ratings.", "Describes articles."
    ),
    "inventory": _of_things("inventory", "Stock of each article and size.", "Counts articles."),
    "orders": _of_people(
        "orders",
        "Orders by pseudonym.",
        retention=_as_vouchers("ordered_at"),
        duty=_voucher("order_id", "ordered_at", "currency", "country"),
    ),
    "order_lines": _of_people(
        "order_lines",
        "Articles of each order, by pseudonym.",
        retention=_as_vouchers("ordered_at"),
        duty=_voucher(
            "order_line_id", "order_id", "product_id", "quantity", "unit_price", "ordered_at"
        ),
    ),
    "returns": _of_people(
        "returns",
        "Returned articles, by pseudonym.",
        retention=_as_vouchers("returned_at"),
        masked="reason",
    ),
    "quiz_answers": _of_people(
        "quiz_answers",
        "Answers to the style quiz, some about the body; personal data in them is masked.",
        category=Category.SENSITIVE,
        basis=LegalBasis.CONSENT,
        purposes=_BEHAVIOUR,
        retention=Retention(days=_THREE_YEARS, column="answered_at"),
        masked="answer",
        sensitive=("answer",),
    ),
    "feedback": _of_people(
        "feedback",
        "Ratings, fit and texts about articles; personal data in the texts is masked.",
        basis=LegalBasis.LEGITIMATE_INTERESTS,
        purposes=_BEHAVIOUR,
        retention=Retention(days=_THREE_YEARS, column="given_at"),
        masked="text_masked",
    ),
    "interactions": AssetContract(
        key="lake/interactions",
        owner=_OWNER,
        description="What visitors looked at, searched, put into the cart and bought, by pseudonym: from the shop's files "
        "and from the event stream of the API. Used for a purpose only where its subject agrees.",
        category=Category.PSEUDONYMOUS,
        purposes=_BEHAVIOUR,
        legal_basis=LegalBasis.CONSENT,
        retention=Retention(days=_THREE_YEARS, column="event_timestamp"),
        store=DeltaStore(path=PATH),
        subject="pseudonym",
        withhold=_AT_NEXT_INGEST,
        columns={"query": ColumnTag.MASKED_TEXT},
        provided=True,
    ),
    "consents": AssetContract(
        key="consent/records",
        owner="team:privacy",
        description="The consent ledger: every statement of agreement or refusal, appended and never changed. "
        "It shows that a person agreed (Art. 7(1)).",
        category=Category.PSEUDONYMOUS,
        purposes=_ALL,
        legal_basis=LegalBasis.LEGAL_OBLIGATION,
        retention=Retention(days=_PROOF_DAYS, column="stated_at"),
        store=PostgresStore(schema_name="consent", table="records"),
        subject="pseudonym",
        withhold=_AT_NEXT_INGEST,
        handler="consent_ledger",
        provided=True,
    ),
}

_SOURCE = {"source": "text", "source_key": "text", "ingested_at": "timestamptz"}
COLUMNS: dict[str, dict[str, str]] = {
    "customers": {
        "pseudonym": "text",
        "country": "text",
        "age_band": "text",
        "preferred_sizes": "jsonb",
        "height_band": "text",
        "body_shape": "text",
        "signed_up_at": "timestamptz",
        "updated_at": "timestamptz",
        **_SOURCE,
    },
    "products": {
        "product_id": "text",
        "name": "text",
        "brand": "text",
        "category": "text",
        "sustainability_rating": "numeric(4,2)",
        "price": "numeric(14,4)",
        "cost": "numeric(14,4)",
        "currency": "text",
        "sizes": "jsonb",
        "season_tags": "jsonb",
        "description": "text",
        "released_at": "timestamptz",
        "updated_at": "timestamptz",
        **_SOURCE,
    },
    "inventory": {
        "product_id": "text",
        "size": "text",
        "quantity": "int",
        "updated_at": "timestamptz",
        **_SOURCE,
    },
    "orders": {
        "order_id": "text",
        "pseudonym": "text",
        "ordered_at": "timestamptz",
        "status": "text",
        "currency": "text",
        "country": "text",
        **_SOURCE,
    },
    "order_lines": {
        "order_line_id": "text",
        "order_id": "text",
        "pseudonym": "text",
        "product_id": "text",
        "size": "text",
        "quantity": "int",
        "unit_price": "numeric(14,4)",
        "ordered_at": "timestamptz",
        **_SOURCE,
    },
    "returns": {
        "return_id": "text",
        "order_id": "text",
        "order_line_id": "text",
        "pseudonym": "text",
        "product_id": "text",
        "quantity": "int",
        "reason": "text",
        "returned_at": "timestamptz",
        **_SOURCE,
    },
    "quiz_answers": {
        "answer_id": "text",
        "pseudonym": "text",
        "question": "text",
        "answer": "text",
        "answered_at": "timestamptz",
        **_SOURCE,
    },
    "feedback": {
        "feedback_id": "text",
        "pseudonym": "text",
        "product_id": "text",
        "size": "text",
        "rating": "numeric(4,1)",
        "fit": "text",
        "text_masked": "text",
        "given_at": "timestamptz",
        **_SOURCE,
    },
    "interactions": {field.name: str(field.type) for field in SCHEMA},
    "consents": {
        "record_id": "bigint",
        "pseudonym": "text",
        "purpose": "text",
        "decision": "text",
        "stated_at": "timestamptz",
        "received_at": "timestamptz",
        "mechanism": "text",
        "policy_version": "text",
        "source": "text",
        "source_key": "text",
        "proof": "jsonb",
        "language": "text",
        "policy_sha256": "text",
        "agreed_at": "timestamptz",
        "salt": "uuid",
    },
}
