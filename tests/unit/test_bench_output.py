"""`./selvedge bench --json` prints one JSON object, whatever the servers and tools that it starts print."""

import os
import subprocess

import pytest

from orchestration.bench import output_to_stderr


def test_what_is_printed_meanwhile_goes_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with output_to_stderr():
        os.write(1, b"by this process\n")
        subprocess.run(["echo", "by another"], check=True)
    os.write(1, b"the report\n")
    told = capfd.readouterr()
    assert told.out == "the report\n"
    assert told.err == "by this process\nby another\n"
