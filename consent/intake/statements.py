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
    stated_at: when it was said; where the statement does not say (`dated` is False), the earliest that it can have been.
    source: through which door it came, as in ``api``.
    proof: what came with it, as it was received.
    received_at: what it agrees to counts from then at the latest, and so does a refusal that is not dated.
    """

    statement_id: str = field(repr=False)
    decisions: Decisions
    stated_at: datetime
    mechanism: str
    policy_version: str
    source: str
    language: str | None = None
    proof: Mapping[str, Any] = field(default_factory=dict, repr=False)
    dated: bool = True
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)

    def counts_from(self, decision: Decision) -> datetime:
        """From when what it says counts: nobody agrees later than is known of it, and no refusal gets lost in its day."""
        if decision is Decision.OPT_IN:
            return min(self.stated_at, self.received_at)
        return self.stated_at if self.dated else max(self.stated_at, self.received_at)

    @property
    def undated_refusals(self) -> list[Purpose]:
        """The purposes that it refuses without saying when."""
        return [] if self.dated else _refused(self.decisions)

    def records(
        self, pseudonym: str, agreed: Mapping[Purpose, datetime] | None = None
    ) -> list[ConsentRecord]:
        """One record for each purpose.

        `agreed` says when the subject last agreed to a purpose. A refusal that is not dated takes that back, and is named by
        it: sent again it counts once, and after another agreement anew.
        """
        agreed, refusals = agreed or {}, self.undated_refusals
        named, times = [], []
        for purpose, decision in self.decisions.items():
            at, before = self.counts_from(decision), agreed.get(purpose)
            if purpose in refusals:
                at = max(at, before or at)
                when = f"after {before.astimezone(UTC).isoformat() if before else 'nothing'}"
            else:
                when = self.stated_at.astimezone(UTC).isoformat()
            named.append((pseudonym, self.statement_id, purpose.value, decision.value, when))
            times.append(at.astimezone(UTC))
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
            for (purpose, decision), at, key in zip(
                self.decisions.items(), times, row_keys(self.source, _TABLE, named), strict=True
            )
        ]


def take_in(pseudonym: str, statement: Statement) -> int:
    """Append the statement, and let it hold online; returns how many records were new.

    Once this returns, the next ranking follows it. Nothing is written about who is not, or no longer, a subject.
    """
    with tombstones.writing():
        if not is_present(pseudonym):
            return 0
        agreed = _agreed(pseudonym) if statement.undated_refusals else {}
        added = append(statement.records(pseudonym, agreed))
        withdrawal.apply(pseudonym, _refused(statement.decisions))
    return added


def _agreed(pseudonym: str) -> dict[Purpose, datetime]:
    """When the subject last agreed to each purpose."""
    said = history(pseudonym)  # in the order of time
    return {each.purpose: each.stated_at for each in said if each.decision is Decision.OPT_IN}


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
