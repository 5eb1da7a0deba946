"""Production refuses what development generated, whichever variable it comes in by."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from privacy import database
from privacy.database import DatabaseUnavailableError, Role, admin_url, redis_url, role_password
from privacy.secret_files import generated_secret, is_generated


@pytest.fixture(autouse=True)
def _role_secret_read_anew() -> Iterator[None]:
    database._role_secret.cache_clear()
    yield
    database._role_secret.cache_clear()


@pytest.fixture
def generated(tmp_path: Path) -> str:
    return generated_secret(tmp_path / "secrets" / "one")


def test_a_generated_secret_says_so_and_stays(tmp_path: Path, generated: str) -> None:
    path = tmp_path / "secrets" / "one"
    assert generated_secret(path) == generated
    assert is_generated(generated)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_secret_of_the_roles(
    monkeypatch: pytest.MonkeyPatch, read_settings: Callable[[], None], generated: str
) -> None:
    monkeypatch.setenv("SELVEDGE_POSTGRES_ROLE_SECRET", generated)
    read_settings()
    assert len(role_password(Role.PRIVACY)) == 64
    database._role_secret.cache_clear()
    monkeypatch.setenv("SELVEDGE_ENVIRONMENT", "production")
    read_settings()
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
    monkeypatch: pytest.MonkeyPatch,
    read_settings: Callable[[], None],
    generated: str,
    variable: str,
    scheme: str,
    url: object,
) -> None:
    assert callable(url)
    monkeypatch.setenv("SELVEDGE_ENVIRONMENT", "production")
    monkeypatch.setenv(variable, f"{scheme}:{generated}@127.0.0.1:1/0")
    read_settings()
    with pytest.raises(DatabaseUnavailableError, match=variable) as refused:
        url()
    assert generated not in str(refused.value)
    monkeypatch.setenv(variable, f"{scheme}:of-its-own@127.0.0.1:1/0")
    read_settings()
    assert "127.0.0.1" in str(url())
