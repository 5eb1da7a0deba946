"""Street addresses as they are written in Germany, France and Britain, with the street words of their neighbours.

A street is told by its word ("…straße", "rue …", "… Road") with a house number, by a unit ("Apt. 12", "Suite 3", a box), by a line
of its own, or by a sentence that announces an address. What follows it (a postcode, a place) is a LOCATION.
"""

from collections.abc import Iterator
from typing import Any

import regex
from presidio_analyzer import LocalRecognizer, RecognizerResult

from privacy.pii.expressions import TriggeredRecognizer, expressions, result
from privacy.pii.given_names import words

__all__ = ["addresses"]

STREET, PLACE = "STREET_ADDRESS", "LOCATION"

_WORD = r"\p{Lu}[\p{L}'\u2019.\-]{0,40}"
_AFTER_NAME = (
    r"Street|St|Str|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Court|Ct|Close|Crescent|Square|Boulevard|Blvd|Way|Terrace|Place|Parkway|Pkwy"
    r"|Highway|Hwy|Grove|Gardens|Mews|Alley|Hill|Path|Trail|Circle|Loop|Quay|Parade|Esplanade|Promenade"
)
_AFTER_NAME_ABROAD = r"utca|út|útja|tér|u\.|ulica|trg|cesta|sokak|caddesi|terrasse|plass|gate|allé"
# Endings of a street's word. The short ones need a stem, so that "During" and "Gate" are none.
_ENDINGS = tuple(
    words(
        "straße strasse str. weg platz allee gasse damm ufer chaussee stieg straat laan plein gracht singel"
    )
)
_ENDINGS_OF_STEMS = tuple(
    words(
        "ring gade vej stræde gata gatan vägen veien vegen vollen katu ntie kuja polku stræti götu utca"
    )
)
_STEM = 3  # letters
_BEFORE_NAME = (
    r"rue|avenue|av\.|boulevard|bd\.?|place|chemin|allée|impasse|quai|route|cours|passage|square|sentier|faubourg"
    r"|via|viale|vicolo|corso|piazza|strada|calle|c/|avenida|avda\.?|paseo|plaza|ronda|camino|rua|travessa|praça|largo|estrada|ul\.|ulica"
)
_OF = r"(?:(?:de|du|des|la|le|les|del|della|delle|dei|di|da|do|dos|das|van|van de|von|am|an der|im|l['\u2019]|d['\u2019])\s?)*"
_YEAR = r"(?!(?:19|20)\d\d\b)"
_NUMBER = rf"{_YEAR}\d{{1,5}}(?:[ ]?(?:bis|ter|[a-zA-Z]))?(?:[/\-]\d{{1,4}})?\b(?![.,]\d)"
_UNIT = r"(?i:(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Floor|Whg|Wohnung|Appt|Appartement|Bât|Bâtiment|Étage|Stiege)\.?[ ]\#?\d+[a-z]?)\b"
_MILITARY = r"(?i:[AFD]PO[ ]A[AEP][ ]\d{5})"
_BOX = (
    r"(?i:(?:P\.?[ ]?O\.?[ ]?Box|Postfach|B\.?P\.?)[ ]\d[\d ]*\d?|(?:PSC|Unit|CMR)[ ]\d+,?[ ]Box[ ]\d+)"
    rf"(?:\s+{_MILITARY})?|(?:US[A-Z]{{1,3}}[ ]{_WORD}\s+)?{_MILITARY}"
)
_POSTCODE = r"(?:(?:[A-Z]{1,2}-)?\d{4,5}(?:-\d{3,4}|[ ][A-Z]{2})?\b|[A-Z]{1,2}\d[A-Z\d]?[ ]\d[A-Z]{2}\b|\d{3}[ ]\d{2}\b|\d{2}-\d{3}\b)"
_GAP = r"[,\s>?]+"
_CITY = r"[\p{Lu}][\p{L}'\u2019.\-]+(?:[ ](?:(?:am|an der|im|in der|sur|sous|de la|de|la|le|les|do|du|on|upon|of|and|der|nad)[ ])?\p{Lu}[\p{L}'\u2019.\-]+){0,3}(?:[ ]\([\p{L} ]+\))?"
_ANNOUNCEMENT = (
    r"address(?:es)?(?: is| are|:| has changed to| to)|lives? (?:at|on|in)|living at|sent to|deliver(?:ed)? to|ship(?:ped)? to|moved to"
    r"|(?:is|are|located|off|stop|meet|arrived|you) at|is on|taxi to|where(?: is it)?\? (?:it['\u2019]s|it is)(?: in| at)?"
    r"|wohn\w* (?:in|an) (?:der|dem)|adresse(?: ist| lautet| est|:)|anschrift(?: ist| lautet|:)|j['\u2019]habite|habite au"
)
_ANNOUNCED = rf"(?:\d{{1,5}}[ ])?(?:{_WORD}[ ]){{1,3}}{_NUMBER}|\d{{1,5}}[ ](?:\d{{1,4}}[ ])?(?:{_WORD}[ ]?){{1,3}}(?:\b\d{{1,5}}\b)?"
_STREET_WORDS = tuple(
    word.replace("_", " ")
    for word in words(
        """
    straße strasse str. weg platz allee gasse damm ufer chaussee stieg straat laan plein gracht singel ring gade vej stræde gata
    vägen veien vegen vollen katu ntie kuja polku stræti götu utca út tér _u. ulica ul. trg cesta sokak caddesi terrasse plass gate allé
    street _st _str road _rd avenue _ave lane _ln drive court _ct close crescent square boulevard blvd way terrace place parkw pkwy hwy grove
    gardens mews alley hill path trail circle loop quay parade esplanade promenade rue_ av. bd chemin impasse quai route cours_ passage
    sentier faubourg via vicolo corso piazza strada calle c/ avenida avda paseo plaza ronda camino rua_ travessa praça largo estrada
    apt apartment suite ste_ ste. unit flat room floor whg wohnung appt appartement bât étage stiege box postfach bp_ b.p fpo apo dpo
    corner_of
    """
    )
)
_ANNOUNCING = (
    "address", "live", "living", "sent to", "deliver", "ship", "moved to", " at", "is on", "taxi to", "where", "wohn", "adresse", "anschrift",
    "habite",
)  # fmt: skip


