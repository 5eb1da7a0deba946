import time

import pytest

from privacy.pii import FreeTextMasker

ANNA = {
    "name": "Anna-Lena von Müller",
    "email": "anna.mueller@firma.test",
    "city": "Lüneburg",
    "phone": "+49 151 23456789",
    "birth_date": "1985-03-09",
    "subject_id": "C0012345",
}


@pytest.fixture(scope="module")
def masker() -> FreeTextMasker:
    return FreeTextMasker()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Mail me: a.b@x.invalid", "Mail me: <EMAIL_ADDRESS>"),
        ("jo(at)web.de", "<EMAIL_ADDRESS>"),
        ("Call +49 30 1234567!", "Call <PHONE_NUMBER>!"),
        ("Tel 0171/2345678", "Tel <PHONE_NUMBER>"),
        ("IBAN DE89 3704 0044 0532 0130 01.", "IBAN <IBAN_CODE>."),
        ("card 4111 1111 1111 1111", "card <CREDIT_CARD>"),
        ("from 192.168.1.10", "from <IP_ADDRESS>"),
        ("see https://x.test/?u=1 or www.foo.example", "see <URL> or <URL>"),
        ("Berliner Straße 12b, 80331 München", "<STREET_ADDRESS>, <LOCATION>"),
        ("at 12 Baker Street", "at <STREET_ADDRESS>"),
        ("Lindenweg 12 in Jena", "<STREET_ADDRESS> in Jena"),
        ("j'habite rue des Lilas 66 à", "j'habite <STREET_ADDRESS> à"),
        ("au 5 bis rue de la Paix", "au <STREET_ADDRESS>"),
        ("My name is Jane Doe.", "My name is <PERSON>."),
        ("ich heiße Petra Klein und", "ich heiße <PERSON> und"),
        ("je m'appelle Chloé Petit", "je m'appelle <PERSON>"),
        ("Viele Grüße, Sabine", "Viele Grüße, <PERSON>"),
        ("geboren am 9.3.1985", "geboren am <DATE_OF_BIRTH>"),
        ("ref a8f3k29dd1x7", "ref <OPAQUE_TOKEN>"),
        ("ref MARKER-8f3a9c21bb", "ref <OPAQUE_TOKEN>"),
    ],
)
def test_personal_data_is_masked_without_knowing_the_author(
    masker: FreeTextMasker, text: str, masked: str
) -> None:
    assert masker.mask([text]) == [masked]


@pytest.mark.parametrize(
    "text",
    [
        "Size 8 fits, I am 5'4 and 130 lbs, 34B, worn on 12/31/2014.",
        "Great.It was perfect. 100% cotton, 2-piece-dress-blue, sizes 36-38, H&M 2020",
        "I am Petite and this is Lovely. Thanks! The colour is nice.",
        "Das Kleid ist schön, Größe 38, Ihre Kleider sind toll",
        "",
    ],
)
def test_text_about_clothes_is_left_alone(masker: FreeTextMasker, text: str) -> None:
    assert masker.mask([text]) == [text]


@pytest.mark.parametrize(
    "mention",
    ["Anna", "MÜLLER", "mueller", "Muller", "Anna-Lena von Müller", "anna.mueller@firma.test",
     "annamueller99", "Lüneburg", "0151 2345 6789", "23456789", "09.03.1985", "9/3/85", "c0012345"],
)  # fmt: skip
def test_whatever_is_known_of_the_author_is_masked(masker: FreeTextMasker, mention: str) -> None:
    masked = masker.mask([f"ok {mention} ok"], [ANNA])[0]
    assert masked
    assert mention.lower() not in masked.lower()
    assert masked.startswith("ok <")
    assert masked.endswith("> ok")


def test_a_decomposed_spelling_is_masked_too(masker: FreeTextMasker) -> None:
    assert masker.mask(["von Mu\u0308ller"], [ANNA]) == ["von <PERSON>"]


def test_a_short_name_is_masked_as_a_word_only(masker: FreeTextMasker) -> None:
    assert masker.mask(["Mia loves the Miami dress"], [{"name": "Mia Li"}]) == [
        "<PERSON> loves the Miami dress"
    ]


def test_null_stays_null_and_masking_twice_changes_nothing(masker: FreeTextMasker) -> None:
    once = masker.mask([None, "I'm Anna Müller, anna@x.de, 80331 Augsburg"], [None, ANNA])
    assert once[0] is None
    assert masker.mask(once, [None, ANNA]) == once


def test_five_thousand_texts_take_seconds(masker: FreeTextMasker) -> None:
    texts = [f"Dress {n} fits well, size {n % 40}. Mail me at a{n}@x.de, Anna" for n in range(5000)]
    started = time.monotonic()
    masked = masker.mask(texts, [ANNA] * len(texts))
    assert time.monotonic() - started < 10
    assert all("@" not in (text or "") for text in masked)
