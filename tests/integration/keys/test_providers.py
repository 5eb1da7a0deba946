"""One contract for every key provider, and what is special to those behind a service."""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from privacy.key_providers import configured_provider
from privacy.key_providers.aws_kms import AwsKmsKeyProvider
from privacy.key_providers.file import FileKeyProvider
from privacy.key_providers.keyring import KeyRing
from privacy.key_providers.vault_transit import VaultTransitKeyProvider
from privacy.keys import (
    KEY_NAMES,
    KeyFileRefusedError,
    KeyProviderError,
    UnknownKeyError,
)
from privacy.settings import Environment, KeyProviderKind, PlatformSettings
from tests.integration.keys.transit_server import Transit, serving

Make = Callable[..., KeyRing]
_PROVIDERS = ("file", "aws_kms", "vault_transit")


@pytest.fixture(scope="module")
def kms_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def kms(kms_url: str, aws: None) -> Any:
    return boto3.client("kms", endpoint_url=kms_url)


@pytest.fixture
def transit() -> Transit:
    return Transit()


@pytest.fixture
def transit_url(transit: Transit) -> Iterator[str]:
    with serving(transit) as address:
        yield address


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "keys.json"


@pytest.fixture
def make_kms(kms: Any, kms_url: str, path: Path) -> Make:
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]

    def make(environment: Environment = Environment.TEST, key: str = key_id) -> KeyRing:
        return AwsKmsKeyProvider(key, path, environment, endpoint_url=kms_url)

    return make


@pytest.fixture
def make_transit(transit: Transit, transit_url: str, path: Path) -> Make:
    def make(environment: Environment = Environment.TEST, **changes: str) -> KeyRing:
        given = {"address": transit_url, "token": transit.token, **changes}
        return VaultTransitKeyProvider(path=path, environment=environment, **given)

    return make


@pytest.fixture
def make_file(path: Path) -> Make:
    return lambda environment=Environment.TEST: FileKeyProvider(path, environment)


@pytest.fixture(params=_PROVIDERS)
def make(request: pytest.FixtureRequest) -> Make:
    fixture = {"file": "make_file", "aws_kms": "make_kms", "vault_transit": "make_transit"}
    return request.getfixturevalue(fixture[request.param])


def test_every_key_has_a_first_version_of_32_random_bytes(make: Make, path: Path) -> None:
    provider = make()
    materials = [provider.current(name).material for name in KEY_NAMES]
    assert [len(material) for material in materials] == [32] * len(KEY_NAMES)
    assert len(set(materials)) == len(KEY_NAMES)
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_process_finds_the_same_keys(make: Make) -> None:
    first = make()
    before = {name: first.current(name) for name in KEY_NAMES}
    second = make()
    assert {name: second.current(name) for name in KEY_NAMES} == before


def test_a_rotation_keeps_the_old_version_and_reaches_others(make: Make) -> None:
    provider, other = make(), make()
    before = other.current("lookup")
    after = provider.rotate("lookup")
    assert after.version == 2
    assert after.material != before.material
    assert other.versions("lookup") == (after, before)
    assert other.get("lookup", 1) == before
    assert other.versions("wrapping") == (provider.current("wrapping"),)


def test_a_destroyed_version_is_gone_and_its_number_is_not_given_again(make: Make) -> None:
    provider, other = make(), make()
    provider.rotate("lookup")
    provider.destroy("lookup", 1)
    assert [key.version for key in other.versions("lookup")] == [2]
    with pytest.raises(UnknownKeyError, match="no version 1"):
        other.get("lookup", 1)
    with pytest.raises(UnknownKeyError):
        provider.destroy("lookup", 1)
    assert provider.rotate("lookup").version == 3


def test_the_current_version_and_the_key_of_source_keys_stay(make: Make) -> None:
    provider = make()
    with pytest.raises(KeyProviderError, match="rotate the key before"):
        provider.destroy("wrapping", 1)
    with pytest.raises(KeyProviderError, match="does not rotate"):
        provider.rotate("source")


def test_production_makes_keys_when_told_to_and_only_once(make: Make, path: Path) -> None:
    made = make()
    if isinstance(made, VaultTransitKeyProvider):
        pytest.skip(
            "production wants https, which the stand-in does not speak: see the test of that"
        )
    provider = make(Environment.PRODUCTION)
    with pytest.raises(KeyFileRefusedError, match="create-keys"):
        provider.current("lookup")
    assert not path.exists()
    assert provider.create()
    before = provider.current("lookup")
    assert not provider.create()
    assert make(Environment.PRODUCTION).current("lookup") == before


def test_a_file_that_others_may_read_is_refused(make: Make, path: Path) -> None:
    provider = make()
    provider.current("lookup")
    path.chmod(0o640)
    for refuse in (lambda: provider.current("lookup"), make().reseal):
        with pytest.raises(KeyFileRefusedError, match="chmod 600"):
            refuse()