class _Streets(LocalRecognizer):  # type: ignore[misc]
    """Streets with their numbers and units, and what follows them."""

    _with_endings = True
    _CORES = tuple(
        regex.compile(pattern, regex.MULTILINE)
        for pattern in (
            # 12 Baker Street; 03751 9 Fourth Avenue
            rf"(?<![\w.,])(?:\d{{1,5}}\s)?\d{{1,5}}[a-zA-Z]?,?\s(?:{_WORD}\s){{1,3}}(?:{_AFTER_NAME})\b\.?(?:\s(?:Street|St)\b)?",
            # 233 Erzsébet tér 19.
            rf"(?:(?<![\w.,])\d{{1,5}}\s)?(?<![\p{{L}}.'\u2019\-]){_WORD}\s(?:[\p{{L}}.]{{1,40}}\s){{0,2}}(?i:{_AFTER_NAME_ABROAD})\s{_NUMBER}\.?",
            # 5 bis rue de la Paix; 86036 Rua do Arenque 1634; rue des Lilas 66
            rf"(?<![\w.,])(?:\d{{1,5}}\s)?\d{{1,5}}(?:[ ]?(?:bis|ter|[a-z]))?,?\s(?i:{_BEFORE_NAME})\s{_OF}{_WORD}(?:[ ]{_OF}{_WORD}){{0,3}}(?:,?[ ]{_NUMBER})?",
            rf"\b(?i:{_BEFORE_NAME})\s{_OF}{_WORD}(?:[ ]{_OF}{_WORD}){{0,3}},?[ ]{_NUMBER}",
            # 935 69 Gordon Apt. 4: whatever lies between a number and a unit
            rf"(?<![\w.,])\d{{1,5}}\s(?:[\p{{L}}\d'\u2019.\-]+[ ]){{0,4}}[\p{{L}}\d'\u2019.\-]+{_GAP}{_UNIT}",
            rf"(?<![\w.\-])(?:{_WORD}[ ]){{1,4}}\d{{1,4}},?{_GAP}{_UNIT}",
            rf"(?i:the\scorner\sof)\s(?:\d+\s)?(?:[\p{{L}}.'\u2019\-]+\s){{1,4}}(?:\d+\.?\s)?(?i:and)\s(?:(?:\d+\s)?{_WORD}\s?){{1,3}}(?:\d+\b)?(?<!\s)",
            _BOX,
            _UNIT,
        )
    )
    # Berliner Straße 12b; 28245 Puruntie 82: a word with such an ending is looked for where a number follows one.
    _NUMBERED = regex.compile(rf"(?<![\p{{L}}\-])(?P<word>[\p{{L}}\-]{{1,80}}\.?)\s?{_NUMBER}\.?")
    _WORDS_BEFORE = regex.compile(rf"(?:(?<![\w.,])\d{{3,5}}\s)?(?:\b{_WORD}\s){{0,2}}$")
    _UNITS_AFTER = regex.compile(rf"(?:{_GAP}{_UNIT}){{1,2}}")
    _PLACE_AFTER = regex.compile(
        rf"{_GAP}(?P<it>(?:(?:{_CITY}|[A-Z]{{2}}\b){_GAP}){{1,4}}?{_POSTCODE}"
        rf"|{_POSTCODE}(?:{_GAP}{_CITY})?"
        rf"|(?:(?<=\n[>? ]*)|(?<=,\s*)){_CITY}(?=\s*(?:[\n,.?!;]|$)))"
    )

    def __init__(self) -> None:
        super().__init__(supported_entities=[STREET, PLACE])

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], *_: Any, **__: Any) -> list[RecognizerResult]:
        """Streets and boxes, and behind each the parts of the address that follow."""
        streets = self._streets(text)
        found = [result(STREET, start, end) for start, end in streets]
        for _start, end in streets:
            found += self._following(text, end)
        return found

    def _streets(self, text: str) -> list[tuple[int, int]]:
        spans = sorted(
            (
                *(match.span() for core in self._CORES for match in core.finditer(text)),
                *(self._numbered(text) if self._with_endings else ()),
            )
        )
        merged: list[tuple[int, int]] = []
        for start, end in spans:
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return [(start, self._with_units(text, end)) for start, end in merged]

    def _numbered(self, text: str) -> Iterator[tuple[int, int]]:
        for match in self._NUMBERED.finditer(text):
            if _is_street(match["word"]):
                at = max(0, match.start() - 60)
                before = self._WORDS_BEFORE.search(text, at, match.start())
                start = before.start() if before else match.start()
                if start < match.start() or match["word"].lower() not in _ENDINGS:
                    yield start, match.end()

    def _with_units(self, text: str, end: int) -> int:
        match = self._UNITS_AFTER.match(text, end)
        return match.end() if match else end

    def _following(self, text: str, end: int) -> list[RecognizerResult]:
        found = []
        for _ in range(3):
            match = self._PLACE_AFTER.match(text, end)
            if match is None:
                break
            found.append(result(PLACE, *match.span("it")))
            end = match.end()
        return found


