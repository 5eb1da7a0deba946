"""The facts that a data protection impact assessment needs (Art. 35(7)), as they are now; judging them is the controller's."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from consent.purposes import purpose_definitions
from orchestration.contracted import contracts_of
from orchestration.governance.measures import Measure
from orchestration.governance.ropa import CATEGORIES, time_limit
from orchestration.governance.volumes import volume
from orchestration.policy.columns import columns_of
from privacy.anonymity import SMALL, Anonymity, measure
from privacy.contracts import AssetContract, Category
from privacy.registry import Registry

__all__ = ["as_markdown", "facts", "lineage"]

_RISKS = Path(__file__).with_name("risks.yaml")
# Measures that are no state of a server: what the project does wherever it runs.
_BUILT_IN = {
    "Figures of groups": f"Aggregates hold no figure of fewer than {SMALL} people; a check fails where one does.",
    "Explanations": "Every ranked item carries its reason; whoever refuses personalisation gets the same shop without a profile.",
}


def facts(
    registry: Registry, definitions: dg.Definitions, measures: Sequence[Measure]
) -> dict[str, Any]:
    """The facts as JSON-ready data: counts and names, no row of anybody."""
    holders = [
        contract for contract in registry.contracts if contract.category is not Category.NONE
    ]
    declared = contracts_of(definitions)
    found = [result for contract in declared if (result := measure(contract))]
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "processing": [
            {
                "purpose": purpose.value,
                "what": definition.text["en"],
                "legal_basis": definition.legal_basis.value,
                "assets": [c.key for c in holders if purpose in c.purposes],
            }
            for purpose, definition in purpose_definitions().items()
        ],
        "data": [_data(contract) for contract in holders],
        "lineage": lineage(declared, definitions),
        "anonymity": [asdict(result) for result in found],
        "risks": _risks(measures),
        "measures": [asdict(entry) for entry in measures],
    }


def _data(contract: AssetContract) -> dict[str, Any]:
    return {
        "asset": contract.key,
        "category": contract.category.value,
        "holds": CATEGORIES[contract.category],
        **volume(contract),
        "erased_after": time_limit(contract),
        "objection_takes_effect": contract.withhold.at if contract.withhold else None,
    }


def lineage(
    contracts: Sequence[AssetContract], definitions: dg.Definitions
) -> list[dict[str, Any]]:
    """For each sensitive column: the assets downstream that have a column of its name, and those that are computed from its asset.

    The columns are those that the assets declare; a column that is renamed on the way counts as computed from.
    """
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    readers: dict[str, set[str]] = {}
    for key, spec in specs.items():
        for dep in spec.deps:
            readers.setdefault(dep.asset_key.to_user_string(), set()).add(key)
    found = []
    for contract in contracts:
        for column in contract.sensitive:
            below = _downstream(contract.key, readers)
            same = [key for key in below if column in columns_of(specs[key])]
            found.append(
                {
                    "column": f"{contract.key}.{column}",
                    "same_column_in": same,
                    "computed_from_its_asset": [key for key in below if key not in same],
                }
            )
    return found


def _downstream(key: str, readers: Mapping[str, set[str]]) -> list[str]:
    reached: set[str] = set()
    waiting = [key]
    while waiting:
        for reader in readers.get(waiting.pop(), ()):
            if reader not in reached:
                reached.add(reader)
                waiting.append(reader)
    return sorted(reached)


def _risks(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    states = {**_BUILT_IN, **{entry.name: entry.state for entry in measures}}
    risks: list[dict[str, Any]] = yaml.safe_load(_RISKS.read_text(encoding="utf-8"))
    return [
        {"risk": entry["risk"], "measures": {name: states[name] for name in entry["measures"]}}
        for entry in risks
    ]


def as_markdown(found: Mapping[str, Any]) -> str:
    """The facts as a page, in the order of Art. 35(7)."""
    lines = [
        "# Facts for a data protection impact assessment (Art. 35(7) GDPR)",
        "",
        f"As of {found['made']}. Necessity, proportion and what risk remains are for the controller to judge.",
        "",
        "## Processing and purposes (a), (b)",
        "",
        "| purpose | what people are told | legal basis | assets |",
        "|---|---|---|---|",
    ]
    for entry in found["processing"]:
        basis = entry["legal_basis"].replace("_", " ")
        lines.append(f"| {entry['purpose']} | {entry['what']} | {basis} | {len(entry['assets'])} |")
    lines += _data_lines(found["data"]) + _lineage_lines(found["lineage"])
    lines += _anonymity_lines([Anonymity(**entry) for entry in found["anonymity"]])
    lines += ["", "## Risks (c) and measures (d)", ""]
    for entry in found["risks"]:
        lines += [f"**{entry['risk']}**", ""]
        lines += [f"- {name}: {state}" for name, state in entry["measures"].items()]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _data_lines(data: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["", "## Data, volumes and time limits", ""]
    lines += ["| asset | holds | rows | subjects | erased after |", "|---|---|---:|---:|---|"]
    for entry in data:
        lines.append(
            f"| `{entry['asset']}` | {entry['holds']} | {_count(entry['rows'])} | {_count(entry['subjects'])} "
            f"| {entry['erased_after']} |"
        )
    return lines


def _lineage_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    def listed(keys: Sequence[str]) -> str:
        return ", ".join(f"`{key}`" for key in keys) or "nowhere"

    lines = ["", "## Where sensitive columns go", ""]
    lines += [
        "| column | the same column in | its asset is also read, at last, by |",
        "|---|---|---|",
    ]
    for entry in found:
        same, computed = entry["same_column_in"], entry["computed_from_its_asset"]
        lines.append(f"| `{entry['column']}` | {listed(same)} | {listed(computed)} |")
    return lines


def _anonymity_lines(found: Sequence[Anonymity]) -> list[str]:
    lines = [
        "",
        "## How well people hide in a table (k-anonymity, l-diversity)",
        "",
        "k counts the people in the smallest group of equal attributes, l the different values of a sensitive column in",
        "the group that has fewest. These tables are pseudonymous and for the platform alone; where k is below",
        f"{SMALL}, their rows may not be given out.",
        "",
        f"| asset | attributes | k | groups | below {SMALL} | people in those | l |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for entry in found:
        diversity = ", ".join(f"{name} {value}" for name, value in entry.diversity.items())
        lines.append(
            f"| `{entry.asset}` | {', '.join(entry.quasi_identifiers)} | {_count(entry.k)} | {entry.groups:,} "
            f"| {entry.small_groups:,} | {entry.exposed:.1%} | {diversity or '-'} |"
        )
    return lines
