"""The raw event table of the simulated shop, and the words that people search for."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.sources.simulator.catalogue import CATEGORIES, SIZE_LABELS, STYLES, Catalogue
from orchestration.sources.simulator.people import Identity, People, opaque_ids
from orchestration.sources.simulator.taste import STYLE_COUNT, Ints
from orchestration.sources.simulator.visits import TOUCHPOINTS, Actions, VisitPlan

__all__ = ["EVENT_SCHEMA", "event_table", "size_labels"]

EVENT_SCHEMA = pa.schema(
    {
        "event": pa.string(),
        "customer_no": pa.string(),
        "visit": pa.string(),
        "action": pa.string(),
        "sku": pa.string(),
        "size": pa.string(),
        "search_text": pa.string(),
        "seconds_on_page": pa.float32(),
        "rank": pa.int32(),
        "place": pa.string(),
        "listing": pa.string(),
        "at": pa.timestamp("us", tz="UTC"),
    }
)


def size_labels(catalogue: Catalogue, people: People, who: Ints, item: Ints) -> NDArray[np.object_]:
    """The size in which a person takes an item."""
    labels = np.array([label for system in SIZE_LABELS for label in system], dtype=object)
    starts = np.cumsum([0, *[len(system) for system in SIZE_LABELS[:-1]]])
    system = catalogue.size_system[item]
    return np.asarray(labels[starts[system] + people.sizes[who, system]])


def event_table(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    plan: VisitPlan,
    actions: list[Actions],
    favourite: Ints,
) -> pa.Table:
    """All actions as rows of `EVENT_SCHEMA`, those of one visit in the order of time."""
    visit = np.concatenate([action.visit for action in actions])
    item = np.concatenate([action.item for action in actions])
    kinds = np.concatenate([np.full(len(a.visit), number) for number, a in enumerate(actions)])
    second = np.concatenate([action.second for action in actions])
    dwell = np.concatenate([_or_nan(action.dwell, action) for action in actions])
    position = np.concatenate([_or_nan(action.position, action) for action in actions])
    listed = ~np.isnan(position)
    order = np.lexsort((second, visit))
    visit, item, kinds, second = visit[order], item[order], kinds[order], second[order]
    dwell, position, listed = dwell[order], position[order], listed[order]
    who = plan.who[visit]
    names = np.array([action.action for action in actions], dtype=object)
    sized = np.isin(names[kinds], ["add_to_cart", "remove_from_cart", "purchase"])
    searched = names[kinds] == "search"
    placed = listed | searched
    sizes = np.full(len(visit), None, dtype=object)
    sizes[sized] = size_labels(catalogue, people, who[sized], item[sized])
    texts = np.full(len(visit), None, dtype=object)
    texts[searched] = _search_texts(
        rng, catalogue, people, who[searched], favourite[visit[searched]]
    )
    product_ids = np.array([*catalogue.ids, None], dtype=object)  # -1 is no item
    columns = [
        opaque_ids(rng, len(visit)),
        pa.array(people.subject_ids[who], pa.string()),
        opaque_ids(rng, len(plan.who), 8).take(pa.array(visit)),
        pa.array(names[kinds], pa.string()),
        pa.array(product_ids[item], pa.string()),
        pa.array(sizes, pa.string()),
        pa.array(texts, pa.string()),
        pa.array(dwell, pa.float32(), from_pandas=True),
        pa.array(position, pa.float64(), from_pandas=True).cast(pa.int32()),
        pa.array(
            np.where(placed, np.array(TOUCHPOINTS, dtype=object)[plan.touchpoint[visit]], None)
        ),
        pa.array(
            np.where(
                listed,
                np.array(opaque_ids(rng, len(plan.who)).to_pylist(), dtype=object)[visit],
                None,
            ),
            pa.string(),
        ),
        pa.array(plan.start[visit] + (second * 1e6).astype("timedelta64[us]")),
    ]
    arrays = [array.cast(field.type) for array, field in zip(columns, EVENT_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=EVENT_SCHEMA)


def _or_nan(values: NDArray[np.generic] | None, action: Actions) -> NDArray[np.float64]:
    if values is None:
        return np.full(len(action.visit), np.nan)
    return np.asarray(values, dtype=np.float64)


_HIDDEN_INSEARCHES = 0.004
_STYLE_WORDS = {
    "en": STYLES,
    "de": (
        "schlicht",
        "romantisch",
        "streetwear",
        "outdoor",
        "klassisch",
        "boho",
        "vintage",
        "workwear",
    ),
    "fr": (
        "minimaliste",
        "romantique",
        "streetwear",
        "outdoor",
        "classique",
        "bohème",
        "vintage",
        "workwear",
    ),
}


def _search_texts(
    rng: np.random.Generator, catalogue: Catalogue, people: People, who: Ints, item: Ints
) -> list[str]:
    """What people type: style and kind of the item they have in mind; rarely, something about themselves."""
    style = catalogue.vectors[item][:, :STYLE_COUNT].argmax(axis=1)
    hidden = rng.random(len(who)) < _HIDDEN_INSEARCHES
    return [
        _personal_search(people.identities[person])
        if personal
        else f"{_STYLE_WORDS[people.identities[person].language][look]} {CATEGORIES[kind].name}"
        for person, personal, look, kind in zip(
            who, hidden, style, catalogue.categories[item], strict=True
        )
    ]


def _personal_search(who: Identity) -> str:
    words = {"de": "Bestellung", "fr": "commande", "en": "order"}
    return f"{words[who.language]} {who.email}"
