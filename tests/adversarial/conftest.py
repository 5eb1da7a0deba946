"""One platform for the whole battery; each test takes canaries of its own from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adversarial.whole_platform import Platform, own_home

CANARIES = 60


@pytest.fixture(autouse=True)
def _one_settings_object() -> None:
    """The battery's platform has settings of its own, in a process of its own."""


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform, built once."""
    with own_home(tmp_path_factory.mktemp("battery")) as settings:
        whole = Platform(settings, CANARIES)
        try:
            whole.build()
            yield whole
        finally:
            whole.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the platform to be built."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(1_800))
