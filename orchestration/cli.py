"""The command line: what a newcomer types first, and what an operator types every day."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated

import psycopg
import redis
import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.prompt import Confirm
from sqlalchemy.exc import SQLAlchemyError

from orchestration import demo as platform_demo
from orchestration.commands import consent, privacy
from orchestration.progress import console, fail, stage
from orchestration.servers import platform
from orchestration.servers.materialisation import RunFailedError
from orchestration.servers.process import ServerError, read_record
from orchestration.settings import OrchestrationSettings, orchestration_settings
from orchestration.sources.batch import SourceError
from orchestration.warehouse_project import WarehouseProjectError
from privacy.contracts import ContractError
from privacy.controller import ControllerError
from privacy.database import DatabaseUnavailableError
from privacy.keys import KeyProviderError
from privacy.restore import RestoredError
from privacy.settings import PROJECT_ROOT, Environment, platform_settings
from privacy.tombstone_journal import JournalError
from serving.auth import ApiKeyError, api_keys

app = typer.Typer(
    help="Selvedge: personalisation that keeps each person's data from unravelling.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(privacy.app, name="privacy")
app.add_typer(consent.app, name="consent")


def _epilog(example: str) -> str:
    return f"Example: [bold]./selvedge {example}[/]"


SourceOption = Annotated[
    str | None,
    typer.Option(help="simulator, renttherunway, online_retail, or a mapping YAML of your own."),
]


def _folder(text: str) -> Path:
    """A folder that is there; relative to where the caller stands, which the bootstrap script leaves."""
    folder = Path(os.environ.get("SELVEDGE_CALLED_FROM", ".")) / text
    if not folder.is_dir():
        raise typer.BadParameter(f"there is no folder '{text}'")
    return folder.resolve()


PathOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the source's files.", parser=_folder, metavar="FOLDER"),
]
AssumeOption = Annotated[
    bool, typer.Option(help="Record an assumed opt-in where a source has no consents.")
]


def _chosen(
    source: str | None, path: Path | None, assume_consent: bool, customers: int | None
) -> OrchestrationSettings:
    kept = orchestration_settings()
    changes: dict[str, object] = {}
    if source is not None:
        changes = {"source": source, "source_path": None, "assume_consent": False}
    if path is not None:
        changes["source_path"] = path
    if assume_consent:
        changes["assume_consent"] = True
    if customers is not None:
        changes["customers"] = customers
    return OrchestrationSettings.model_validate({**kept.model_dump(), **changes})


@app.command(epilog=_epilog("demo --source renttherunway --path data --assume-consent"))
def demo(
    source: SourceOption = None,
    path: PathOption = None,
    assume_consent: AssumeOption = False,
    customers: Annotated[
        int | None, typer.Option(min=1_000, max=1_000_000, help="Size of the simulated shop.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave the servers running and return.")
    ] = False,
) -> None:
    """Run the whole platform: servers, data, every asset, the ranker API and the Dagster UI."""
    settings, began = platform_settings(), time.monotonic()
    platform_demo.choose_source(settings, _chosen(source, path, assume_consent, customers))
    started: list[str] = []
    keep = False
    try:
        platform_demo.make_shop(settings)
        platform_demo.start(settings, started, ("postgres", "redis"))
        platform_demo.publish_contracts()
        platform_demo.start(settings, started)
        # From here on a failure is looked at in the Dagster UI, which a detached demo leaves running.
        keep = detach
        platform_demo.materialise(settings)
        _print_ready(time.monotonic() - began)
        if not detach and started:
            console.print("Ctrl-C stops everything that was started.")
            platform_demo.watch(settings, started)
    except KeyboardInterrupt as interrupt:
        keep = False
        console.print("interrupted")
        raise typer.Exit(130) from interrupt
    finally:
        if not keep:
            platform_demo.stop(settings, started)


def _print_ready(seconds: float) -> None:
    settings = platform_settings()
    ui, api = read_record(settings, "dagster-ui"), read_record(settings, "ranker")
    console.print(f"\n[bold]Selvedge is running[/] [dim]after {seconds:.0f} s[/]")
    if ui:
        console.print(f"  Dagster UI   {ui.address}")
    if api:
        console.print(f"  Ranker API   {api.address}/docs")
        console.print(
            f"  Try          curl '{api.address}/v1/recommendations?touchpoint=homepage' \\"
        )
        console.print(
            '                 -H "Authorization: Bearer $(./selvedge status --key storefront)"'
        )
    console.print("  Status       ./selvedge status        Stop  ./selvedge down")


@app.command(epilog=_epilog("up"))
def up(
    only_data: Annotated[
        bool, typer.Option("--only-data", help="Postgres and Redis alone.")
    ] = False,
) -> None:
    """Start every server and leave them running."""
    settings = platform_settings()
    started: list[str] = []
    platform_demo.start(settings, started, ("postgres", "redis"))
    if only_data:
        return
    platform_demo.publish_contracts()
    platform_demo.start(settings, started)
    console.print(platform_demo.status_table(settings))


@app.command(epilog=_epilog("down"))
def down() -> None:
    """Stop every server that the platform started; data stays."""
    platform_demo.stop(platform_settings())


def _keys() -> dict[str, str]:
    return {scope.value: key for scope, key in api_keys().items()}


@app.command(epilog=_epilog("status --json"))
def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    key: Annotated[
        str | None, typer.Option(help="Print one development API key (storefront, privacy).")
    ] = None,
) -> None:
    """Show every server: address, port, process id, version, health; the log's end where one died."""
    settings = platform_settings()
    development = settings.environment is not Environment.PRODUCTION
    if key is not None:
        keys = _keys() if development else {}
        if key not in keys:
            raise typer.BadParameter(f"no development key '{key}'; one of: {', '.join(keys)}")
        sys.stdout.write(keys[key] + "\n")
        return
    servers = platform.status(settings)
    if as_json:
        report = {
            "environment": settings.environment.value,
            "source": orchestration_settings().source,
            "servers": [asdict(server) for server in servers],
            **({"api_keys": _keys()} if development else {}),
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        console.print(platform_demo.status_table(settings))
        for scope, key_of_scope in (_keys() if development else {}).items():
            console.print(f"API key of scope {scope}: {key_of_scope}")
        for server in servers:
            if server.log_tail:
                console.print(
                    f"\n[red]{server.name} {server.health}[/], last of {server.log}:\n{escape(server.log_tail)}"
                )
    if any(server.health in ("died", "not ready", "unreachable") for server in servers):
        raise typer.Exit(1)


@app.command(epilog=_epilog("late --json"))
def late(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """What is older than it may be, and why; status 1 where anything is. Postgres must be up."""
    from orchestration.commands.late import late_now, late_table

    found = late_now(platform_settings())
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], indent=2, default=str) + "\n")
    else:
        console.print(late_table(found) if found else "[green]✓[/] nothing is late")
    if found:
        raise typer.Exit(1)


