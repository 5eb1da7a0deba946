"""Production refuses what development generated, whichever variable it comes in by."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy import database
from privacy.database import DatabaseUnavailableError, Role, admin_url, redis_url, role_password
from privacy.secret_files import generated_secret, is_generated
from privacy.settings import platform_settings

CACHES = (platform_settings, database._role_secret)


@pytest.fixture(autouse=True)
def _settings_read_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for cached in CACHES:
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def generated(tmp_path: Path) -> str:
    return generated_secret(tmp_path / "secrets" / "one")


def test_a_generated_secret_says_so_and_stays(tmp_path: Path, generated: str) -> None:
    path = tmp_path / "secrets" / "one"
    assert generated_secret(path) == generated
    assert is_generated(generated)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_secret_of_the_roles(monkeypatch: pytest.MonkeyPatch, generated: str) -> None:
    monkeypatch.setenv("SELVEDGE_POSTGRES_ROLE_SECRET", generated)
    assert len(role_password(Role.PRIVACY)) == 64
    for cached in CACHES:
        cached.cache_clear()
    monkeypatch.setenv("SELVEDGE_ENVIRONMENT", "production")
    with pytest.raises(DatabaseUnavailableError, match="generated in development") as refused:
        role_password(Role.PRIVACY)
    assert generated not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "scheme", "url"),
    [
        ("SELVEDGE_POSTGRES_URL", "postgresql://admin", admin_url),
        ("SELVEDGE_REDIS_URL", "redis://", redis_url),
    ],
)
def test_the_password_of_a_server(
    monkeypatch: pytest.MonkeyPatch, generated: str, variable: str, scheme: str, url: object
) -> None:
    assert callable(url)
    monkeypatch.setenv("SELVEDGE_ENVIRONMENT", "production")
    monkeypatch.setenv(variable, f"{scheme}:{generated}@127.0.0.1:1/0")
    with pytest.raises(DatabaseUnavailableError, match=variable) as refused:
        url()
    assert generated not in str(refused.value)
    platform_settings.cache_clear()
    monkeypatch.setenv(variable, f"{scheme}:of-its-own@127.0.0.1:1/0")
    assert "127.0.0.1" in str(url())