def _is_street(word: str) -> bool:
    """Whether a street is called so; "Weg" and the like in lower case are other words, "straße" never is."""
    lowered = word.lower()
    if word == lowered and "str" not in word:
        return False
    return lowered.endswith(_ENDINGS) or lowered[_STEM:].endswith(_ENDINGS_OF_STEMS)


class _AddressLines(_Streets):
    """A line of its own with a number, capitalised words and another number: 5850 Jana Nerudy 894."""

    _with_endings = False
    _CORES = (
        regex.compile(
            rf"^[>? ]*\K\d{{2,5}}[ ](?:\d{{1,4}}[ ](?:{_WORD}[ ]?){{1,3}}|(?:{_WORD}[ ]){{1,3}}\d{{1,4}})(?=,?[ ]*$)",
            regex.MULTILINE,
        ),
    )


class _AnnouncedStreets(_Streets):
    """What a sentence announces as an address."""

    _with_endings = False
    _CORES = (regex.compile(rf"(?i:\b(?:{_ANNOUNCEMENT}))\s+\K(?:{_ANNOUNCED})(?<!\s)"),)


def addresses() -> tuple[TriggeredRecognizer, ...]:
    """Streets, and postcodes with their places."""
    return (
        TriggeredRecognizer(STREET, r"[0-9]|[Cc]orner", _Streets(), _STREET_WORDS),
        TriggeredRecognizer(STREET, r"(?m)^[>? ]*[0-9]{2,5} [^\n]*$", _AddressLines()),
        TriggeredRecognizer(STREET, r"[0-9]", _AnnouncedStreets(), _ANNOUNCING),
        expressions(
            PLACE,
            r"[0-9]{4,5} |[A-Z][0-9]|(?i:zip|postcode|plz|code postal)",
            r"\b\d{5}\s\p{Lu}[\p{L}\-]+(?:\s(?:am|an der|sur|im)\s\p{Lu}[\p{L}\-]+)?",
            r"\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}\b",
            r"(?i:\b(?:zip(?: code)?|post ?code|plz|code postal)(?: is| ist| est)?:?)\s\K\d[\d \-]{2,8}\d",
        ),
    )
