"""Rectification (Art. 16): wrong values corrected where they are kept, and kept right.

The corrected values go into the vault, into the rows of the shop and of the lake, and beside them, so that an older row of the
source does not undo them (`privacy.corrections`). A corrected identifier leads to the subject in place of the old one. A
corrected date of birth or country decides anew whether the subject came as a minor. Features made of the old values are dropped
online at once and made anew by the next materialisation; so is the mask, which the caller writes again.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Self

import phonenumbers
import pyarrow as pa
from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from privacy import age_of_consent, lake, request_steps, tombstones
from privacy.coarsening import age_bands, ages_at, height_bands
from privacy.contracts import AssetContract, LegalBasis
from privacy.corrections import CUSTOMERS, FEEDBACK, INTERACTIONS, VAULT, Correction, keep
from privacy.database import Role, connect
from privacy.identifiers import CUSTOMER_NUMBER, EMAIL, PHONE
from privacy.pii import shared_masker
from privacy.presence import is_present
from privacy.registry import Registry
from privacy.request_steps import Subject
from privacy.stores import handler_for
from privacy.vault import Vault
from privacy.withholding import masks_in

__all__ = ["Corrections", "EventCorrection", "FeedbackCorrection", "rectify"]

_DIRECT = ("name", "email", "phone", "city", "birth_date")
_IDENTIFIERS = {"email": EMAIL, "phone": PHONE, "customer_number": CUSTOMER_NUMBER}
_AGE = frozenset({"birth_date", "country"})
_KEPT, _MINORS = "platform/rectifications", "platform/minors"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_OLDEST = 120  # years
_LAKE_PATH = "interactions"
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_Size = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+ -]{0,31}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            empty = sorted(str(name) for name in values if values[name] is None)
            if set(empty) & set(cls.model_fields):
                raise ValueError(
                    "A correction says what is right; leave out what is to stay, and ask for erasure of what is to go"
                )
        return values

    def given(self, *leave_out: str) -> dict[str, Any]:
        """The values that are to be corrected, by field."""
        return {
            name: value
            for name, value in self
            if name in self.model_fields_set and name not in leave_out
        }


class FeedbackCorrection(_Part):
    """What is right in one piece of the person's feedback."""

    feedback_id: Annotated[_Text, Field(description="Its number, as in the access export")]
    rating: Annotated[float | None, Field(ge=0, le=10, allow_inf_nan=False)] = None
    fit: Annotated[_Text | None, Field(description="How it fitted")] = None
    size: _Size | None = None
    text: Annotated[
        str | None,
        Field(min_length=1, max_length=10_000, description="Personal data in it is masked"),
    ] = None


class EventCorrection(_Part):
    """What is right in one of the person's interactions."""

    source_key: Annotated[
        str,
        Field(pattern=r"^[0-9A-Za-z_-]{1,64}$", description="Its key, as in the access export"),
    ]
    product_id: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/+ -]{0,63}$")] = (
        None
    )
    size: _Size | None = None


