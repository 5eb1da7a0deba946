"""The whole platform from nothing: servers, the shop's data, every asset, the UI and the ranker."""

import difflib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from dagster import DagsterError
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from orchestration.progress import console, stage
from orchestration.servers import materialisation, platform
from orchestration.servers.dagster import instance
from orchestration.servers.process import read_record
from orchestration.settings import (
    OrchestrationSettings,
    orchestration_settings,
    remember_source,
    remembered_source,
)
from privacy.settings import PlatformSettings

__all__ = [
    "DemoError",
    "choose_source",
    "make_shop",
    "materialise",
    "publish_contracts",
    "start",
    "stop",
    "watch",
]

EVERYTHING = "everything"


class DemoError(RuntimeError):
    """The demo cannot go on; says why and what to do."""


def choose_source(settings: PlatformSettings, chosen: OrchestrationSettings) -> None:
    """Keep the chosen source for every process of this platform.

    Raises DemoError where the state already holds another source's data, or where a source without consents is
    chosen without saying that consent is assumed.
    """
    from orchestration.sources.connector import open_source

    kept = remembered_source()
    if kept is not None and kept.identity != chosen.identity:
        raise DemoError(
            f"{settings.home} holds the data of source '{kept.source}'. Run './selvedge reset' first, or set "
            "SELVEDGE_HOME to another folder."
        )
    if chosen.source != "simulator" or chosen.source_path is not None:
        source = open_source(chosen.source, chosen.source_path)
        if not source.declares_consent and not chosen.assume_consent:
            raise DemoError(
                f"Source '{chosen.source}' has no consent records. Without consent nothing may be personalised; "
                "add --assume-consent to record an assumed opt-in, marked as such in the ledger."
            )
    remember_source(chosen)
    orchestration_settings.cache_clear()


def make_shop(settings: PlatformSettings) -> None:
    """Simulate the shop unless its data is there or the source is another."""
    from orchestration.sources.simulator import existing_simulation, simulate

    chosen = orchestration_settings()
    if chosen.source != "simulator" or chosen.source_path is not None:
        return
    kept = existing_simulation(settings.shop_home)
    if kept is not None:
        console.print(
            f"[green]✓[/] shop of {kept.customers:,} customers reused from {settings.shop_home}"
        )
        return
    until = chosen.until or datetime.now(UTC).date()
    with stage(f"simulate a shop of {chosen.customers:,} customers"):
        simulate(settings.shop_home, customers=chosen.customers, seed=chosen.seed, until=until)


def start(
    settings: PlatformSettings,
    started: list[str],
    names: tuple[str, ...] = platform.SERVERS,
) -> None:
    """Start the named servers with a line for each; adds to `started` those that were not running."""
    pending: Iterator[tuple[str, bool]] = platform.start_servers(settings, names)
    while True:
        began = time.monotonic()
        try:
            name, new = next(pending)
        except StopIteration:
            return
        record = read_record(settings, name)
        where = record.address if record else ""
        took = f"{time.monotonic() - began:.1f} s" if new else "already running"
        console.print(f"[green]✓[/] {name} {where} [dim]{took}[/]")
        started += [name] if new else []


def stop(settings: PlatformSettings, names: list[str] | None = None) -> None:
    """Stop servers (all, unless named) with a line for each."""
    chosen = platform.SERVERS if names is None else tuple(names)
    for name in platform.stop_servers(settings, chosen):
        console.print(f"[green]✓[/] {name} stopped")


def publish_contracts() -> None:
    """Publish every asset's contract, so that serving and erasure know all assets."""
    with stage("load the definitions and publish their contracts"):
        from orchestration.contracted import contracts_of, shapes_of
        from orchestration.definitions import defs
        from privacy.lineage import publish_shapes
        from privacy.registry import publish

        publish(contracts_of(defs))
        publish_shapes(shapes_of(defs))


@contextmanager
def _cancelled_with(settings: PlatformSettings, run_id: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.print("cancelling the run")
        with suppress(DagsterError, SQLAlchemyError):
            materialisation.cancel(instance(settings), run_id)
        raise


def _require_known(assets: list[str]) -> None:
    from privacy.registry import load

    known = [contract.key for contract in load().contracts]
    for asset in assets:
        if asset not in known:
            near = difflib.get_close_matches(asset, known, n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise DemoError(f"No asset '{asset}'{hint} The Dagster UI lists them all.")


def materialise(
    settings: PlatformSettings, job: str = EVERYTHING, assets: list[str] | None = None
) -> None:
    """Run `job` (or the named assets of it) through Dagster, with a line for each asset.

    Raises RunFailedError where the run does not succeed.
    """
    ui, daemon = read_record(settings, "dagster-ui"), read_record(settings, "dagster-daemon")
    if ui is None or not ui.alive or daemon is None or not daemon.alive:
        raise DemoError("Dagster is not running: start it with './selvedge up'.")
    _require_known(assets or [])
    began = time.monotonic()
    run_id = materialisation.launch(ui.port, job, assets)
    console.print(f"… materialise: follow it at {ui.address}/runs/{run_id}")
    with (
        _cancelled_with(settings, run_id),
        console.status("waiting for the run to start") as spinner,
    ):
        for progress in materialisation.follow(instance(settings), run_id):
            _show(progress, spinner.update)
    console.print(f"[green]✓[/] materialised [dim]{time.monotonic() - began:.1f} s[/]")


def _show(progress: materialisation.Progress, update: object) -> None:
    assert callable(update)
    match progress.kind:
        case "started":
            update(f"{progress.subject} …")
        case "materialised":
            rows = "" if progress.rows is None else f"{progress.rows:,} rows "
            console.print(
                f"  [green]✓[/] {progress.subject} [dim]{rows}{progress.seconds:.1f} s[/]"
            )
        case "check_failed":
            console.print(f"  [yellow]![/] check {progress.subject} ({progress.detail})")
        case "failed":
            console.print(f"  [red]✗[/] {escape(progress.detail)}")
        case "finished":
            pass


def watch(settings: PlatformSettings, names: list[str]) -> None:
    """Wait, and say it when one of the named servers dies; returns when all of them have ended."""
    alive = set(names)
    while alive:
        time.sleep(1)
        for name in sorted(alive):
            record = read_record(settings, name)
            if record is None or not record.alive:
                alive.discard(name)
                if record is not None:
                    console.print(f"[red]✗[/] {name} died; './selvedge status' shows its log")


def status_table(settings: PlatformSettings) -> Table:
    """The servers as a table: health, address, process id, version and memory."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("server", "health", "address", "pid", "version"):
        table.add_column(title)
    table.add_column("memory (MiB)", justify="right")
    for server in platform.status(settings):
        colour = "green" if server.health == "ok" else "red"
        table.add_row(
            server.name,
            f"[{colour}]{server.health}[/]",
            server.address or "",
            str(server.pid or ""),
            server.version or "",
            str(server.memory_mib or ""),
        )
    return table


def state_folders(settings: PlatformSettings) -> list[Path]:
    """What `reset` removes: the platform's state and the simulated shop."""
    from orchestration.sources.simulator import existing_simulation

    ours = (settings.home / "run").is_dir() or (settings.home / "source.json").exists()
    folders = [settings.home] if ours else []
    # The folder of a real shop's data is never removed, wherever the setting points.
    return folders + ([settings.shop_home] if existing_simulation(settings.shop_home) else [])