def test_a_file_of_another_provider_is_refused(
    make_file: Make, make_kms: Make, make_transit: Make, path: Path
) -> None:
    makers = [make_file, make_kms, make_transit]
    for author in makers:
        path.unlink(missing_ok=True)
        author().current("lookup")
        for reader in makers:
            if reader is not author:
                with pytest.raises(KeyFileRefusedError, match="provider that made it"):
                    reader().current("lookup")


@pytest.mark.parametrize("maker", ["make_kms", "make_transit"])
def test_a_service_keeps_the_keys_out_of_the_file_and_binds_each_to_its_name(
    maker: str, request: pytest.FixtureRequest, path: Path
) -> None:
    make: Make = request.getfixturevalue(maker)
    provider = make()

    held = path.read_text() if path.exists() else ""
    for name in KEY_NAMES:
        material = provider.current(name).material
        held = path.read_text()
        assert base64.b64encode(material).decode() not in held
        assert material.hex() not in held
    entries = json.loads(held)
    entries["lookup"], entries["serving"] = entries["serving"], entries["lookup"]
    path.write_text(json.dumps(entries))
    with pytest.raises(KeyProviderError, match="refused"):
        make().current("lookup")


@pytest.mark.parametrize("maker", ["make_kms", "make_transit"])
def test_a_service_is_asked_once_for_each_version_not_for_each_use(
    maker: str, request: pytest.FixtureRequest, transit: Transit
) -> None:
    make: Make = request.getfixturevalue(maker)
    make().current("lookup")
    provider = make()
    provider.current("lookup")
    transit.asked.clear()
    for _ in range(100):
        assert provider.versions("lookup")
    assert transit.asked == []
    provider.rotate("lookup")
    if maker == "make_transit":
        assert transit.asked == ["datakey/plaintext", "decrypt"]


def test_after_vault_rotates_its_key_reseal_moves_every_version_to_it(
    make_transit: Make, transit: Transit, path: Path
) -> None:
    provider = make_transit()
    before = provider.current("lookup")
    transit.rotate()
    assert make_transit().current("lookup") == before
    assert "vault:v2:" not in path.read_text()
    assert provider.reseal() == len(KEY_NAMES)
    assert "vault:v1:" not in path.read_text()
    transit.keys["selvedge"][0] = bytes(32)  # what was sealed by the first version opens no more
    assert make_transit().current("lookup") == before


def test_reseal_moves_the_file_to_another_kms_key(make_kms: Make, kms: Any, path: Path) -> None:
    before = make_kms().current("lookup")
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    with pytest.raises(KeyProviderError, match="refused"):
        make_kms(key=other).current("lookup")
    moved = make_kms(key=other)
    assert moved.reseal() == len(KEY_NAMES)
    assert moved.current("lookup") == before


def test_a_service_that_refuses_or_is_away_is_named_without_its_secrets(
    make_transit: Make, make_kms: Make, transit: Transit, path: Path
) -> None:
    make_transit().current("lookup")
    with pytest.raises(KeyProviderError, match=r"status 403.*SELVEDGE_VAULT_TOKEN") as refused:
        make_transit(token="qxtoken").current("lookup")
    assert "qxtoken" not in str(refused.value)
    transit.sealed = True
    with pytest.raises(KeyProviderError, match="status 503"):
        make_transit().current("lookup")
    with pytest.raises(KeyProviderError, match="does not answer"):
        make_transit(address="http://127.0.0.1:9").current("lookup")
    path.unlink()
    with pytest.raises(KeyProviderError, match=r"NotFoundException.*SELVEDGE_AWS_KMS_KEY_ID"):
        make_kms(key="00000000-0000-0000-0000-000000000000").current("lookup")


def test_production_wants_https_to_vault(make_transit: Make) -> None:
    with pytest.raises(KeyProviderError, match="https"):
        make_transit(Environment.PRODUCTION)


@pytest.mark.parametrize(
    ("given", "provider"),
    [
        ({}, FileKeyProvider),
        ({"key_provider": "aws_kms", "aws_kms_key_id": "alias/selvedge"}, AwsKmsKeyProvider),
        (
            {
                "key_provider": "vault_transit",
                "vault_address": "https://vault.test",
                "vault_token": "t",
            },
            VaultTransitKeyProvider,
        ),
    ],
)
def test_settings_choose_the_provider(aws: None, given: dict[str, str], provider: type) -> None:
    assert type(configured_provider(PlatformSettings(**given))) is provider


@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        (KeyProviderKind.AWS_KMS, "SELVEDGE_AWS_KMS_KEY_ID"),
        (KeyProviderKind.VAULT_TRANSIT, "SELVEDGE_VAULT_ADDRESS"),
    ],
)
def test_a_missing_setting_is_named(kind: KeyProviderKind, variable: str) -> None:
    with pytest.raises(KeyProviderError, match=f"{variable} must be set .*{kind.value}"):
        configured_provider(PlatformSettings(key_provider=kind))


def test_kms_without_a_region_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(KeyProviderError, match="AWS_REGION"):
        AwsKmsKeyProvider("alias/selvedge")
