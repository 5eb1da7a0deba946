"""Which subjects' data may be used now: current consent, minus objections to the asset."""

from collections.abc import Collection
from datetime import datetime

from consent.purposes import needs_consent
from privacy.contracts import AssetContract, FeastOnlineStore
from privacy.database import Role, connect
from privacy.withholding import EVERYTHING

__all__ = ["corrected", "permitted"]

AGREE = """
select pseudonym from consent.current
where pseudonym = any(%s) and purpose = any(%s)
group by pseudonym
having count(distinct purpose) = %s
"""
OBJECT = "select pseudonym from consent.withheld where pseudonym = any(%s) and asset_key = any(%s)"
# The registry's entry for the whole online store; an objection to it reaches each of its views.
ONLINE_STORE = "platform/online_features"


def permitted(pseudonyms: Collection[str], contract: AssetContract) -> set[str]:
    """Those of `pseudonyms` who agree now to every purpose of `contract` and do not object to its asset."""
    asked = list(pseudonyms)
    purposes = [purpose.value for purpose in set(contract.purposes) if needs_consent(purpose)]
    assets = [contract.key, EVERYTHING]
    if isinstance(contract.store, FeastOnlineStore):
        assets.append(ONLINE_STORE)
    with connect(Role.CONSENT) as connection:
        objecting = connection.execute(OBJECT, [asked, assets]).fetchall()
        if not purposes:
            return set(asked) - {row[0] for row in objecting}
        agreeing = connection.execute(AGREE, [asked, purposes, len(purposes)]).fetchall()
    return {row[0] for row in agreeing} - {row[0] for row in objecting}


def corrected(pseudonyms: Collection[str]) -> dict[str, datetime]:
    """When those of `pseudonyms` who corrected something last did; values made before may be wrong."""
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select pseudonym, corrected_at from consent.corrected where pseudonym = any(%s)",
            [list(pseudonyms)],
        ).fetchall()
    return dict(rows)
