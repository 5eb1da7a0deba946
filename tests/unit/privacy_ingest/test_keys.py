import json
import os
from pathlib import Path

import pytest

from privacy.key_providers.file import FileKeyProvider
from privacy.keys import KeyFileRefusedError, KeyProviderError, UnknownKeyError
from privacy.settings import Environment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "keys.json"


def test_development_makes_a_key_file_that_its_owner_alone_may_read(path: Path) -> None:
    key = FileKeyProvider(path, Environment.DEVELOPMENT).current("lookup")
    assert key.version == 1
    assert len(key.material) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_key_file_that_others_may_read_is_refused(path: Path) -> None:
    FileKeyProvider(path, Environment.TEST).current("lookup")
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(KeyFileRefusedError, match="chmod 600"):
            FileKeyProvider(path, Environment.TEST).current("lookup")


def test_a_file_opened_to_others_is_noticed_by_a_provider_that_already_read_it(path: Path) -> None:
    provider = FileKeyProvider(path, Environment.TEST)
    provider.current("lookup")
    path.chmod(0o644)
    with pytest.raises(KeyFileRefusedError):
        provider.current("lookup")


def test_production_refuses_to_make_keys(path: Path) -> None:
    with pytest.raises(KeyFileRefusedError, match="production"):
        FileKeyProvider(path, Environment.PRODUCTION).current("lookup")
    assert not path.exists()


@pytest.mark.parametrize("made_in", [Environment.DEVELOPMENT, Environment.TEST])
def test_production_refuses_keys_that_were_made_elsewhere(path: Path, made_in: Environment) -> None:
    FileKeyProvider(path, made_in).rotate("lookup")
    with pytest.raises(KeyFileRefusedError, match=rf"made in {made_in}.*create-keys"):
        FileKeyProvider(path, Environment.PRODUCTION).current("lookup")


def test_production_refuses_keys_of_a_file_that_does_not_say_where_they_were_made(
    path: Path,
) -> None:
    FileKeyProvider(path, Environment.DEVELOPMENT).current("lookup")
    entries = json.loads(path.read_text())
    del entries["environment"]
    path.write_text(json.dumps(entries))
    assert FileKeyProvider(path, Environment.DEVELOPMENT).current("lookup").version == 1
    with pytest.raises(KeyFileRefusedError, match="an unknown environment"):
        FileKeyProvider(path, Environment.PRODUCTION).current("lookup")


def test_production_makes_its_keys_on_purpose_once_and_rotates_them(path: Path) -> None:
    provider = FileKeyProvider(path, Environment.PRODUCTION)
    assert provider.create()
    first = provider.current("lookup")
    assert not provider.create()
    assert provider.current("lookup") == first
    second = provider.rotate("lookup")
    other = FileKeyProvider(path, Environment.PRODUCTION)
    assert other.versions("lookup") == (second, first)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_an_environment_that_there_is_not_is_refused(path: Path) -> None:
    FileKeyProvider(path, Environment.DEVELOPMENT).current("lookup")
    path.write_text(path.read_text().replace('"development"', '"staging"'))
    with pytest.raises(KeyFileRefusedError, match="not a key file"):
        FileKeyProvider(path, Environment.DEVELOPMENT).current("lookup")


def test_two_providers_of_one_file_hold_the_same_keys(path: Path) -> None:
    first = FileKeyProvider(path, Environment.TEST).current("wrapping")
    assert FileKeyProvider(path, Environment.TEST).current("wrapping") == first


def test_rotation_keeps_old_versions_and_reaches_other_providers(path: Path) -> None:
    other = FileKeyProvider(path, Environment.TEST)
    before = other.current("lookup")
    after = FileKeyProvider(path, Environment.TEST).rotate("lookup")
    assert (after.version, other.current("lookup")) == (2, after)
    assert other.get("lookup", 1) == before
    assert [key.version for key in other.versions("lookup")] == [2, 1]


def test_the_key_of_source_keys_never_rotates(path: Path) -> None:
    with pytest.raises(KeyProviderError, match="does not rotate"):
        FileKeyProvider(path, Environment.TEST).rotate("source")


def test_an_unknown_version_says_to_restore_the_file(path: Path) -> None:
    with pytest.raises(UnknownKeyError, match="no version 9"):
        FileKeyProvider(path, Environment.TEST).get("lookup", 9)


def test_a_malformed_file_is_refused_without_quoting_it(path: Path) -> None:
    path.parent.mkdir()
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write('{"lookup": {"1": "c2VjcmV0"')
    with pytest.raises(KeyFileRefusedError) as refused:
        FileKeyProvider(path, Environment.TEST).current("lookup")
    assert "c2VjcmV0" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_text_of_a_key_hides_its_material(path: Path) -> None:
    key = FileKeyProvider(path, Environment.TEST).current("session")
    assert repr(key) == "Key(version=1, material=<hidden>)"
