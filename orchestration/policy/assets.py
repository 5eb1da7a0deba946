"""Rules about assets: a contract, a way to erase and to expire, a retention that ends, purposes that the inputs were collected for."""

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from orchestration.contracted import CONTRACT_METADATA_KEY
from orchestration.policy.violation import Violation
from privacy.contracts import AssetContract
from privacy.expiry import expiry_for, has_age
from privacy.inactive import leaves_with_subject
from privacy.stores import handler_for
from privacy.stores.base import StoreError

__all__ = [
    "contracts_in",
    "ending",
    "erasable",
    "kept_no_longer_than_inputs",
    "purposes",
    "with_contract",
]

Specs = Mapping[dg.AssetKey, dg.AssetSpec]


def contracts_in(specs: Specs) -> dict[dg.AssetKey, AssetContract]:
    """The contract of each asset that has one."""
    found = {}
    for key, spec in specs.items():
        entry = spec.metadata.get(CONTRACT_METADATA_KEY)
        if entry is not None:
            found[key] = AssetContract.model_validate(getattr(entry, "value", entry))
    return found


def with_contract(specs: Specs) -> Iterator[Violation]:
    """Every asset has a contract."""
    for key in sorted(specs):
        if CONTRACT_METADATA_KEY not in specs[key].metadata:
            yield Violation(
                key.to_user_string(),
                "the asset has no contract",
                "declare it with contracted_asset(AssetContract(…)), in the dbt model's `meta.contract` or as a tag of the "
                "Feast view, or state no_personal_data(reason=…)",
                "asset-without-contract",
            )


def erasable(contracts: Mapping[dg.AssetKey, AssetContract]) -> Iterator[Violation]:
    """Whoever is held can be found, erased, and leaves when the retention ends."""
    for contract in sorted(contracts.values(), key=lambda contract: contract.key):
        if not contract.holds_subjects:
            continue
        if contract.store.kind == "none" and not contract.handler:
            yield _without_handler(
                contract, "stores nothing by its contract, which says that it holds subjects"
            )
            continue
        for handler, does in ((handler_for, "erase"), (expiry_for, "expire")):
            try:
                handler(contract)
            except StoreError:
                yield _without_handler(
                    contract,
                    f"no handler can {does} subjects in its store ({contract.handler or contract.store.kind})",
                )


def _without_handler(contract: AssetContract, what: str) -> Violation:
    return Violation(
        contract.key,
        what,
        "choose a store that has one, or write one in privacy/stores and privacy/expiry and register it there",
        "asset-without-handler",
    )


def ending(contracts: Iterable[AssetContract]) -> Iterator[Violation]:
    """Every retention can end: something tells the age of what it is about, or it leaves with its subject."""
    for contract in sorted(contracts, key=lambda contract: contract.key):
        if not has_age(contract) and not leaves_with_subject(contract):
            yield Violation(
                contract.key,
                "its contract has a retention, and nothing tells from when it counts: it would never end",
                "name the column in `retention.column`",
                "retention-without-end",
            )


def purposes(specs: Specs, contracts: Mapping[dg.AssetKey, AssetContract]) -> Iterator[Violation]:
    """An asset serves no purpose that one of its inputs was not collected for."""
    for key, source in _inputs(specs, contracts):
        contract = contracts[key]
        extra = sorted(set(contract.purposes) - set(source.purposes))
        if extra:
            yield Violation(
                contract.key,
                f"it serves {', '.join(extra)}, which its input {source.key} was not collected for",
                "narrow the asset's purposes, or collect the input for them: that takes the subjects' agreement",
                "purpose-beyond-input",
            )


def kept_no_longer_than_inputs(
    specs: Specs, contracts: Mapping[dg.AssetKey, AssetContract]
) -> Iterator[Violation]:
    """What is made from people's data is kept no longer than the longest-kept of it; what they provided is made from none."""
    longest: dict[dg.AssetKey, int] = {}
    for key, source in _inputs(specs, contracts):
        if source.retention and not contracts[key].provided:
            longest[key] = max(longest.get(key, 0), source.retention.days)
    for key, days in sorted(longest.items()):
        retention = contracts[key].retention
        if retention and retention.days > days:
            yield Violation(
                contracts[key].key,
                f"it is kept for {retention.days} days and the longest-kept of its inputs for {days}",
                f"declare a retention of {days} days or less",
                "kept-longer-than-inputs",
            )


def _inputs(
    specs: Specs, contracts: Mapping[dg.AssetKey, AssetContract]
) -> Iterator[tuple[dg.AssetKey, AssetContract]]:
    """Each asset that holds something of people with each of its inputs that holds subjects."""
    for key in sorted(specs):
        for dep in specs[key].deps:
            source = contracts.get(dep.asset_key)
            if key in contracts and source is not None and source.holds_subjects:
                yield key, source
