"""The versions of the policy that people are asked to agree to, each text held by its SHA-256 (`policies.yaml`)."""

import hashlib
from datetime import date
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

__all__ = ["PoliciesError", "PolicyVersion", "load_policies", "policy_hash", "policy_versions"]

_FILE = Path(__file__).with_name("policies.yaml")
_TEXTS = Path(__file__).with_name("policies")


class PoliciesError(ValueError):
    """`policies.yaml` and the texts disagree; says which version and what to do."""


class PolicyVersion(BaseModel):
    """One version: since when it is shown, and the hash of its text in each language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    in_force_from: date
    sha256: dict[str, str] = Field(min_length=1, description="Hash of the text, by language")


_VERSIONS = TypeAdapter(dict[str, PolicyVersion])


@cache
def policy_versions() -> dict[str, PolicyVersion]:
    """Every version by its name; raises PoliciesError where a text is not the one that was hashed."""
    return load_policies(_FILE, _TEXTS)


def load_policies(file: Path, texts: Path) -> dict[str, PolicyVersion]:
    """The versions in `file`, each text of the folder `texts` compared with its hash."""
    try:
        versions = _VERSIONS.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise PoliciesError(f"{file.name} cannot be used: {error}") from error
    for name, version in versions.items():
        for language, expected in version.sha256.items():
            _check(texts / f"{name}.{language}.md", name, language, expected)
    return versions


def policy_hash(version: str, language: str | None) -> str | None:
    """SHA-256 of the text of `version` in `language` (``de`` or ``de-AT``); None where the platform does not hold that text."""
    held = policy_versions().get(version)
    return held.sha256.get(language.partition("-")[0]) if held and language else None


def _check(path: Path, name: str, language: str, expected: str) -> None:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise PoliciesError(
            f"Policy {name} has no text in '{language}': put {path.name} back."
        ) from None
    if found != expected:
        raise PoliciesError(
            f"Policy {name} in '{language}' was edited ({path.name} has SHA-256 {found}): people agreed to another text. "
            "Restore it, and write a new version."
        )
