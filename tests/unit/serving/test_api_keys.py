"""Production brings its own API keys, long and different; development makes them once."""

from collections.abc import Callable, Iterator

import pytest

from privacy.secret_files import is_generated
from serving import auth
from serving.auth import ApiKeyError, Scope, api_keys
from serving.settings import serving_settings

CACHES = (api_keys, auth._digests, serving_settings)


@pytest.fixture(autouse=True)
def _settings_read_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for cached in CACHES:
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in CACHES:
        cached.cache_clear()


def test_development_keeps_the_keys_it_made() -> None:
    first = dict(api_keys())
    assert all(is_generated(key) for key in first.values())
    api_keys.cache_clear()
    assert api_keys() == first
    assert len(set(first.values())) == len(Scope)


def test_production_without_a_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, read_settings: Callable[[], None]
) -> None:
    monkeypatch.setenv("SELVEDGE_ENVIRONMENT", "production")
    read_settings()
    monkeypatch.setenv("SELVEDGE_API_KEY_STOREFRONT", "a" * 32)
    with pytest.raises(ApiKeyError, match="SELVEDGE_API_KEY_PRIVACY must be set"):
        api_keys()


def test_production_refuses_a_key_that_development_generated(
    monkeypatch: pytest.MonkeyPatch, read_settings: Callable[[], None]
) -> None:
    generated = api_keys()[Scope.STOREFRONT]
    for cached in CACHES:
        cached.cache_clear()
    monkeypatch.setenv("SELVEDGE_ENVIRONMENT", "production")
    read_settings()
    monkeypatch.setenv("SELVEDGE_API_KEY_PRIVACY", "a" * 32)
    monkeypatch.setenv("SELVEDGE_API_KEY_STOREFRONT", generated)
    with pytest.raises(ApiKeyError, match="STOREFRONT was generated in development") as refused:
        api_keys()
    assert generated not in str(refused.value)


def test_a_short_key_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELVEDGE_API_KEY_STOREFRONT", "hunter2")
    with pytest.raises(ApiKeyError, match="at least 32 characters") as refused:
        api_keys()
    assert "hunter2" not in str(refused.value)


def test_one_key_for_both_scopes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for scope in Scope:
        monkeypatch.setenv(f"SELVEDGE_API_KEY_{scope.name}", "a" * 32)
    with pytest.raises(ApiKeyError, match="must differ"):
        api_keys()
