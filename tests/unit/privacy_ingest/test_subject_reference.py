import re
import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from privacy.key_providers.file import FileKeyProvider
from privacy.settings import Environment
from privacy.subject_reference import (
    ExpiredSubjectReferenceError,
    InvalidSubjectReferenceError,
    issue,
    open_reference,
)


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyProvider:
    return FileKeyProvider(tmp_path / "secrets" / "keys.json", Environment.TEST)


def test_a_reference_opens_to_its_pseudonym(keys: FileKeyProvider) -> None:
    pseudonym = secrets.token_hex(16)
    token = issue(pseudonym, keys=keys)
    assert open_reference(token, keys=keys) == pseudonym
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token), "fits into a path and a cookie as it is"
    assert pseudonym not in token


def test_two_references_of_one_subject_differ(keys: FileKeyProvider) -> None:
    pseudonym = secrets.token_hex(16)
    assert issue(pseudonym, keys=keys) != issue(pseudonym, keys=keys)


def test_an_expired_reference_is_refused(keys: FileKeyProvider) -> None:
    token = issue(secrets.token_hex(16), timedelta(seconds=-1), keys=keys)
    with pytest.raises(ExpiredSubjectReferenceError):
        open_reference(token, keys=keys)


def test_a_changed_reference_is_refused_wherever_it_was_changed(keys: FileKeyProvider) -> None:
    token = issue(secrets.token_hex(16), keys=keys)
    for position in range(0, len(token), 5):
        other = "A" if token[position] != "A" else "B"
        with pytest.raises(InvalidSubjectReferenceError):
            open_reference(token[:position] + other + token[position + 1 :], keys=keys)


@pytest.mark.parametrize("token", ["", "x", "!!!", "a" * 500, "ä" * 40, "AAAA" * 18, "../../etc"])
def test_text_that_is_no_reference_is_refused(token: str, keys: FileKeyProvider) -> None:
    with pytest.raises(InvalidSubjectReferenceError):
        open_reference(token, keys=keys)


def test_a_reference_of_before_a_rotation_still_opens(keys: FileKeyProvider) -> None:
    pseudonym = secrets.token_hex(16)
    token = issue(pseudonym, keys=keys)
    keys.rotate("serving")
    assert open_reference(token, keys=keys) == pseudonym


def test_only_a_pseudonym_is_put_into_a_reference(keys: FileKeyProvider) -> None:
    with pytest.raises(ValueError, match="pseudonym"):
        issue("C00042", keys=keys)
