"""A policy's text is held to its hash, so that what people agreed to stays what they were shown."""

from pathlib import Path
from shutil import copytree

import pytest

from consent import policies
from consent.policies import PoliciesError, load_policies, policy_hash, policy_versions


def test_every_shipped_version_is_whole_and_in_every_language() -> None:
    for version in policy_versions().values():
        assert version.sha256.keys() == {"de", "en", "fr"}
    assert policy_hash("3.0", "de") == policy_hash("3.0", "de-AT") != policy_hash("3.0", "en")
    assert policy_hash("3.0", "it") is policy_hash("1.0", "de") is policy_hash("3.0", None) is None


def test_a_text_that_was_edited_or_lost_is_named(tmp_path: Path) -> None:
    file = Path(policies.__file__).with_name("policies.yaml")
    texts = Path(copytree(file.with_name("policies"), tmp_path / "policies"))
    assert load_policies(file, texts) == policy_versions()
    with (texts / "3.0.fr.md").open("a") as text:
        text.write("Et vos données à des tiers.\n")
    with pytest.raises(PoliciesError, match=r"Policy 3\.0 in 'fr' was edited"):
        load_policies(file, texts)
    (texts / "3.0.fr.md").unlink()
    with pytest.raises(PoliciesError, match=r"put 3\.0\.fr\.md back"):
        load_policies(file, texts)
    wrong = tmp_path / "policies.yaml"
    wrong.write_text('"3.0": {in_force_from: 2025-05-25, sha256: {}}\n')
    with pytest.raises(PoliciesError, match="sha256"):
        load_policies(wrong, texts)
