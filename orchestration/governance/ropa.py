"""The record of processing activities (Art. 30(1)), made from the contracts: one activity for each purpose."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from consent.purposes import PurposeDefinition, purpose_definitions
from orchestration.governance.measures import Measure
from privacy.contracts import AssetContract, Category, Purpose
from privacy.controller import Controller
from privacy.registry import Registry

__all__ = ["CATEGORIES", "as_markdown", "record_of_processing"]

_YEARS = (365, 365.25)  # days
CATEGORIES = {
    Category.DIRECT: "direct identifiers, encrypted",
    Category.SENSITIVE: "data about the body or otherwise sensitive, pseudonymous",
    Category.PSEUDONYMOUS: "pseudonymous data",
    Category.AGGREGATE: "figures of groups of ten people or more",
}


def record_of_processing(
    registry: Registry, controller: Controller, measures: Iterable[Measure]
) -> dict[str, Any]:
    """The record as JSON-ready data; an asset without personal data is in no activity."""
    holders = [
        contract for contract in registry.contracts if contract.category is not Category.NONE
    ]
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "controller": controller.controller.model_dump(),
        "representative": controller.representative.model_dump()
        if controller.representative
        else None,
        "data_protection_officer": controller.data_protection_officer.model_dump(),
        "supervisory_authority": controller.supervisory_authority,
        "activities": [
            _activity(purpose, definition, holders, controller)
            for purpose, definition in purpose_definitions().items()
        ],
        "measures": [{"name": measure.name, "state": measure.state} for measure in measures],
        "placeholders": list(controller.placeholders),
    }


def _activity(
    purpose: Purpose,
    definition: PurposeDefinition,
    holders: Iterable[AssetContract],
    controller: Controller,
) -> dict[str, Any]:
    assets = [contract for contract in holders if purpose in contract.purposes]
    recipients = [who for who in controller.recipients if purpose in who.purposes]
    return {
        "purpose": purpose.value,
        "description": definition.text["en"],
        "legal_basis": definition.legal_basis.value,
        "categories_of_subjects": list(controller.categories_of_subjects),
        "categories_of_data": sorted({CATEGORIES[contract.category] for contract in assets}),
        "recipients": [
            {"name": who.name, "role": who.role, "country": who.country} for who in recipients
        ],
        "third_country_transfers": [
            {"name": who.name, "country": who.country, "safeguard": who.safeguard}
            for who in recipients
            if who.third_country
        ],
        "assets": [_asset(contract) for contract in assets],
    }


def _asset(contract: AssetContract) -> dict[str, Any]:
    return {
        "asset": contract.key,
        "owner": contract.owner,
        "description": contract.description,
        "category": contract.category.value,
        "legal_basis": contract.legal_basis.value if contract.legal_basis else None,
        "erased_after": time_limit(contract),
        "store": contract.store.kind,
    }


def time_limit(contract: AssetContract) -> str:
    """When the asset's data is erased, in words."""
    retention = contract.retention
    if retention is None:
        return "not limited"
    years = next((retention.days / days for days in _YEARS if retention.days % days == 0), 0)
    length = _several(int(years), "year") if years else _several(retention.days, "day")
    return f"{length} from {retention.start if retention.column else 'when it was written'}"


def _several(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _no_transfer(activity: dict[str, Any]) -> str:
    unknown = any("<" in who["country"] for who in activity["recipients"])
    return "not known: a recipient's country is not filled in" if unknown else "none"


def _contact(person: dict[str, Any] | None) -> str:
    return ", ".join(str(value) for value in (person or {}).values() if value) or "none"


def as_markdown(record: dict[str, Any]) -> str:
    """The record as a page to read and to sign."""
    lines = [
        "# Record of processing activities (Art. 30(1) GDPR)",
        "",
        f"Made from the contracts of all assets on {record['made']}.",
        "",
        "| | |",
        "|---|---|",
        f"| Controller | {_contact(record['controller'])} |",
        f"| Representative | {_contact(record['representative'])} |",
        f"| Data protection officer | {_contact(record['data_protection_officer'])} |",
        f"| Supervisory authority | {record['supervisory_authority']} |",
        "",
    ]
    if record["placeholders"]:
        lines += [
            f"**Not filled in yet:** {len(record['placeholders'])} entries in angle brackets. See privacy/controller.yaml.",
            "",
        ]
    for activity in record["activities"]:
        lines += _activity_lines(activity)
    lines += [
        "## Technical and organisational measures (Art. 32)",
        "",
        "| measure | as it runs |",
        "|---|---|",
    ]
    lines += [f"| {entry['name']} | {entry['state']} |" for entry in record["measures"]]
    # Placeholders stand in angle brackets, which a page would take for HTML and hide.
    return "\n".join(lines).replace("<", "&lt;") + "\n"


def _activity_lines(activity: dict[str, Any]) -> list[str]:
    recipients = [
        f"{who['name']} ({who['role']}, {who['country']})" for who in activity["recipients"]
    ]
    transfers = [
        f"{who['name']}, {who['country']}: {who['safeguard']}"
        for who in activity["third_country_transfers"]
    ]
    facts = {
        "Purpose": activity["description"],
        "Legal basis (Art. 6(1))": activity["legal_basis"].replace("_", " "),
        "Categories of subjects": "; ".join(activity["categories_of_subjects"]),
        "Categories of data": "; ".join(activity["categories_of_data"]) or "none",
        "Recipients": "; ".join(recipients) or "none",
        "Transfers to third countries": "; ".join(transfers) or _no_transfer(activity),
    }
    lines = [f"## {activity['purpose'].replace('_', ' ').capitalize()}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += [
        "",
        "| asset | holds | category | collected under | erased after | owner |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{asset['asset']}` | {asset['description']} | {asset['category']} | {(asset['legal_basis'] or '').replace('_', ' ')} "
        f"| {asset['erased_after']} | {asset['owner']} |"
        for asset in activity["assets"]
    ]
    return [*lines, ""]
