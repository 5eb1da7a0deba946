"""The registry: every place that may hold data about people, and nothing else to work from.

It is the contracts of all assets, published when the definitions load, and the platform's own stores, which are no assets.
Erasure, access, verification and the ``/v1/assets`` API go through it alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from privacy.contracts import (
    AssetContract,
    Category,
    FeastOnlineStore,
    LegalBasis,
    NoStore,
    PostgresStore,
    Purpose,
    RedisStore,
    RedisStream,
    Retention,
    Store,
    Withhold,
    no_personal_data,
)
from privacy.database import Role, connect
from privacy.stores.feast_online import ALL_VIEWS

__all__ = [
    "PLATFORM_CONTRACTS",
    "PLATFORM_PREFIX",
    "Registry",
    "UnknownAssetError",
    "load",
    "publish",
]

PLATFORM_PREFIX = "platform/"
_OWNER = "team:privacy"
_ONLINE = frozenset({"redis", "redis_stream", "feast_online"})


class UnknownAssetError(KeyError):
    """No asset or store has this key."""

    def __str__(self) -> str:
        return str(self.args[0])


def _own(
    name: str,
    description: str,
    store: Store,
    *,
    purposes: tuple[Purpose, ...] = (Purpose.SERVICE,),
    basis: LegalBasis = LegalBasis.LEGAL_OBLIGATION,
    days: int = 3650,
    column: str | None = None,
    category: Category = Category.PSEUDONYMOUS,
    handler: str | None = None,
    provided: bool = False,
) -> AssetContract:
    return AssetContract(
        key=f"{PLATFORM_PREFIX}{name}",
        owner=_OWNER,
        description=description,
        category=category,
        purposes=purposes,
        legal_basis=basis,
        retention=Retention(days=days, column=column),
        store=store,
        subject="pseudonym",
        withhold=Withhold(at="read", within=timedelta(seconds=1)),
        handler=handler,
        provided=provided,
    )


def _table(schema: str, table: str) -> PostgresStore:
    return PostgresStore(schema_name=schema, table=table)


def _online(name: str, description: str, store: Store, days: int) -> AssetContract:
    return _own(
        name,
        description,
        store,
        purposes=(Purpose.PERSONALISATION,),
        basis=LegalBasis.CONSENT,
        days=days,
    )


def _impersonal(
    name: str, description: str, reason: str, store: Store, retention: Retention | None = None
) -> AssetContract:
    contract = no_personal_data(
        f"{PLATFORM_PREFIX}{name}",
        owner=_OWNER,
        description=description,
        reason=reason,
        store=store,
    )
    return contract.model_copy(update={"retention": retention})


PLATFORM_CONTRACTS: tuple[AssetContract, ...] = (
    _own(
        "vault",
        "The identity vault: direct identifiers encrypted under the subject's own key, keyed hashes of identifiers, pseudonyms.",
        _table("vault", "subjects"),
        basis=LegalBasis.CONTRACT,
        category=Category.DIRECT,
        handler="vault",
        provided=True,
    ),
    _own(
        "consent_records",
        "The ledger of what each subject agreed to and refused.",
        _table("consent", "records"),
        column="stated_at",
        handler="consent_ledger",
    ),
    _own(
        "objections",
        "Who is left out of which asset.",
        _table("consent", "objections"),
        column="stated_at",
    ),
    _own(
        "minors",
        "Subjects who came before the age of digital consent of their country, with the day on which they reach it.",
        _table("consent", "minors"),
        category=Category.SENSITIVE,
    ),
    _own(
        "models_due",
        "Subjects whom a trained model used and who have left since, until its next training.",
        _table("consent", "models_due"),
        days=30,
        column="since",
        handler="models_due",
    ),
    _own(
        "exports",
        "Exports made for access requests, encrypted under the subject's own key.",
        _table("requests", "exports"),
        days=7,
        category=Category.DIRECT,
        handler="exports",
    ),
    _own(
        "privacy_requests",
        "Privacy requests: a keyed fingerprint of the subject, and the encrypted pseudonym while a request is open.",
        _table("requests", "privacy_requests"),
        column="completed",
        handler="requests",
    ),
    _own(
        "rectifications",
        "What a subject corrected, under the subject's own key, so that an older row of a source does not undo it.",
        _table("requests", "rectifications"),
        column="rectified_at",
        category=Category.DIRECT,
        handler="rectifications",
    ),
    _own(
        "consent_mask",
        "What serving asks at each request: the purposes a subject agrees to and their objections.",
        RedisStore(pattern="sv:consent:{{pseudonym}}"),
        days=35,
    ),
    _online(
        "session_items",
        "What a consented subject did in the last half hour.",
        RedisStore(pattern="sv:session:{{pseudonym}}"),
        1,
    ),
    _online(
        "seen_events",
        "Identifiers of a subject's latest events, so that a repeated batch is stored once.",
        RedisStore(pattern="sv:seen:{{pseudonym}}"),
        2,
    ),
    _online(
        "online_features",
        "Every feature view of a subject in the online store, of views no longer defined as well.",
        FeastOnlineStore(project="selvedge", feature_view=ALL_VIEWS, entity="subject"),
        35,
    ),
    _online(
        "event_stream",
        "Events on their way to the lake.",
        RedisStream(key="sv:events"),
        2,
    ),
    _own(
        "temporary_files",
        "Short-lived files of running jobs; what a crashed one left is deleted.",
        NoStore(),
        basis=LegalBasis.CONTRACT,
        days=1,
        handler="temporary_files",
    ),
    *(
        _impersonal(
            f"consent_{table}",
            description,
            "Numbers, times, signatures, and hashes that a destroyed salt keeps from being tried out.",
            _table("consent", table),
        )
        for table, description in (
            ("links", "The consent ledger's hash chain, erased records included."),
            ("erasures", "Signed notes of what left the consent ledger."),
            ("erased", "Numbers of the records that left it."),
            ("heads", "The chain's end, signed daily."),
        )
    ),
    _impersonal(
        "tombstones",
        "Marks that keep erased subjects from coming back.",
        "Keyed hashes of random pseudonyms and of identifiers, under a key of their own: without it they lead to nobody.",
        _table("requests", "tombstones"),
    ),
    _impersonal(
        "key_versions",
        "Versions of the vault's keys: since when they are used, and when they were destroyed.",
        "Numbers and times of keys, never a key.",
        _table("vault", "key_versions"),
    ),
    _impersonal(
        "request_steps",
        "What each privacy request did in each store.",
        "Request ids, asset keys, counts and times.",
        _table("requests", "steps"),
    ),
    _own(
        "retained_records",
        "What the law keeps of the orders of those who were erased (§ 147 AO, § 14b UStG): no pseudonym, only the fields that "
        "a duty names. Nobody can be found in it; each record leaves when its duty ends.",
        _table("requests", "retained_records"),
        days=3288,  # the end of the year of the order, and eight more
        handler="retained",
    ),
    _impersonal(
        "certificates",
        "Certificates of erasure, as they were signed.",
        "Request ids, asset keys, counts and times.",
        _table("requests", "certificates"),
    ),
    _impersonal(
        "erasure_epoch",
        "How many erasures the database has gone through, so that a restored one is recognised.",
        "One number.",
        _table("requests", "erasure_epoch"),
    ),
    _impersonal(
        "redis_epoch",
        "How many erasures Redis has gone through, so that a restored one is recognised.",
        "One number.",
        RedisStore(pattern="sv:epoch"),
    ),
    _impersonal(
        "feature_freshness",
        "When each feature view was last materialised, for the metrics of the API.",
        "Names of views and times.",
        RedisStore(pattern="sv:features:*"),
        Retention(days=35),
    ),
    _impersonal(
        "folders",
        "Folders outside the database that held data once, so that one which is not mounted is not taken for an empty one.",
        "Names of folders and times.",
        _table("requests", "folders"),
    ),
    _impersonal(
        "requester_marks",
        "By what who was erased still follows their request and fetches its certificate, for some days after it was closed.",
        "Keyed hashes of a request's id with a customer number, under a key of their own: without it they lead to nobody.",
        _table("requests", "requester_marks"),
        Retention(days=30, column="closed"),
    ),
    _impersonal(
        "retraining",
        "Models that must be trained again after an erasure, and by when.",
        "Request ids, asset keys and times.",
        _table("requests", "retraining"),
    ),
    _impersonal(
        "idempotency_keys",
        "Keys under which callers repeat a request without making it twice.",
        "Keyed hashes of a caller's key and of the body that came with it, which lead to nobody.",
        _table("requests", "idempotency_keys"),
    ),
    _impersonal(
        "used_tokens",
        "Requesters' tokens that were used, until they expire.",
        "Keyed hashes of random nonces.",
        _table("requests", "used_tokens"),
    ),
    _impersonal(
        "rate_limits",
        "How many privacy requests came from one requester and one address lately, and how often one profile was read.",
        "Counters under keyed hashes, gone within the hour.",
        RedisStore(pattern="sv:rate:*"),
    ),
    _impersonal(
        "registry",
        "The contracts of all assets.",
        "Describes assets, not people.",
        _table("requests", "assets"),
    ),
    _impersonal(
        "audit_log",
        "What was done with people's data and when.",
        "Entries hold request ids, asset keys and counts; one that holds a pseudonym is refused.",
        _table("audit", "log"),
    ),
    _impersonal(
        "trained_models",
        "The newest version of each trained model, and when it had read the ledger.",
        "Names versions, purposes and times.",
        _table("consent", "trained_models"),
    ),
    _impersonal(
        "quarantine",
        "Rows of the sources that were refused, with the reason.",
        "Holds file names and row numbers, never a row's content.",
        _table("shop", "quarantine"),
        Retention(days=90, column="quarantined_at"),
    ),
    _impersonal(
        "ingest_runs",
        "Counts of each ingest.",
        "Counts and times only.",
        _table("shop", "ingest_runs"),
    ),
)


@dataclass(frozen=True)
class Registry:
    """All contracts, assets first, each group ordered by key."""

    contracts: tuple[AssetContract, ...]

    def get(self, key: str) -> AssetContract:
        """The contract of one asset or store; raises UnknownAssetError."""
        for contract in self.contracts:
            if contract.key == key:
                return contract
        raise UnknownAssetError("There is no such asset: GET /v1/assets lists them all.")

    @property
    def holding_subjects(self) -> tuple[AssetContract, ...]:
        """Contracts in which a person can be found."""
        return tuple(
            contract
            for contract in self.contracts
            if contract.holds_subjects and (contract.store.kind != "none" or contract.handler)
        )

    @property
    def online(self) -> tuple[AssetContract, ...]:
        """Contracts of what serving reads; erased before a request is answered."""
        return tuple(
            contract for contract in self.holding_subjects if contract.store.kind in _ONLINE
        )


def publish(contracts: Iterable[AssetContract]) -> int:
    """Make `contracts` the registry's assets; returns how many there are. Repeating it changes nothing."""
    published = {contract.key: contract.model_dump_json() for contract in contracts}
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "delete from requests.assets where not key = any(%s)", [sorted(published)]
        )
        connection.cursor().executemany(
            "insert into requests.assets as held (key, contract) values (%s, %s) "
            "on conflict (key) do update set contract = excluded.contract, published = now() "
            "where held.contract is distinct from excluded.contract",
            sorted(published.items()),
        )
    return len(published)


def load() -> Registry:
    """The registry as last published, with the platform's own stores that no asset covers."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute("select contract from requests.assets order by key").fetchall()
    assets = [AssetContract.model_validate(row[0]) for row in rows]
    covered = {_place(contract) for contract in assets if contract.holds_subjects}
    own = [contract for contract in PLATFORM_CONTRACTS if _place(contract) not in covered]
    return Registry(tuple(assets + sorted(own, key=lambda contract: contract.key)))


def _place(contract: AssetContract) -> tuple[str, str | None]:
    """What is searched and how: two contracts of one place are one."""
    return contract.store.model_dump_json(), contract.handler
