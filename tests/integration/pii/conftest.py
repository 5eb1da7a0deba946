import shutil
from collections.abc import Iterator

import pytest

from privacy.settings import PlatformSettings


@pytest.fixture
def clean_platform(clean_database: None, settings: PlatformSettings) -> Iterator[None]:
    """Empty tables, keys and lake, before and after."""
    shutil.rmtree(settings.lake_dir, ignore_errors=True)
    yield
    shutil.rmtree(settings.lake_dir, ignore_errors=True)
