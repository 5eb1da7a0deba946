from datetime import timedelta

import yaml
from feast import FeatureView
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo import definitions
from feature_repo.views import CONTRACT_TAG, ONLINE
from privacy.contracts import AssetContract, FeastOnlineStore, Purpose
from privacy.settings import PROJECT_ROOT
from recommenders.as_of import SOURCES
from recommenders.consented_online_store import contract_of
from recommenders.online_profile import PROFILE_FIELDS, decode_profile
from recommenders.online_ttl import expired, good_until, online_ttl
from recommenders.training_set import COLUMN_TYPES

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


def test_every_view_is_good_online_for_as_long_as_its_key_lives() -> None:
    settings = yaml.safe_load((PROJECT_ROOT / "feature_repo" / "feature_store.yaml").read_text())
    for view in VIEWS:
        ttl = online_ttl(contract_of(view))
        assert ttl == timedelta(days=ONLINE.days)
        assert ttl.total_seconds() == settings["online_store"]["key_ttl_seconds"]


def test_a_profile_is_decoded_until_its_end_alone() -> None:
    contract = contract_of(definitions.subject_profile)
    stamp = Timestamp(seconds=1_700_000_000).SerializeToString()
    nothing = [None] * (len(PROFILE_FIELDS) - 2)
    good = good_until(contract).SerializeToString()
    profile = decode_profile([*nothing, stamp, good])
    assert profile is not None
    assert profile.event_timestamp.timestamp() == 1_700_000_000
    past = Value(unix_timestamp_val=1_700_000_000).SerializeToString()
    assert decode_profile([*nothing, stamp, past]) is None
    assert decode_profile([*nothing, stamp, None]) is None


def test_what_has_no_end_counts_as_expired() -> None:
    assert expired(None)
    assert expired(b"")
    assert expired(Value().SerializeToString())


def test_the_second_computation_knows_every_feature_of_the_training_set() -> None:
    row = {"pseudonym", "product_id", "weight", "interactions", "event_timestamp"}
    affinities = {"category_affinity", "brand_affinity", "price_affinity"}
    sources = [name for source in SOURCES for name in source.features]
    assert len(sources) == len(set(sources))
    assert set(sources) | affinities == set(COLUMN_TYPES) - row
