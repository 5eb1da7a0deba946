"""The asset of the feature definitions: `feast apply`."""

import dagster as dg

from orchestration.contracted import contracted_asset
from privacy.contracts import NoStore, no_personal_data
from recommenders.features import Declared, apply_definitions, declared

CONTRACT = no_personal_data(
    "features/registry",
    owner="team:recommendations",
    description="Entities, sources, feature views and services, applied from feature_repo/ to Feast's registry.",
    reason="Definitions only: names, types and contracts, no values.",
    store=NoStore(),
)


@contracted_asset(
    CONTRACT,
    group="features",
    kinds={"feast", "postgres"},
    columns=dict.fromkeys(Declared._fields, "string"),
)
def registry() -> dg.MaterializeResult[None]:
    """Apply the definitions; a second time nothing changes."""
    changes, present = apply_definitions(), declared()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(present),
            "definitions": dg.MetadataValue.table(
                [dg.TableRecord(dict(each._asdict())) for each in present]
            ),
            **{kind: dg.MetadataValue.json(names) for kind, names in changes.items()},
            "changes": sum(len(names) for names in changes.values()),
        }
    )