@app.command(epilog=_epilog("reset --yes"))
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop the servers and remove all local state: keys, data, models and the simulated shop."""
    settings = platform_settings()
    if settings.postgres_url or settings.redis_url:
        raise platform_demo.DemoError(
            "The data lies in servers of your own (SELVEDGE_POSTGRES_URL, SELVEDGE_REDIS_URL), and removing the keys here "
            "would make it unreadable: empty those servers yourself, unset the variables, then run reset again."
        )
    folders = platform_demo.state_folders(settings)
    if not folders:
        console.print("Nothing to remove.")
        return
    names = " and ".join(str(folder) for folder in folders)
    if not yes and not Confirm.ask(f"Remove {names} with everything in it?", default=False):
        raise typer.Exit(1)
    platform_demo.stop(settings)
    for folder in folders:
        with stage(f"remove {folder}"):
            shutil.rmtree(folder)


@app.command(epilog=_epilog("materialize marts/fct_orders"))
def materialize(
    assets: Annotated[
        list[str] | None, typer.Argument(help="Asset keys; all of them where none is given.")
    ] = None,
) -> None:
    """Materialise assets through Dagster; the servers must be up."""
    platform_demo.materialise(platform_settings(), assets=assets)


@app.command(epilog=_epilog("quality --source renttherunway --path data"))
def quality(
    source: SourceOption = None,
    path: PathOption = None,
    max_quarantined: Annotated[
        float,
        typer.Option(min=0, max=1, help="Largest share of a table's rows that may be refused."),
    ] = 0.05,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write the results as JUnit XML too."),
    ] = None,
) -> None:
    """Check data quality: of the stored tables, or of a source before it is ingested."""
    from orchestration.quality.junit import as_junit
    from orchestration.quality.run import run_suites

    if path is not None and source is None:
        raise typer.BadParameter("a path needs a source: say which with --source")
    report = run_suites(source, path, max_quarantined=max_quarantined)
    console.print(report.table())
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        as_junit(report).write(junit, encoding="utf-8", xml_declaration=True)
    if not report.success:
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=_epilog("dbt build --select marts"),
)
def dbt(context: typer.Context) -> None:
    """Run dbt against the platform's warehouse with the platform's settings."""
    from orchestration.warehouse_project import run_dbt

    raise typer.Exit(run_dbt(context.args))


@app.command(epilog=_epilog("bench recommenders --json"))
def bench(
    name: Annotated[
        str | None, typer.Argument(help="Benchmark; listed where none is given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Under a minute: a smoke test.")] = False,
) -> None:
    """Measure: figures beside a baseline of the same run."""
    from orchestration.bench import BenchmarkError, benchmarks, output_to_stderr, report, run, table

    if name is None:
        console.print("\n".join(benchmarks()))
        return
    try:
        with output_to_stderr() if as_json else nullcontext():
            figures = run(name, quick=quick)
    except BenchmarkError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        sys.stdout.write(json.dumps(report(name, figures), indent=2) + "\n")
    else:
        console.print(table(name, figures))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=_epilog("test tests/unit"),
)
def test(context: typer.Context) -> None:
    """Run every check of the project (or what pytest is given); starts the servers it needs."""
    if context.args:
        raise typer.Exit(_pytest(*context.args))
    # Each of these runs a platform of its own, Spark included, and shares nothing with the others: one after the other they take
    # about as long as all the rest.
    platforms = ("tests/adversarial", "tests/e2e")
    console.print(
        f"{' and '.join(platforms)} run beside the other tests; what they print follows theirs."
    )
    with tempfile.TemporaryFile() as printed, ThreadPoolExecutor(1) as beside:
        # One thread: they run one after the other.
        codes = beside.map(lambda folder: _pytest(folder, output=printed), platforms)
        others = _pytest(*(f"--ignore={folder}" for folder in platforms))
        failed = max(others, *codes)
        printed.seek(0)
        console.print(printed.read().decode(errors="replace"), markup=False, highlight=False)
    raise typer.Exit(failed)


def _pytest(*args: str, output: IO[bytes] | None = None) -> int:
    """pytest's exit status; what it prints goes to `output`, or to the console."""
    errors = None if output is None else subprocess.STDOUT
    command = [sys.executable, "-m", "pytest", *args]
    return subprocess.run(
        command, cwd=PROJECT_ROOT, stdout=output, stderr=errors, check=False
    ).returncode


# What a person can mend: shown as one sentence, never as a traceback.
EXPECTED = (
    ContractError,
    ControllerError,
    DatabaseUnavailableError,
    ApiKeyError,
    KeyProviderError,
    JournalError,
    RestoredError,
    RunFailedError,
    ServerError,
    SourceError,
    WarehouseProjectError,
    platform_demo.DemoError,
)


def main() -> None:
    """Run the command line; expected failures end with one sentence and status 1."""
    # What the platform writes is its owner's alone to read.
    os.umask(0o077)
    try:
        app(prog_name="selvedge")
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}"
            for entry in error.errors(include_input=False)
        )
        fail(f"a setting is not valid: {wrong} (environment variables are prefixed SELVEDGE_)")
    except (psycopg.OperationalError, SQLAlchemyError, redis.RedisError) as error:
        # Messages of drivers may quote addresses and rows; the kind says enough, with what to do.
        fail(f"a server does not answer ({type(error).__name__}): './selvedge status' says which.")
    except EXPECTED as error:
        fail(str(error))
    else:
        return
    sys.exit(1)


if __name__ == "__main__":
    main()
