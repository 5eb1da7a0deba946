"""A server as a detached process: its record on disk, its health, its end.

Each running server has a record `.selvedge/run/<name>.json` (mode 0600, for its URL may hold a password) and a log
`.selvedge/logs/<name>.log`. A record outlives a crash, so that `status` can tell that a server died.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from privacy.secret_files import write_private
from privacy.settings import PlatformSettings

__all__ = [
    "ServerError",
    "ServerRecord",
    "free_port",
    "last_port",
    "log_tail",
    "read_record",
    "start",
    "stop",
    "wait_until",
]


FEAST_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")


class ServerError(RuntimeError):
    """A server did not start or died; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class ServerRecord:
    """What is known of a server that was started.

    Attributes
    ----------
    pid, process_created: identify the process (a pid alone may be reused).
    address: what a person opens or connects to, without secrets; `url` may hold a password.
    """

    name: str
    pid: int
    process_created: float
    port: int
    address: str
    url: str
    version: str
    log: str
    stop_signal: int = signal.SIGTERM
    started: float = field(default_factory=time.time)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.process_created) < 1
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False


def free_port(preferred: int) -> int:
    """`preferred` if nobody listens there on loopback, else a port the system picks."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError("No free port on 127.0.0.1.")


def _record_path(settings: PlatformSettings, name: str) -> Path:
    return settings.run_dir / f"{name}.json"


def read_record(settings: PlatformSettings, name: str) -> ServerRecord | None:
    """The record of server `name`, None if it was never started or was stopped in order."""
    path = _record_path(settings, name)
    return ServerRecord(**json.loads(path.read_text())) if path.exists() else None


def last_port(settings: PlatformSettings, name: str, preferred: int) -> int:
    """The port that server `name` has, or had when it died; `preferred` if it never ran."""
    record = read_record(settings, name)
    return record.port if record else preferred


def log_tail(path: str | Path, lines: int = 15) -> str:
    """The last lines of a log, or a sentence that there is none."""
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return f"(no log at {path})"


def start(
    settings: PlatformSettings,
    name: str,
    command: Sequence[str],
    *,
    port: int,
    address: str,
    url: str,
    version: str,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    user: tuple[int, int] | None = None,
    descriptors: Sequence[int] = (),
    stop_signal: signal.Signals = signal.SIGTERM,
    timeout: float = 60.0,
) -> ServerRecord:
    """Start `command` in a session of its own and wait until `ready`.

    `user` is the (uid, gid) to run as, `descriptors` are open files that it inherits. Raises ServerError when the process ends or is not ready within `timeout` seconds.
    """
    log = settings.logs_dir / f"{name}.log"
    process = _spawn(settings, command, log, env or {}, user, descriptors)
    created = psutil.Process(process.pid).create_time()
    record = ServerRecord(
        name, process.pid, created, port, address, url, version, str(log), stop_signal
    )
    write_private(_record_path(settings, name), json.dumps(asdict(record)))

    def up() -> bool:
        # Whoever else listens on the port must not pass for this server.
        return (port == 0 or _listens(process.pid, port)) and ready()

    try:
        wait_until(lambda: up() or process.poll() is not None, timeout)
    except BaseException:
        stop(settings, name)
        raise
    status = process.poll()
    if status is not None or not up():
        stop(settings, name)
        ended = "is not ready" if status is None else f"ended with status {status}"
        raise ServerError(f"{name} {ended} after start. Its log {log} ends:\n{log_tail(log)}")
    return record


def _spawn(
    settings: PlatformSettings,
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str],
    user: tuple[int, int] | None,
    descriptors: Sequence[int],
) -> subprocess.Popen[bytes]:
    for folder in (settings.logs_dir, settings.run_dir):
        folder.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_inherited(), **env},
            start_new_session=True,
            pass_fds=descriptors,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
        )


def _inherited() -> dict[str, str]:
    """This process's environment without the metrics folder that importing Feast makes and removes at exit."""
    return {name: value for name, value in os.environ.items() if name not in FEAST_VARIABLES}


def _listens(pid: int, port: int) -> bool:
    """Whether the process or one of its children listens on `port`."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for process in family
            for connection in process.net_connections("tcp")
        )
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], timeout: float, interval: float = 0.05) -> bool:
    """Poll `condition` until it holds (True) or `timeout` seconds passed (False)."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(interval)
    return condition()


def stop(settings: PlatformSettings, name: str, timeout: float = 20.0) -> bool:
    """End server `name` and its children, first asking, then by force; False if none ran."""
    record = read_record(settings, name)
    if record is None:
        return False
    was_alive = record.alive
    if was_alive:
        _end_tree(record, timeout)
    _record_path(settings, name).unlink(missing_ok=True)
    return was_alive


def _end_tree(record: ServerRecord, timeout: float) -> None:
    # Only the parent is asked: Postgres's and granian's children end in order when their parent does.
    try:
        process = psutil.Process(record.pid)
        family = [process, *process.children(recursive=True)]
        process.send_signal(record.stop_signal)
    except psutil.NoSuchProcess:
        return
    psutil.wait_procs([process], timeout=timeout)
    _, left = psutil.wait_procs(family, timeout=3)
    for survivor in left:
        with suppress(psutil.NoSuchProcess):
            survivor.kill()
    psutil.wait_procs(left, timeout=3)
