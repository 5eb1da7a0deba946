"""What a policy rule says of what breaks it."""

from dataclasses import dataclass

__all__ = ["Violation"]


@dataclass(frozen=True, order=True)
class Violation:
    """One breach of a rule.

    Attributes
    ----------
    where: ``file:line``, or the key of an asset.
    what: what is wrong there.
    remedy: what to do, as an imperative.
    rule: name of the rule, as `orchestration.policy.rules` lists it.
    """

    where: str
    what: str
    remedy: str
    rule: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}."
