"""Taking a person's statement into the ledger, and to serving before it is acknowledged.

The ledger keeps each statement once, however often and in whatever order it arrives: its key is a keyed hash of all that it says.
A statement that is sent again changes nothing, and one that reuses an id for something else is a statement of its own, so that
no withdrawal is ever lost to a mistaken id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from consent import masks, withdrawal
from consent.intake.mapping import Decisions
from consent.ledger import ConsentRecord, Decision, append, history
from privacy import tombstones
from privacy.contracts import Purpose
from privacy.presence import is_present
from privacy.pseudonymise import row_keys

__all__ = ["GPC", "Statement", "object_by_gpc", "take_in"]

GPC = "gpc"
_TABLE = "consents"
_NOT_SHOWN = "none"


@dataclass(frozen=True, slots=True)
class Statement:
    """What one person said at one time about some purposes.

    Attributes
    ----------
    statement_id: chosen by who sends it.
    source: through which door it came, as in ``api``.
    proof: what came with it, as it was received.
    """

    statement_id: str = field(repr=False)
    decisions: Decisions
    stated_at: datetime
    mechanism: str
    policy_version: str
    source: str
    language: str | None = None
    proof: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def records(self, pseudonym: str) -> list[ConsentRecord]:
        """One record for each purpose."""
        at = self.stated_at.astimezone(UTC)
        keys = row_keys(
            self.source,
            _TABLE,
            [
                (pseudonym, self.statement_id, purpose.value, decision.value, at.isoformat())
                for purpose, decision in self.decisions.items()
            ],
        )
        return [
            ConsentRecord(
                pseudonym,
                purpose,
                decision,
                at,
                self.mechanism,
                self.policy_version,
                self.source,
                key,
                self.proof,
                language=self.language,
            )
            for (purpose, decision), key in zip(self.decisions.items(), keys, strict=True)
        ]


def take_in(pseudonym: str, statement: Statement) -> int:
    """Append the statement, and let it hold online; returns how many records were new.

    Once this returns, the next ranking follows it. Nothing is written about who is not, or no longer, a subject.
    """
    with tombstones.writing():
        if not is_present(pseudonym):
            return 0
        added = append(statement.records(pseudonym))
        withdrawal.apply(pseudonym, _refused(statement.decisions))
    return added


def _refused(decisions: Decisions) -> list[Purpose]:
    return [purpose for purpose, decision in decisions.items() if decision is not Decision.OPT_IN]


def object_by_gpc(pseudonym: str) -> bool:
    """Record, once for a subject, that their browser objects to personalisation; returns whether they are a subject.

    A person who agrees later, in the shop's own words, has said something newer: their browser's signal is then honoured in
    each answer to it, but recorded no more.
    """
    with tombstones.writing():
        if not is_present(pseudonym):
            return False
        purpose = Purpose.PERSONALISATION
        (key,) = row_keys(GPC, _TABLE, [(pseudonym, purpose.value)])
        at = max([datetime.now(UTC), *(said.stated_at for said in history(pseudonym))])
        proof = {"kind": "header", "header": "Sec-GPC: 1"}
        append([
            ConsentRecord(
                pseudonym, purpose, Decision.OPT_OUT, at, GPC, _NOT_SHOWN, GPC, key, proof
            )
        ])  # fmt: skip
        withdrawal.apply(pseudonym, [purpose])
        masks.mark_gpc(pseudonym)
    return True