class Corrections(_Part):
    """The values that are right, by field; at least one."""

    name: _Text | None = None
    email: Annotated[_Text | None, Field(description="An e-mail address")] = None
    phone: Annotated[_Text | None, Field(description="With its country's code: +49 30 1234567")] = (
        None
    )
    customer_number: Annotated[
        _Text | None,
        Field(description="The shop's number of the person; administrators only"),
    ] = None
    city: _Text | None = None
    birth_date: date | None = None
    country: Annotated[
        str | None, Field(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2")
    ] = None
    preferred_sizes: Annotated[tuple[_Size, ...] | None, Field(max_length=20)] = None
    height_cm: Annotated[
        float | None, Field(ge=40, le=260, description="Kept as a band of 10 cm")
    ] = None
    body_shape: _Text | None = None
    feedback: Annotated[tuple[FeedbackCorrection, ...], Field(max_length=100)] = ()
    interactions: Annotated[tuple[EventCorrection, ...], Field(max_length=1_000)] = ()

    @field_validator("email")
    @classmethod
    def _is_email(cls, value: str | None) -> str | None:
        if value is not None and not _EMAIL.fullmatch(value):
            raise ValueError("Input should be an e-mail address (name@host.example)")
        return value

    @field_validator("phone")
    @classmethod
    def _is_phone(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            number = phonenumbers.parse(value)
        except phonenumbers.NumberParseException:
            number = None
        if number is None or not phonenumbers.is_possible_number(number):
            raise ValueError("Input should be a phone number with its country's code (+49 …)")
        return value

    @field_validator("birth_date")
    @classmethod
    def _is_birth_date(cls, value: date | None) -> date | None:
        today = datetime.now(UTC).date()
        if (
            value is not None
            and not today.replace(year=today.year - _OLDEST, day=1) <= value <= today
        ):
            raise ValueError(f"Input should be a day of the last {_OLDEST} years")
        return value

    @property
    def identifiers(self) -> dict[str, str]:
        """The corrected values by which a subject is found, by kind of identifier."""
        given = self.given()
        return {kind: given[name] for name, kind in _IDENTIFIERS.items() if name in given}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set or not any(self.given().values()):
            raise ValueError("At least one value to correct is needed")
        return self


def rectify(subject: Subject, corrections: Corrections, at: datetime, registry: Registry) -> bool:
    """Correct the subject's values everywhere, as of `at`; returns whether every step was done.

    Of somebody whom the vault does not know nothing is held, and nothing is written. Repeating it changes nothing.
    """
    changed = _corrections(corrections, at)
    actions: dict[str, Callable[[str], int]] = {
        _KEPT: lambda name: keep(name, _masked(name, changed), at),
        CUSTOMERS: lambda name: _customers(name, changed),
        FEEDBACK: lambda name: _feedback(name, changed),
        INTERACTIONS: lambda name: _events(name, changed),
        _MINORS: lambda name: _age(name, corrections),
    }
    touched = {_KEPT, *(entry.asset_key for entry in changed)}
    if corrections.model_fields_set & _AGE:
        touched.add(_MINORS)
    # First, for the rest would contradict a vault that refuses an identifier.
    if not _step(subject, VAULT, lambda name: _direct(name, corrections, at)):
        return False
    done = True
    for asset_key, action in actions.items():
        if asset_key in touched:
            done &= _step(subject, asset_key, action)
    for contract in _stale(subject, touched, registry):
        done &= request_steps.run([subject], contract.key, "online", _dropped(contract))
    return done


def _stale(subject: Subject, touched: set[str], registry: Registry) -> list[AssetContract]:
    """What serving holds that does not fit the corrected values; of a minor, everything that rests on consent."""
    minor = _MINORS in touched and age_of_consent.came_as_minor(subject.pseudonym)
    features = not touched.isdisjoint({CUSTOMERS, FEEDBACK, INTERACTIONS})
    stale = [
        contract
        for contract in registry.online
        if (features and contract.store.kind == "feast_online")
        or (minor and contract.legal_basis is LegalBasis.CONSENT)
        if contract.store.kind != "redis_stream"  # its ingest asks about each event
    ]
    masks = masks_in(registry) if _MINORS in touched else []
    return [*masks, *(contract for contract in stale if contract not in masks)]


def _dropped(contract: AssetContract) -> Callable[[Sequence[str]], Mapping[str, int]]:
    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(pseudonyms, handler_for(contract).erase(contract, pseudonyms))

    return action


def _step(subject: Subject, asset_key: str, action: Callable[[str], int]) -> bool:
    def guarded(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        (pseudonym,) = pseudonyms
        with tombstones.writing():
            return {pseudonym: action(pseudonym) if is_present(pseudonym) else 0}

    return request_steps.run([subject], asset_key, "rectify", guarded)


def _corrections(corrections: Corrections, at: datetime) -> list[Correction]:
    """The corrections as stored columns."""
    in_vault = (*_DIRECT, "customer_number")
    customer = corrections.given(*in_vault, "height_cm", "feedback", "interactions")
    if corrections.birth_date is not None:
        moments = pa.array([at], pa.timestamp("us", tz="UTC"))
        ages = ages_at(pa.array([corrections.birth_date], pa.date32()), moments)
        customer["age_band"] = age_bands(ages)[0].as_py()
    if corrections.height_cm is not None:
        customer["height_band"] = height_bands(pa.array([corrections.height_cm]))[0].as_py()
    found = [
        Correction(CUSTOMERS, "", column, list(value) if isinstance(value, tuple) else value)
        for column, value in customer.items()
    ]
    found += [
        Correction(VAULT, "", name, str(value))
        for name, value in corrections.given().items()
        if name in in_vault
    ]
    for piece in corrections.feedback:
        found += [
            Correction(
                FEEDBACK, piece.feedback_id, "text_masked" if name == "text" else name, value
            )
            for name, value in piece.given("feedback_id").items()
        ]
    for event in corrections.interactions:
        found += [
            Correction(INTERACTIONS, event.source_key, name, value)
            for name, value in event.given("source_key").items()
        ]
    return found


def _direct(pseudonym: str, corrections: Corrections, at: datetime) -> int:
    vault = Vault()
    moved = vault.move(pseudonym, corrections.identifiers) if corrections.identifiers else 0
    values = {name: str(value) for name, value in corrections.given().items() if name in _DIRECT}
    fields = {name: [value] for name, value in values.items()}
    return moved + (vault.store_direct([pseudonym], fields, [at]) if fields else 0)


def _age(pseudonym: str, corrections: Corrections) -> int:
    """Say anew until when the subject was a minor; returns whether that changed.

    Where only an age was ever known, the next ingest does it: it holds the age and the corrected country.
    """
    born = Vault().reveal(pseudonym).get("birth_date")
    if born is None:
        return 0
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select country, signed_up_at from shop.customers where pseudonym = %s", [pseudonym]
        ).fetchone()
    country, since = row or (corrections.country, None)
    until = age_of_consent.minor_until(date.fromisoformat(born), country, since)
    return len(age_of_consent.keep({pseudonym: until}))


def _masked(pseudonym: str, corrections: Sequence[Correction]) -> list[Correction]:
    """The corrections with personal data masked in free text."""
    texts = [entry.value for entry in corrections if entry.column == "text_masked"]
    if not texts:
        return list(corrections)
    known = Vault().reveal(pseudonym)
    masked = iter(shared_masker().mask(texts, [known] * len(texts)))
    return [
        Correction(entry.asset_key, entry.row_key, entry.column, next(masked))
        if entry.column == "text_masked"
        else entry
        for entry in corrections
    ]


def _customers(pseudonym: str, corrections: Sequence[Correction]) -> int:
    values = {entry.column: entry.value for entry in corrections if entry.asset_key == CUSTOMERS}
    return _update("customers", {"pseudonym": pseudonym}, values)


def _feedback(pseudonym: str, corrections: Sequence[Correction]) -> int:
    changed = 0
    for row_key, values in _by_row(_masked(pseudonym, corrections), FEEDBACK).items():
        changed += _update("feedback", {"pseudonym": pseudonym, "feedback_id": row_key}, values)
    return changed


def _update(table: str, where: Mapping[str, str], values: Mapping[str, Any]) -> int:
    """Set `values` in the rows of ``shop.<table>`` that `where` finds; returns how many there were."""
    if not values:
        return 0
    statement = sql.SQL("update {} set {} where {}").format(
        sql.Identifier("shop", table),
        sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values),
        sql.SQL(" and ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in where),
    )
    plain = [Jsonb(value) if isinstance(value, list) else value for value in values.values()]
    with connect(Role.PRIVACY) as connection:
        return connection.execute(statement, [*plain, *where.values()]).rowcount


def _events(pseudonym: str, corrections: Sequence[Correction]) -> int:
    found = _by_row(corrections, INTERACTIONS)
    rows = pa.table(
        {
            "pseudonym": pa.array([pseudonym] * len(found), pa.string()),
            "source_key": pa.array(list(found), pa.string()),
            **{
                name: pa.array([values.get(name) for values in found.values()], pa.string())
                for name in sorted({name for values in found.values() for name in values})
            },
        }
    )
    return lake.correct(_LAKE_PATH, rows, ("pseudonym", "source_key"))


def _by_row(corrections: Sequence[Correction], asset_key: str) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for entry in corrections:
        if entry.asset_key == asset_key:
            rows.setdefault(entry.row_key, {})[entry.column] = entry.value
    return rows
