"""Servers given by URL are used as they are; their state shows no password."""

import pytest
from pydantic import SecretStr

from orchestration.servers import platform
from privacy import database
from privacy.database import admin_url, redis_url
from privacy.settings import PlatformSettings


@pytest.fixture
def by_url(servers: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    changed = servers.model_copy(
        update={
            "postgres_url": SecretStr(admin_url().render_as_string(hide_password=False)),
            "redis_url": SecretStr(redis_url()),
        }
    )
    monkeypatch.setattr(database, "platform_settings", lambda: changed)
    return changed


def test_servers_by_url_show_their_version_and_no_password(by_url: PlatformSettings) -> None:
    state = {server.name: server for server in platform.status(by_url)}
    assert state["postgres"].health == state["redis"].health == "ok"
    assert all((state[name].version or "0")[0].isdigit() for name in ("postgres", "redis"))
    password = admin_url().password
    assert password
    assert all(str(password) not in str(server) for server in state.values())


def test_a_server_by_url_that_does_not_answer_is_unreachable(
    by_url: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = by_url.model_copy(
        update={
            "postgres_url": SecretStr("postgresql://nobody@127.0.0.1:1/none"),
            "redis_url": SecretStr("redis://127.0.0.1:1/0"),
        }
    )
    monkeypatch.setattr(database, "platform_settings", lambda: gone)
    state = {server.name: server for server in platform.status(gone)}
    assert state["postgres"].health == state["redis"].health == "unreachable"
    assert state["postgres"].version is None
