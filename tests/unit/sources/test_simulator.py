"""The simulated shop keeps its promises: repeatable, bounded, learnable, with a planted truth."""

import json
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from orchestration.sources.connector import SimulationError, Source, open_source
from orchestration.sources.model import EVENT_TYPES, TABLES
from orchestration.sources.simulator import SimulationSummary, existing_simulation, shop, simulate

UNTIL = date(2026, 3, 1)
END = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "shop"
    simulate(folder, customers=2_500, seed=11, until=UNTIL)
    return folder


@pytest.fixture(scope="module")
def summary(shop_folder: Path) -> SimulationSummary:
    found = existing_simulation(shop_folder)
    assert found is not None
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        simulate(tmp_path / name, customers=120, seed=seed, until=UNTIL)
    first, second, other = (_files(tmp_path / name) for name in "abc")
    assert first == second
    assert all(other[name] != content for name, content in first.items())


def test_five_thousand_customers_make_about_a_quarter_of_a_million_events(
    summary: SimulationSummary,
) -> None:
    assert 45 <= summary.rows["interactions"] / summary.customers <= 56
    assert summary.products == 600
    assert set(summary.rows) == set(TABLES)


def test_the_simulator_is_a_source_with_every_canonical_table(shop_folder: Path) -> None:
    source = open_source("simulator", shop_folder)
    assert isinstance(source, Source)
    assert source.declares_consent
    assert source.tables() == tuple(TABLES)


def test_the_quarantine_finds_exactly_the_planted_dirt(
    shop_folder: Path, summary: SimulationSummary
) -> None:
    source = open_source("simulator", shop_folder)
    found: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for table in source.tables():
        for batch in source.read(table):
            found.update(f"{row.table} {row.reason}" for row in batch.quarantined)
            rows[table] += batch.read_rows
    assert dict(found) == summary.dirt
    assert dict(rows) == summary.rows


def test_chunks_are_written_one_by_one_and_ids_stay_unique(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "CHUNK", 100)
    simulate(tmp_path / "shop", customers=350, seed=1, until=UNTIL)
    assert len(list((tmp_path / "shop/interactions").iterdir())) == 4
    source = open_source("simulator", tmp_path / "shop")
    for table in source.tables():
        reasons = {row.reason for batch in source.read(table) for row in batch.quarantined}
        assert "repeated_key" not in reasons


def test_all_times_lie_between_sign_up_and_the_end(shop_folder: Path) -> None:
    with duckdb.connect() as connection:
        [early, last, types] = (
            connection.execute(
                "select count(*) filter (where e.at < c.registered), max(e.at), list(distinct action) "
                "from read_parquet($events) e join read_csv($people) c using (customer_no)",
                {
                    "events": f"{shop_folder}/interactions/*.parquet",
                    "people": f"{shop_folder}/customers.csv",
                },
            ).fetchone()
            or []
        )
    assert early == 0
    assert last < END
    assert set(EVENT_TYPES) <= set(types)


def test_consents_hold_refusals_withdrawals_agreements_renewed_and_silence(
    shop_folder: Path,
) -> None:
    said = defaultdict(list)
    for batch in open_source("simulator", shop_folder).read("consents"):
        for row in batch.rows.to_pylist():
            said[row["subject_id"], row["purpose"]].append((row["stated_at"], row["decision"]))
    histories = Counter(tuple(decision for _, decision in sorted(rows)) for rows in said.values())
    for history in (("opt_in",), ("opt_out",), ("opt_in", "opt_out"), ("opt_out", "opt_in")):
        assert histories[history] > 20
    assert histories["opt_in", "opt_out", "opt_in"] > 5
    assert len({subject for subject, _ in said}) < 2_450
    assert all(max(rows)[0] < END for rows in said.values())


def test_feedback_hides_personal_data_of_its_writer(shop_folder: Path) -> None:
    source = open_source("simulator", shop_folder)
    people = {
        row["subject_id"]: row
        for batch in source.read("customers")
        for row in batch.rows.to_pylist()
    }
    hidden: Counter[str] = Counter()
    for batch in source.read("feedback"):
        for row in batch.rows.to_pylist():
            writer, text = people.get(row["subject_id"]), row["text"] or ""
            if writer:
                hidden.update(
                    what for what in ("name", "email", "phone") if (writer[what] or "\0") in text
                )
    assert min(hidden["name"], hidden["email"], hidden["phone"]) > 3


def test_ids_that_are_stored_say_nothing_about_the_customer(shop_folder: Path) -> None:
    source = open_source("simulator", shop_folder)
    for table in ("orders", "order_lines", "interactions", "feedback", "returns"):
        key = TABLES[table].key[0]
        for batch in source.read(table):
            digits = pc.utf8_slice_codeunits(batch.rows["subject_id"], 3)
            assert not any(
                a in b for a, b in zip(digits.to_pylist(), batch.rows[key].to_pylist(), strict=True)
            )


def test_upper_positions_are_clicked_more(shop_folder: Path) -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select rank, count(*) filter (where action = 'click') / count(*) filter (where action = 'impression') "
            "from read_parquet($events) where rank is not null group by rank order by rank",
            {"events": f"{shop_folder}/interactions/*.parquet"},
        ).fetchall()
    rates = [rate for _, rate in rows]
    assert len(rates) == 6
    assert rates[0] > 1.3 * rates[1] > 1.3 * rates[3]


