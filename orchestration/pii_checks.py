"""A check for every asset: no column holds personal data that its contract does not say it may hold.

Results are counts. No value of a column is in a message, in metadata or in a log; of a table about nobody in which none was found,
the first rows are shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import dagster as dg

from orchestration.contracted import contracts_of
from orchestration.pii_samples import sample
from orchestration.preview import preview
from orchestration.retries import retrying
from privacy.contracts import AssetContract, Category, ColumnTag, NoStore
from privacy.pii import Detector
from privacy.pii.columns import ALLOWED, judge

__all__ = ["ColumnScan", "pii_checks", "scan"]

_WORDS = {
    "EMAIL_ADDRESS": "e-mail addresses",
    "PHONE_NUMBER": "telephone numbers",
    "IBAN_CODE": "bank account numbers",
    "CREDIT_CARD": "card numbers",
    "IP_ADDRESS": "IP addresses",
    "STREET_ADDRESS": "street addresses",
    "PERSON": "names of people",
}


@dataclass(frozen=True)
class ColumnScan:
    """What a scan of an asset's columns found.

    Attributes
    ----------
    asset: key of the asset.
    columns: columns looked at.
    values: values read of them.
    personal: column to entity to distinct values, for what a column must not hold.
    """

    asset: str
    columns: int = 0
    values: int = 0
    personal: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing personal was found where it must not be."""
        return not self.personal

    def sentences(self, contract: AssetContract) -> list[str]:
        """One sentence for each column: what it holds, and what to do."""
        return [
            f"{self.asset}: column '{column}' holds {_kinds(found)} and is "
            f"{_tagged(contract.columns.get(column))}. {_advice(contract, column, found)}"
            for column, found in self.personal.items()
        ]


def _kinds(found: dict[str, int]) -> str:
    return ", ".join(f"{_WORDS[entity]} ({count})" for entity, count in sorted(found.items()))


def _tagged(tag: ColumnTag | None) -> str:
    return f"tagged '{tag}', which does not admit that" if tag else "not tagged"


def _advice(contract: AssetContract, column: str, found: dict[str, int]) -> str:
    mask = "Mask it before it is stored (handling free_text in the source's mapping, or privacy.pii.shared_masker), or drop it."
    tags = [tag for tag in _tags(contract) if _admits(tag, found)]
    if not tags:
        return mask
    return f"{mask} If it is no personal data, or meant to be there, tag it in the asset's contract: columns={{'{column}': {' or '.join(map(repr, map(str, tags)))}}}."


def _tags(contract: AssetContract) -> list[ColumnTag]:
    direct = contract.category in (Category.DIRECT, Category.SENSITIVE)
    return [tag for tag in ColumnTag if direct or tag is not ColumnTag.PERSONAL]


def _admits(tag: ColumnTag, found: dict[str, int]) -> bool:
    return tag is ColumnTag.PERSONAL or (tag in ALLOWED and set(found) <= ALLOWED[tag])


@cache
def _detector() -> Detector:
    return Detector()


def scan(contract: AssetContract) -> ColumnScan:
    """Scan a sample of every column of the asset's store; the subject column holds pseudonyms, which another check reads."""
    columns = sample(contract)
    columns.pop(contract.subject or "", None)
    detector, personal = _detector(), {}
    for name, values in sorted(columns.items()):
        if found := judge(values, contract.columns.get(name), detector, people=detector.has_model):
            personal[name] = found
    return ColumnScan(contract.key, len(columns), sum(map(len, columns.values())), personal)


def _check(contract: AssetContract) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=contract.key.split("/"),
        name="no_untagged_personal_data",
        description="No column holds personal data that the asset's contract does not admit; results are counts alone.",
        blocking=True,
    )
    @retrying
    def no_untagged_personal_data() -> dg.AssetCheckResult:
        found = scan(contract)
        return dg.AssetCheckResult(
            passed=found.clean,
            description=" ".join(found.sentences(contract)) or None,
            metadata={
                "columns": found.columns,
                "values": found.values,
                "personal": dg.MetadataValue.json(found.personal),
                **(preview(contract) if found.clean else {}),
            },
        )

    return no_untagged_personal_data


def pii_checks(definitions: dg.Definitions) -> Iterator[dg.AssetChecksDefinition]:
    """One `no_untagged_personal_data` check for every asset that stores something; a failing one fails the run."""
    for contract in contracts_of(definitions):
        if not isinstance(contract.store, NoStore):
            yield _check(contract)
