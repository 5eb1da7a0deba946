from feast import FeatureView

from feature_repo import definitions
from feature_repo.views import CONTRACT_TAG
from privacy.contracts import AssetContract, FeastOnlineStore, Purpose
from privacy.settings import PROJECT_ROOT
from recommenders.consented_online_store import contract_of
from recommenders.online_profile import PROFILE_FIELDS, decode_profile

VIEWS = [thing for thing in vars(definitions).values() if isinstance(thing, FeatureView)]


def test_every_view_carries_the_contract_of_its_asset() -> None:
    for view in VIEWS:
        contract = contract_of(view)
        assert contract.key == f"features/{view.name}"
        assert isinstance(contract.store, FeastOnlineStore)
        assert contract.store.feature_view == view.name
        assert contract.store.entity == view.entities[0]


def test_the_on_demand_view_carries_a_contract_and_stores_nothing() -> None:
    contract = AssetContract.model_validate_json(definitions.affinity.tags[CONTRACT_TAG])
    assert contract.store.kind == "none"
    assert not definitions.affinity.write_to_online_store


def test_profiles_serve_personalisation_alone() -> None:
    assert contract_of(definitions.subject_profile).purposes == (Purpose.PERSONALISATION,)


def test_feast_imports_one_file_and_ignores_the_others() -> None:
    folder = PROJECT_ROOT / "feature_repo"
    ignored = set((folder / ".feastignore").read_text().split())
    files = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    assert files - ignored == {"definitions.py"}


def test_a_subject_without_online_values_has_no_profile() -> None:
    assert decode_profile([None] * len(PROFILE_FIELDS)) is None