def test_products_are_seen_in_their_size_and_never_before_their_release(shop_folder: Path) -> None:
    source = open_source("simulator", shop_folder)
    products = {
        row["product_id"]: row
        for batch in source.read("products")
        for row in batch.rows.to_pylist()
    }
    for batch in source.read("interactions"):
        for row in batch.rows.to_pylist():
            if row["product_id"] is None:
                assert row["event_type"] == "search"
                continue
            product = products[row["product_id"]]
            assert row["size"] is None or row["size"] in product["sizes"]
            assert (row["event_timestamp"] - product["released_at"]).days >= -7
            assert product["cost"] < product["price"]


def _truth(
    folder: Path,
) -> tuple[dict[str, int], dict[str, int], np.ndarray, np.ndarray, np.ndarray]:
    items = pq.read_table(folder / "truth/items.parquet")
    subjects = pq.read_table(folder / "truth/subjects")
    return (
        {name: row for row, name in enumerate(items["product_id"].to_pylist())},
        {name: row for row, name in enumerate(subjects["subject_id"].to_pylist())},
        np.array(items["vector"].to_pylist()),
        np.array(subjects["vector"].to_pylist()),
        np.array(subjects["treated"].to_pylist()),
    )


def _recall_at_20(scores: np.ndarray, held_out: dict[int, set[int]]) -> float:
    """Mean share of held-out items among the 20 highest scores of each row."""
    found = []
    for subject, items in held_out.items():
        best = np.argpartition(-scores[subject], 20)[:20]
        found.append(len(items & set(best.tolist())) / min(len(items), 20))
    return float(np.mean(found))


def test_taste_beats_popularity_clearly_in_the_held_out_week(shop_folder: Path) -> None:
    items, subjects, item_vectors, subject_vectors, _ = _truth(shop_folder)
    weights = {"page_view": 1, "click": 1, "wishlist": 3, "add_to_cart": 4, "purchase": 8}
    past = np.zeros((len(subjects), len(items)))
    held_out: dict[int, set[int]] = defaultdict(set)
    for batch in open_source("simulator", shop_folder).read("interactions"):
        for row in batch.rows.to_pylist():
            if row["event_type"] in weights:
                place = subjects[row["subject_id"]], items[row["product_id"]]
                if (END - row["event_timestamp"]).days < 7:
                    held_out[place[0]].add(place[1])
                else:
                    past[place] += weights[row["event_type"]]
    left, strength, right = svds(csr_matrix(np.log1p(past)), k=16, random_state=1)
    popular = _recall_at_20(np.broadcast_to(past.sum(axis=0), past.shape), held_out)
    learned = _recall_at_20((left * strength) @ right, held_out)
    true = _recall_at_20(subject_vectors @ item_vectors.T, held_out)
    assert learned > 2 * popular
    assert true > 1.3 * learned


def test_a_planted_uplift_shows_in_the_treated_half_and_only_from_its_start(tmp_path: Path) -> None:
    simulate(tmp_path / "shop", customers=4_000, seed=2, until=UNTIL, uplift=0.5)
    truth = json.loads((tmp_path / "shop/simulation.json").read_text())["truth"]
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select e.at >= $start::timestamptz, s.treated, count(*) filter (where action = 'purchase') / "
            "count(*) filter (where action = 'add_to_cart') from read_parquet($events) e "
            "join read_parquet($truth) s on e.customer_no = s.subject_id group by all",
            {
                "start": truth["uplift_from"],
                "events": f"{tmp_path}/shop/interactions/*.parquet",
                "truth": f"{tmp_path}/shop/truth/subjects/*.parquet",
            },
        ).fetchall()
    rate = {(after, treated): share for after, treated, share in rows}
    assert rate[True, True] / rate[True, False] == pytest.approx(1.5, abs=0.15)
    assert rate[False, True] / rate[False, False] == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"customers": 5}, "customers is 5"),
        ({"customers": 1_000_001}, "customers is 1000001"),
        ({"uplift": 9.0}, "uplift is 9.0"),
        ({"weeks": 1}, "weeks is 1"),
    ],
)
def test_impossible_parameters_are_refused(
    tmp_path: Path, arguments: dict[str, float], word: str
) -> None:
    with pytest.raises(SimulationError, match=word):
        simulate(tmp_path / "shop", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "shop").exists()


def test_a_folder_with_other_files_is_left_alone_and_a_simulation_is_replaced(
    tmp_path: Path,
) -> None:
    out = tmp_path / "shop"
    out.mkdir()
    (out / "customers.csv").write_text("the shop's own\n")
    with pytest.raises(SimulationError, match="no simulation made"):
        simulate(out, customers=100, seed=1, until=UNTIL)
    assert (out / "customers.csv").read_text() == "the shop's own\n"
    (out / "customers.csv").unlink()
    for seed in (1, 2):
        simulate(out, customers=100, seed=seed, until=UNTIL, sessions=0.1)
    found = existing_simulation(out)
    assert found is not None
    assert found.seed == 2
    assert existing_simulation(tmp_path / "nowhere") is None


def test_the_folder_of_raw_personal_data_is_closed_to_other_users(shop_folder: Path) -> None:
    assert shop_folder.stat().st_mode & 0o077 == 0
