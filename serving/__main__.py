"""`python -m serving` runs the API: worker processes behind one port."""

import logging
import os
import shutil
from typing import Annotated

import typer
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from privacy.settings import platform_settings
from serving.settings import serving_settings

__all__ = ["main"]


def _share_metrics() -> None:
    """Give the workers a folder of their metrics; must happen before prometheus_client is imported."""
    folder = platform_settings().run_dir / "ranker-metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def main(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 18000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes")] = 2,
) -> None:
    """Run the API until it is told to stop.

    Example: python -m serving --port 18000 --workers 2
    """
    _share_metrics()
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
    )
    server.serve()


if __name__ == "__main__":
    typer.run(main)
