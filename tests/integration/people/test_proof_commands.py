"""What a privacy officer types to prove an erasure, and what the API answers; checking it needs no server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from orchestration.commands.privacy import app
from privacy import audit, requests
from privacy.requests import RequestKind
from privacy.settings import PROJECT_ROOT
from tests.adversarial.reading import as_administrator
from tests.integration.people.test_routes import Client, client

__all__ = ["client"]  # a fixture

RUN = CliRunner()


@pytest.fixture
def erased(people) -> requests.PrivacyRequest:
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    return requests.process(request.request_id)


@pytest.fixture
def files(erased: requests.PrivacyRequest, tmp_path: Path) -> tuple[Path, Path]:
    """The certificate and the public key, as the commands print them."""
    certificate, key = tmp_path / "erasure.json", tmp_path / "key.pem"
    certificate.write_text(RUN.invoke(app, ["certificate", str(erased.request_id)]).stdout)
    key.write_text(RUN.invoke(app, ["public-key"]).stdout)
    return certificate, key


def verify_elsewhere(certificate: Path, key: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process without this platform: no server, no secrets, no state."""
    return subprocess.run(
        [sys.executable, "-m", "orchestration.cli", "privacy", "verify-certificate", str(certificate),
         "--public-key", str(key)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "SELVEDGE_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def test_a_certificate_is_checked_offline(
    erased: requests.PrivacyRequest, files: tuple[Path, Path], tmp_path: Path
) -> None:
    home = tmp_path / "nothing"
    good = verify_elsewhere(*files, home)
    assert good.returncode == 0, good.stdout + good.stderr
    assert str(erased.request_id) in good.stdout
    assert "not searched: backups" in good.stdout
    assert not home.exists(), "checking makes no key and no state"

    certificate, key = files
    document = json.loads(certificate.read_text())
    document["assets"][0]["removed"] += 1
    certificate.write_text(json.dumps(document))
    forged = verify_elsewhere(certificate, key, home)
    assert forged.returncode == 1
    assert "does not fit" in forged.stdout


def test_who_has_no_certificate_is_told_why(people) -> None:
    waiting, _ = requests.create(RequestKind.ERASURE, people.leaver, "test")
    for wrong, why in ((str(waiting.request_id), "There is no certificate"), ("x", "not the id")):
        result = RUN.invoke(app, ["certificate", wrong])
        assert result.exit_code == 2
        assert why in result.output


def test_the_audit_log_is_checked_by_a_command(erased: requests.PrivacyRequest) -> None:
    result = RUN.invoke(app, ["verify-audit"])
    assert result.exit_code == 0
    assert audit.check().head.hex() in result.output.replace("\n", "")


def test_a_log_that_lost_the_entry_of_a_given_certificate_is_refused(
    files: tuple[Path, Path],
) -> None:
    certificate, key = files
    arguments = ["verify-audit", "--certificate", str(certificate)]
    kept = RUN.invoke(app, arguments)
    assert kept.exit_code == 0, kept.output
    with as_administrator() as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("truncate audit.log, requests.certificates")
    audit.record("test", "counted", {"number": 1})

    assert RUN.invoke(app, ["verify-audit"]).exit_code == 0
    lost = RUN.invoke(app, arguments)
    assert (lost.exit_code, "is missing: the log was cut off" in lost.output) == (1, True)

    document = json.loads(certificate.read_text())
    document["audit"]["entry"] = 1
    certificate.write_text(json.dumps(document))
    forged = RUN.invoke(app, [*arguments, "--public-key", str(key)])
    assert (forged.exit_code, "does not fit" in forged.output) == (1, True)


def test_the_api_gives_the_certificate_of_a_completed_erasure(
    client: Client, people, files: tuple[Path, Path], erased: requests.PrivacyRequest
) -> None:
    answer = client.get(f"/v1/privacy-requests/{erased.request_id}/certificate")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == json.loads(files[0].read_text())
    waiting, _ = requests.create(RequestKind.ERASURE, people.stayer, "test")
    assert client.get(f"/v1/privacy-requests/{waiting.request_id}/certificate").status_code == 409
    assert client.get(f"/v1/privacy-requests/{uuid4()}/certificate").status_code == 404


def test_only_a_folder_of_data_can_be_told_lost() -> None:
    refused = RUN.invoke(app, ["after-restore", "--lost", "secrets"])
    assert refused.exit_code == 2
    assert "secrets" in refused.output
