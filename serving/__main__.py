"""`python -m serving` runs the API: worker processes behind one port."""

import importlib
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from privacy.restore import RestoredError, refuse_restored
from privacy.settings import platform_settings
from privacy.tombstone_journal import JournalError
from serving.settings import serving_settings

__all__ = ["main"]


def _share_metrics() -> None:
    """Give the workers a folder of their metrics; must happen before prometheus_client is imported."""
    folder = platform_settings().run_dir / "ranker-metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _preload() -> None:
    """Import the heaviest packages once, before the workers are forked: a faster start, and memory that they share.

    Only packages that start no thread pool of their own: Polars, which does, is left to the workers.
    """
    for name in ("fastapi", "sqlalchemy", "feast", "presidio_analyzer"):
        importlib.import_module(name)


@contextmanager
def _reserved(host: str, port: int) -> Iterator[None]:
    """Hold the port while the packages load: workers share ports, so two servers could otherwise take the same one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        holder = socket.create_server((host, port), family=family, backlog=1)
    except OSError as error:
        typer.echo(
            f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}. Choose another --port.",
            err=True,
        )
        raise typer.Exit(1) from None
    with holder:
        yield


def main(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 18000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes")] = 2,
) -> None:
    """Run the API until it is told to stop.

    Example: python -m serving --port 18000 --workers 2
    """
    try:
        refuse_restored()
    except (RestoredError, JournalError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    with _reserved(host, port):
        _share_metrics()
        if workers > 1:
            _preload()
    logging.captureWarnings(True)
    server = Granian(
        "serving.app:create_app",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        factory=True,
        websockets=False,
        backpressure=serving_settings().serving_backpressure,
        # Granian's own access log would hold paths, and with them subject references.
        log_access=False,
        log_level=LogLevels.info,
        respawn_failed_workers=True,
        # A worker that is told to stop while it still starts does not hear it.
        workers_kill_timeout=10,
    )
    server.serve()


if __name__ == "__main__":
    typer.run(main)
