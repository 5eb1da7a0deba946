"""Consent is one rule in three engines: the dbt macro, the Spark function and the Redis mask agree on any history.

So does what is asked in memory of the rows of the event stream. Some of the subjects are minors, for whom guardians speak.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from consent import ledger, masks, objections
from consent.agreements import objectors, served
from consent.ledger import ConsentRecord, Decision
from consent.masks import MASK_FIELDS, decode, mask_key
from consent.minors import GUARDIAN
from consent.spark import consented
from orchestration.spark import to_table
from privacy.contracts import Purpose
from privacy.database import Role, admin_url, connect
from privacy.settings import PROJECT_ROOT
from privacy.withholding import EVERYTHING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MACRO = PROJECT_ROOT / "dbt" / "macros" / "consented.sql"
PURPOSES = (Purpose.ANALYTICS, Purpose.PERSONALISATION, Purpose.SERVICE)
ASSETS = ("lake/sessions", "models/lightfm")
START = datetime(2026, 3, 1, 21, tzinfo=UTC)
HOURS = 6  # few instants, so that statements and rows often share one; a day begins at the third
COMES_OF_AGE = {-21: date(2026, 3, 1), 3: date(2026, 3, 2), 27: date(2026, 3, 3)}  # hour to day
SUBJECTS = tuple(f"{number:032x}" for number in range(8))
SCHEMA = pa.schema(
    [("row", pa.int64()), ("pseudonym", pa.string()), ("at", pa.timestamp("us", tz="UTC"))]
)

# (subject, purpose, decision, hour, hour of the agreement that ran out: of an expiry alone)
Statement = tuple[str, Purpose, Decision, int, int | None]
# Each example tells eight subjects' histories; most statements are about the purpose that is asked for in it.
purposes = st.sampled_from(PURPOSES)
said_at = st.one_of(
    st.tuples(
        st.sampled_from((Decision.OPT_IN, Decision.OPT_OUT)), st.integers(0, HOURS), st.none()
    ),
    st.integers(1, HOURS).flatmap(
        lambda hour: st.tuples(st.just(Decision.EXPIRED), st.just(hour), st.integers(0, hour - 1))
    ),
)
statements = st.tuples(st.sampled_from(SUBJECTS), purposes, said_at).map(
    lambda drawn: (drawn[0], drawn[1], *drawn[2])
)
objected = st.tuples(
    st.sampled_from(SUBJECTS),
    st.sampled_from((*ASSETS, EVERYTHING)),
    st.sampled_from(("object_to", "withdraw")),
)


@dataclass(frozen=True)
class History:
    """Statements in order of arrival (not of time) and objections.

    `minors` come of age at an hour; `guardians` made the statements with these numbers.
    """

    statements: list[Statement]
    objections: list[tuple[str, str, str]]
    minors: dict[str, int] = field(default_factory=dict)
    guardians: frozenset[int] = frozenset()

    @property
    def counted(self) -> list[Statement]:
        """Without the agreements of minors, and those of guardians of whoever is none (any more)."""
        return [
            said
            for number, said in enumerate(self.statements)
            if said[2] is not Decision.OPT_IN
            or (number in self.guardians) == (said[3] < self.minors.get(said[0], -99))
        ]

    def agreed(self, subject: str, purpose: Purpose, hour: int) -> bool:
        """Whether the last statement up to `hour` agreed; of two at one time, the refusal counts.

        Of the statements that count, an expiry is a refusal unless its agreement was renewed before it ran out.
        """
        about = [said[2:] for said in self.counted if said[:2] == (subject, purpose)]
        agreements = [at for decision, at, _ in about if decision is Decision.OPT_IN]
        said = [
            (at, decision is not Decision.OPT_IN)
            for decision, at, agreed in about
            if at <= hour
            and not (agreed is not None and any(agreed < renewed <= at for renewed in agreements))
        ]
        return bool(said) and not max(said)[1]

    def objects(self, subject: str, asset_key: str) -> bool:
        """Whether the last thing said about the asset, or about every asset, was an objection."""
        said = [
            [what for s, key, what in self.objections if (s, key) == (subject, named)]
            for named in (asset_key, EVERYTHING)
        ]
        return any(statements and statements[-1] == "object_to" for statements in said)

    def serves(
        self, subject: str | None, purpose: Purpose, hour: int | None, asset_key: str
    ) -> bool:
        """The rule, said once more and plainly."""
        if subject is not None and self.objects(subject, asset_key):
            return False
        if purpose is Purpose.SERVICE:
            return True
        if subject is None or hour is None:
            return False
        return self.agreed(subject, purpose, hour) and self.agreed(subject, purpose, HOURS)


# Every subject (and nobody) at every half hour of statements, one before all of them, the last one and no time at all.
ROWS: list[tuple[str | None, int | None]] = [
    (subject, hour) for subject in (*SUBJECTS, None) for hour in (*range(-1, HOURS + 1), None)
]


def _time(hour: int | None) -> datetime | None:
    return None if hour is None else START + timedelta(hours=hour)


def _begin_empty(client: "redis.Redis") -> None:
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "truncate consent.records, consent.links, consent.erased, consent.objections, "
            "consent.minors"
        )
    client.flushdb()


def _tell(history: History) -> None:
    ledger.append(
        [
            ConsentRecord(
                subject,
                purpose,
                decision,
                START + timedelta(hours=hour),
                GUARDIAN if number in history.guardians else "test",
                "1",
                "test",
                str(number),
                agreed_at=_time(agreed),
            )
            for number, (subject, purpose, decision, hour, agreed) in enumerate(history.statements)
        ]
    )
    for subject, asset_key, what in history.objections:
        getattr(objections, what)(subject, asset_key, "test")
    with connect(Role.CONSENT) as connection:
        connection.cursor().executemany(
            "insert into consent.minors (pseudonym, minor_until) values (%s, %s)",
            [(subject, COMES_OF_AGE[hour]) for subject, hour in history.minors.items()],
        )


def _by_sql(purpose: Purpose, asset_key: str) -> set[int]:
    macro = Environment(autoescape=False).from_string(Path(MACRO).read_text()).module.consented  # type: ignore[attr-defined]
    predicate = macro("events", purpose=purpose.value, at="happened_at", asset=asset_key)
    with connect(Role.DBT) as connection:
        connection.execute(
            "create temporary table events (row bigint, pseudonym text, happened_at timestamptz) on commit drop"
        )
        with connection.cursor() as cursor, cursor.copy("copy events from stdin") as copy:
            for number, (subject, hour) in enumerate(ROWS):
                copy.write_row((number, subject, _time(hour)))
        rows = connection.execute(f"select row from events where {predicate}").fetchall()
    return {row[0] for row in rows}


def _by_spark(spark: "SparkSession", purpose: Purpose, asset_key: str) -> set[int]:
    events = pa.table(
        [range(len(ROWS)), [subject for subject, _ in ROWS], [_time(hour) for _, hour in ROWS]],
        schema=SCHEMA,
    )
    kept = consented(spark.createDataFrame(events), purpose, "at", asset_key)
    return set(to_table(kept, SCHEMA)["row"].to_pylist())


def _in_memory(purpose: Purpose, asset_key: str) -> set[int]:
    left_out = set(objectors(asset_key)["pseudonym"].to_pylist())
    subjects = pa.chunked_array([pa.array([subject for subject, _ in ROWS], pa.string())])
    times = pa.chunked_array([pa.array([_time(hour) for _, hour in ROWS], SCHEMA.field("at").type)])
    kept = served(subjects, times, [purpose]).to_pylist()
    return {row for row, keep in enumerate(kept) if keep and ROWS[row][0] not in left_out}


def _by_mask(client: "redis.Redis", purpose: Purpose, asset_key: str) -> set[str]:
    pipeline = client.pipeline(transaction=False)
    for subject in SUBJECTS:
        pipeline.hmget(mask_key(subject), list(MASK_FIELDS))
    replies = dict(zip(SUBJECTS, pipeline.execute(), strict=True))
    return {
        subject for subject, reply in replies.items() if decode(reply).serves(purpose, asset_key)
    }


def _expected(history: History, purpose: Purpose, asset_key: str) -> set[int]:
    return {
        number
        for number, (subject, hour) in enumerate(ROWS)
        if history.serves(subject, purpose, hour, asset_key)
    }


def _now(rows: Iterable[int]) -> set[str]:
    """Subjects of the rows that happen after the last statement, i.e. now."""
    return {subject for subject, hour in (ROWS[row] for row in rows) if subject and hour == HOURS}


@st.composite
def histories(draw: st.DrawFn, purpose: Purpose) -> History:
    """Random statements for every subject about `purpose`, some about others, in random order of arrival."""
    asked = [
        (subject, purpose, *said)
        for subject in SUBJECTS
        for said in draw(st.lists(said_at, max_size=6))
    ]
    other = draw(st.lists(statements, max_size=6))
    told = draw(st.permutations([*asked, *other]))
    minors = st.dictionaries(st.sampled_from(SUBJECTS), st.sampled_from(sorted(COMES_OF_AGE)))
    guardians = st.frozensets(st.integers(0, max(len(told) - 1, 0)))
    return History(told, draw(st.lists(objected, max_size=6)), draw(minors), draw(guardians))


@st.composite
def questions(draw: st.DrawFn) -> tuple[History, Purpose, str]:
    """A history, and the purpose and asset that it is asked about."""
    purpose = draw(purposes)
    return draw(histories(purpose)), purpose, draw(st.sampled_from(ASSETS))


IN, OUT = Decision.OPT_IN, Decision.OPT_OUT
ON_OFF_ON: list[Statement] = [
    (SUBJECTS[0], Purpose.ANALYTICS, said, hour, None)
    for said, hour in ((IN, 1), (OUT, 3), (IN, 5))
]
# Agreed, ran out, and agreed again too late; and an agreement that was renewed in time, of which the news came late.
RAN_OUT: list[Statement] = [
    (SUBJECTS[0], Purpose.ANALYTICS, IN, 0, None),
    (SUBJECTS[0], Purpose.ANALYTICS, Decision.EXPIRED, 3, 0),
    (SUBJECTS[0], Purpose.ANALYTICS, IN, 5, None),
    (SUBJECTS[1], Purpose.ANALYTICS, IN, 1, None),
    (SUBJECTS[1], Purpose.ANALYTICS, Decision.EXPIRED, 4, 1),
    (SUBJECTS[1], Purpose.ANALYTICS, IN, 4, None),
    (SUBJECTS[2], Purpose.ANALYTICS, IN, 1, None),
    (SUBJECTS[2], Purpose.ANALYTICS, Decision.EXPIRED, 4, 1),
]


# A guardian agreed before the birthday; the subject alone, before and after it; a guardian too late; and a minor who refused.
OF_MINORS = History(
    [
        *((SUBJECTS[0], Purpose.ANALYTICS, said, hour, None) for said, hour in ((IN, 1),)),
        *((SUBJECTS[1], Purpose.ANALYTICS, said, hour, None) for said, hour in ((IN, 1), (IN, 4))),
        *((SUBJECTS[2], Purpose.ANALYTICS, said, hour, None) for said, hour in ((IN, 4),)),
        *((SUBJECTS[3], Purpose.ANALYTICS, said, hour, None) for said, hour in ((IN, 0), (OUT, 1), (IN, 2))),
    ],
    [],
    dict.fromkeys(SUBJECTS[:4], 3),
    frozenset({0, 3, 4}),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(questions())
@example((History(ON_OFF_ON, []), Purpose.ANALYTICS, ASSETS[0]))
@example(
    (
        History([*ON_OFF_ON, (SUBJECTS[0], Purpose.ANALYTICS, OUT, 5, None)], []),
        Purpose.ANALYTICS,
        ASSETS[0],
    )
)
@example((OF_MINORS, Purpose.ANALYTICS, ASSETS[0]))
@example((History(RAN_OUT, []), Purpose.ANALYTICS, ASSETS[0]))
def test_macro_spark_and_mask_agree_on_random_histories(
    servers: object,
    spark: "SparkSession",
    redis_client: "redis.Redis",
    question: tuple[History, Purpose, str],
) -> None:
    history, purpose, asset_key = question
    _begin_empty(redis_client)
    _tell(history)
    masks.write_all(redis_client)
    expected = _expected(history, purpose, asset_key)
    assert _by_sql(purpose, asset_key) == expected
    assert _by_spark(spark, purpose, asset_key) == expected
    assert _by_mask(redis_client, purpose, asset_key) == _now(expected)
    if purpose is not Purpose.SERVICE:
        assert _in_memory(purpose, asset_key) == expected


def test_the_macro_joins_the_ledger_once_however_many_rows_it_filters(clean_database: None) -> None:
    macro = Environment(autoescape=False).from_string(Path(MACRO).read_text()).module.consented  # type: ignore[attr-defined]
    predicate = macro("e", purpose="analytics", at="at", asset="lake/sessions")
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.records (pseudonym, purpose, decision, stated_at, mechanism, policy_version, source, source_key) "
            "select md5(s::text), p, case when r = 1 then 'opt_out' else 'opt_in' end, timestamptz '2026-01-01' + r * interval '1 day', "
            "'test', '1', 'test', s || p || r from generate_series(1, 2000) s, unnest(array['analytics', 'personalisation']) p, "
            "generate_series(0, 2) r"
        )
        connection.execute(
            "create temporary table e on commit drop as "
            "select md5((n % 2000)::text) as pseudonym, timestamptz '2026-01-01' + (n % 200) * interval '1 hour' as at "
            "from generate_series(1, 60000) n"
        )
        connection.execute("analyze e")
        row = connection.execute(
            f"explain (analyze, timing off, format json) select * from e where {predicate}"
        ).fetchone()
    assert row
    read = list(_scans(row[0][0]["Plan"]))
    assert {scan["Relation Name"] for scan in read} == {"e", "records", "objections", "minors"}
    once = [scan for scan in read if scan["Relation Name"] != "minors"]
    assert {scan["Actual Loops"] for scan in once} == {1}


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every scan of a table in a plan of Postgres."""
    if "Relation Name" in node:
        yield node
    for inner in node.get("Plans", ()):
        yield from _scans(inner)


@pytest.mark.parametrize("purpose", ["profiling", "Analytics"])
def test_the_macro_refuses_a_purpose_it_does_not_know(purpose: str) -> None:
    class Refused(Exception):  # noqa: N818
        pass

    class Exceptions:
        @staticmethod
        def raise_compiler_error(message: str) -> None:
            raise Refused(message)

    environment = Environment(autoescape=False)
    environment.globals["exceptions"] = Exceptions
    macro = environment.from_string(Path(MACRO).read_text()).module.consented  # type: ignore[attr-defined]
    with pytest.raises(Refused, match=f"unknown purpose '{purpose}'"):
        macro("e", purpose=purpose, at="at", asset="lake/sessions")
