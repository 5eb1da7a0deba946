"""Names, addresses and numbers in three languages; texts about clothes are left alone, and a model helps where one is installed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spacy

from orchestration.sources.simulator.phrases import ABOUT_ME, FIT_REMARKS, OPINIONS
from privacy.pii import Detector
from privacy.settings import PROJECT_ROOT

PERSONAL = [
    ("Hi Sabine, danke", {"Sabine": "PERSON"}),
    ("gezeichnet Dr. Petra Klein-Huber", {"Petra Klein-Huber": "PERSON"}),
    ("meine Tochter Wiebke trägt es", {"Wiebke": "PERSON"}),
    ("ma fille Apolline la porte", {"Apolline": "PERSON"}),
    ("I'm Tomasz Nowak, hello", {"Tomasz Nowak": "PERSON"}),
    ("What is your name? Jakovina", {"Jakovina": "PERSON"}),
    ("ask for Wendy R. Oakes", {"Wendy R. Oakes": "PERSON"}),
    ("Lindenstr. 4a, Apt. 12", {"Lindenstr. 4a, Apt. 12": "STREET_ADDRESS"}),
    ("Kaiser Damm 7, 14057 Berlin", {"Kaiser Damm 7": "STREET_ADDRESS", "14057 Berlin": "LOCATION"}),
    ("12 rue de la Paix\n75002 Paris", {"12 rue de la Paix": "STREET_ADDRESS", "75002 Paris": "LOCATION"}),
    ("221b Baker Street, London", {"221b Baker Street": "STREET_ADDRESS", "London": "LOCATION"}),
    ("Postfach 12 34", {"Postfach 12 34": "STREET_ADDRESS"}),
    ("my card 4825140226032", {"4825140226032": "CREDIT_CARD"}),
    ("Karte: 1234 5678 9012 3456", {"1234 5678 9012 3456": "CREDIT_CARD"}),
    ("Rufen Sie 089 1234567 an", {"089 1234567": "PHONE_NUMBER"}),
    ("joindre au 01.84.17.61.18", {"01.84.17.61.18": "PHONE_NUMBER"}),
    ("call me on 9472 7916", {"9472 7916": "PHONE_NUMBER"}),
    ("née le 12 mars 1985", {"12 mars 1985": "DATE_OF_BIRTH"}),
    ("born on March 12, 1985", {"March 12, 1985": "DATE_OF_BIRTH"}),
    ("from 2001:db8::ff00:42:8329", {"2001:db8::ff00:42:8329": "IP_ADDRESS"}),
    ("see https://x.test/a?b=1.", {"https://x.test/a?b=1": "URL"}),
]  # fmt: skip

ABOUT_CLOTHES = [
    "Rose and Jade are lovely colours, Ruby less so",
    "Olive Green, May be small. Mark down the price!",
    "During 2017 the String 2 sold best; Spring 2020 too",
    "Order 123 456 7890 arrived, article 4711 1234 5678",
    "Style 880-455-221, measured 90-60-90",
    "Worn on 2026-04-07 and 12/31/2014, version 1.2.3, ratio 3:1",
    "Necktie 40, bow tie 2, ein Stück weg 2 Knöpfe, Platz 1",
    "Organic Cotton is great. The Linen Dress says nothing",
    "Das Kleid von Hand, der Rock ist toll, Größe 38 und 40",
    "Les Robes en Lin sont belles, taille 38",
]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(model=False)


def _named(detector: Detector, texts: list[str]) -> list[dict[str, str]]:
    return [
        {text[start:end]: entity for start, end, entity in spans}
        for text, spans in zip(texts, detector.find(texts), strict=True)
    ]


@pytest.mark.parametrize(("text", "expected"), PERSONAL)
def test_personal_data_is_found(detector: Detector, text: str, expected: dict[str, str]) -> None:
    assert _named(detector, [text]) == [expected]


@pytest.mark.parametrize("text", ABOUT_CLOTHES)
def test_nothing_is_found_in_a_text_about_clothes(detector: Detector, text: str) -> None:
    assert _named(detector, [text]) == [{}]


def test_nothing_is_found_in_what_the_simulated_customers_write(detector: Detector) -> None:
    texts = [
        text.format(product="Wool crossbody bag in forest")
        for language in ("en", "de", "fr")
        for text in (*sum(OPINIONS[language], ()), *FIT_REMARKS[language], *ABOUT_ME[language])
    ]
    assert len(texts) > 40
    assert {
        text: found for text, found in zip(texts, _named(detector, texts), strict=True) if found
    } == {}


def test_a_text_among_many_is_read_as_it_is_alone(detector: Detector) -> None:
    texts = [*(text for text, _ in PERSONAL), *ABOUT_CLOTHES]
    assert len(texts) > 20
    assert detector.find(texts) == [detector.find([text])[0] for text in texts]


@pytest.mark.parametrize(
    "unit",
    ["A", "Aa ", "1 ", "1", "a@", "A. ", "-", "a.", "Aa-", "a-1", "+1 ", "Ab'", "Hi ", "Mr ", "rue ", "12 A ", "Aa 1\n", "a:", "_", "1_a"],
)  # fmt: skip
def test_reading_time_grows_with_the_text_alone(detector: Detector, unit: str) -> None:
    """Ten times the text takes far less than the hundred times that backtracking would take."""
    short, long = (unit * 2_000)[:2_000], (unit * 20_000)[:20_000]
    started = time.process_time()
    detector.find([short])
    middle = time.process_time()
    detector.find([long])
    assert time.process_time() - middle < 0.2 + 40 * (middle - started)


@pytest.fixture
def installed_model(tmp_path: Path) -> Path:
    """A package with a spaCy pipeline that finds one name, installed as spaCy's own models are: by its entry point."""
    pipeline = spacy.blank("de")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PER", "pattern": "Xquz"}, {"label": "LOC", "pattern": "Ulm"}])  # type: ignore[attr-defined]
    package = tmp_path / "de_test_names"
    package.mkdir()
    pipeline.to_disk(package / "data")
    (package / "__init__.py").write_text(
        "from pathlib import Path\nimport spacy\n"
        "def load(**options):\n    return spacy.load(Path(__file__).parent / 'data', **options)\n"
    )
    about = tmp_path / "de_test_names-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: de_test_names\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[spacy_models]\nde_test_names = de_test_names\n")
    return tmp_path


def test_a_model_is_used_where_it_is_installed(installed_model: Path) -> None:
    asks = "from privacy.pii import Detector; found = Detector(); print(found.has_model, found.find(['bei Xquz in Ulm', None]))"
    answer = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:privacy", "-c", asks],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(installed_model), str(PROJECT_ROOT)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "True [[(4, 8, 'PERSON')], []]"


def test_without_a_model_only_patterns_find_names() -> None:
    detector = Detector()
    assert not detector.has_model
    assert _named(detector, ["bei Xquz in Ulm"]) == [{}]
