"""Names of people: where a sentence announces one, and where a common given name begins one."""

from typing import Any

import regex
from presidio_analyzer import LocalRecognizer, RecognizerResult

from privacy.pii.expressions import Expressions, TriggeredRecognizer, result
from privacy.pii.given_names import AMBIGUOUS, GIVEN_NAMES, words

__all__ = ["PERSON", "introduces", "is_full_name", "names"]

PERSON = "PERSON"
_PLAIN = r"\p{Lu}(?=[^\s]{0,30}\p{Ll})(?:\p{L}|['\u2019](?!s\b)|-){1,30}"
_CAPITALISED = r"\p{Lu}(?=[\p{L}'\u2019\-]{0,30}\p{Ll})[\p{L}'\u2019\-]{1,30}"
_PARTICLE = r"(?:von der|von|van der|van den|van|zu|de la|de|du|der|da|di|del|dos|la|le|al|bin|ben|O['\u2019])"
_NAME = rf"{_CAPITALISED}(?:[ ](?:\p{{Lu}}\.?[ ]|{_PARTICLE}[ ])?{_CAPITALISED}){{0,2}}"
_TITLES = r"(?:mr|mrs|ms|miss|herrn?|frau|mme|mlle|madame|monsieur|dr|prof)"
_INTRODUCTIONS = (
    r"my name is|my name['\u2019]s|full name is|name is|name:|named|called|call me|calls? me|known as"
    r"|name\b[^.?!\n]{0,20}\?(?:\s+\p{L}+:)?|contact person:|attn:?|z\.?[ ]?hd\.?"
    r"|ich hei(?:ß|ss)e|(?:mein|ihr|sein) name (?:ist|lautet)|nachname:?|vorname:?"
    r"|je m['\u2019]appelle|il s['\u2019]appelle|elle s['\u2019]appelle|mon nom est|nom:|prénom:?"
)
_CLOSINGS = (
    r"(?:regards|sincerely|yours truly|yours|cheers|best wishes|many thanks|thanks"
    r"|gr(?:ü|ue)(?:ß|ss)en?|gru(?:ß|ss)|lg|cordialement|bien à vous|bises|merci d['\u2019]avance)"
)
_GREETINGS = r"hi|hello|hey|dear|hallo|lieber?|guten (?:tag|morgen)|bonjour|salut|chère?|cher"
_KIN = (
    r"(?:my|his|her|our|their)[ ](?:kid|son|daughter|wife|husband|partner|brother|sister|mother|father|friend|mum|mom|dad|boss|colleague)"
    r"|mein(?:e|em|er|en)?[ ](?:mann|frau|sohn|tochter|bruder|schwester|mutter|vater|freund(?:in)?|kollegin|kollege)"
    r"|m(?:on|a)[ ](?:mari|femme|fils|fille|frère|sœur|mère|père|amie?|compagnon|compagne|collègue)"
)
_WHO = r"says?|said|told|wrote|explained|asked|shouted|lives? (?:at|in|on)|lived|sagte?|schrieb|meinte|dit|écrit|habite"
_ROLES = (
    r"(?:(?:directed|written|produced|sung|signed|performed|starring|unterzeichnet|signé)(?:\s(?:by|von|par):?)?|producer|director|author|singer"
    r"|songwriter|actor|actress|player|manager|seller|driver|commenter|founder|customer|kundin|kunde|cliente?|vendeur|vendeuse)"
)
_CONTACTS = r"(?:(?:speak|talk|write|follow up|meet|meeting)\s(?:to|with)|by|under|contact|ask|email|add|remove|concert de|von|chez)"
_NOT_NAMES = words(
    """
    The This That These Those There Then They Their What When Where Which Who Why How Here Have Has Had He She It Its We You Your My Our Please
    Thanks Thank Dear Hello Hi Hey Sir Madam Team All Everyone Customer Service Support Size Sizes Colour Color Dress Shirt Great Nice Good
    Lovely Perfect Petite Small Medium Large Tall Curvy Happy Sorry Sure So Sad Very Really Not No Yes And But Or If In On At As An A I Is Am Are
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August September October November
    December Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag Januar Februar März Mai Juni Juli Oktober Dezember Ich Wir Sie Er Es Das Der Die
    Danke Bitte Liebe Lieber Viele Guten Ihr Ihre Kleid Kleider Hose Bluse Rock Jacke Leute Damen Herren Zusammen Je Nous Vous Il Elle Merci
    Monsieur Madame Mademoiselle Mr Mrs Ms Dr Prof Herr Frau Street Road Avenue Lane New Old North South East West Saint St San United Kingdom States
    Company Inc Ltd Llc GmbH Corporation Group Partners Bank University Orchestra Christmas Easter Party Wedding Company English German French
    """
)
_UNMISTAKABLE = GIVEN_NAMES - AMBIGUOUS
_ANNOUNCING = (
    "name", "called", "call me", "calls me", "known as", "contact person", "attn", "z.hd", "z. hd", "heiße", "heisse", "m'appelle", "m\u2019appelle",
    "s'appelle", "s\u2019appelle", "nom", "regards", "sincerely", "yours", "cheers", "wishes", "thanks", "grüße", "gruesse", "grüsse", "grueße", "gruß",
    "gruss", "lg", "cordialement", "bien à vous", "bises", "merci", "mr", "ms ", "ms.", "miss", "herr", "frau", "mme", "mlle", "madame", "monsieur", "dr ", "dr.", "prof",
    "hi ", "hello", "hey", "dear", "hallo", "liebe", "guten", "bonjour", "salut", "cher", "chère", "my ", "his ", "her ", "our ", "their ", "mein",
    "mon ", "ma ", " by ", "signed", "producer", "director", "author", "singer", "writer", "actor", "actress", "player", "manager", "seller", "driver",
    "starring", "commenter", "founder", "customer", "kund", "client", "vend", ", can", ", could", ", would", ", will",
    "unterzeichnet", "signé", "directed", "performed",
)  # fmt: skip
_BESIDE_FULL_NAMES = (
    "i'm", "i\u2019m", "i am", "ich bin", "je suis", "this is", "speak", "talk", "write", "follow", "meet", "by ", "under ", "contact ", "ask ", "email ", "add ", "remove ", "von ",
    "chez ", "concert de", "say", "sagt", "said", "told", "wrote", "explained", "asked", "shouted", "live", "schrieb", "meinte", "dit", "écrit", "habite", "'s ", "\u2019s ",
)  # fmt: skip
_TOKENS = regex.compile(rf"(?<![\p{{L}}@.\d_#'\u2019\-]){_NAME}")
_INITIALLED = regex.compile(
    rf"(?<![\p{{L}}@.\d'\u2019\-])({_CAPITALISED})[ ]\p{{Lu}}\.?[ ]{_CAPITALISED}(?![\p{{L}}@])"
)
_OWN_NAME = regex.compile(
    rf"(?i:\b(?:my name is|mein name ist|ich hei(?:ß|ss)e|je m['\u2019]appelle))\s+{_CAPITALISED}"
)
_PARTS = regex.compile(r"[^\s]+")
_HYPHEN = regex.compile(r"[\-'\u2019]")
_POSSESSIVE = regex.compile(r"['\u2019]s?$")


def introduces(text: str) -> bool:
    """Whether a sentence of `text` tells its author's name."""
    return bool(_OWN_NAME.search(text))


def is_full_name(text: str) -> bool:
    """Whether the whole of `text` is a common given name followed by a family name."""
    words = text.split()
    return (
        2 <= len(words) <= 4
        and _first(words[0]) in _UNMISTAKABLE
        and bool(_TOKENS.fullmatch(text))
        and not any(word in _NOT_NAMES for word in words)
    )


def _first(word: str) -> str:
    """The word without a possessive; of a double name ("Anna-Lena") its first part."""
    bare: str = _POSSESSIVE.sub("", word)
    return bare if bare in GIVEN_NAMES else str(_HYPHEN.split(bare)[0])


class _GivenNames(LocalRecognizer):  # type: ignore[misc]
    """A common given name, unless it is ambiguous, with the family names that follow it."""

    def __init__(self) -> None:
        super().__init__(supported_entities=[PERSON])

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], *_: Any, **__: Any) -> list[RecognizerResult]:
        """Names that begin with a given name."""
        found = []
        for match in _TOKENS.finditer(text):
            span = self._named(match.group(), match.start())
            if span is not None:
                found.append(result(PERSON, *span))
        return found

    def _named(self, sequence: str, offset: int) -> tuple[int, int] | None:
        words = [(part.group(), part.start(), part.end()) for part in _PARTS.finditer(sequence)]
        for position, (word, start, _) in enumerate(words):
            name = _first(word)
            if name not in _UNMISTAKABLE:
                continue
            return (offset + start, offset + self._end(words, position))
        return None

    def _end(self, words: list[tuple[str, int, int]], position: int) -> int:
        end = words[position][2]
        for word, _, stop in words[position + 1 :]:
            if word in _NOT_NAMES:
                break
            end = stop
        last = next(word for word in reversed(words) if word[2] == end)
        bare = _POSSESSIVE.sub("", last[0])
        return last[1] + len(bare)


class _Announced(Expressions):
    """Names in a place where a sentence has one; a common word there is none and ends one."""

    def __init__(self, *patterns: str, least: int = 1) -> None:
        super().__init__(PERSON, *patterns)
        self._least = least

    def analyze(self, text: str, entities: list[str], *_: Any, **__: Any) -> list[RecognizerResult]:
        """Every name of at least `least` words."""
        matches = (match for expression in self._compiled for match in expression.finditer(text))
        return [
            result(PERSON, match.start(), end)
            for match in matches
            if (end := self._end(text, *match.span())) is not None
        ]

    def _end(self, text: str, start: int, end: int) -> int | None:
        words = []
        for word in _PARTS.finditer(text, start, end):
            if word.group() in _NOT_NAMES:
                break
            words.append(word)
        return words[-1].end() if len(words) >= self._least else None


class _Initialled(LocalRecognizer):  # type: ignore[misc]
    """Two capitalised words with an initial between them."""

    def __init__(self) -> None:
        super().__init__(supported_entities=[PERSON])

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], *_: Any, **__: Any) -> list[RecognizerResult]:
        """Names with an initial."""
        return [
            result(PERSON, match.start(), match.start() + len(_POSSESSIVE.sub("", match.group())))
            for match in _INITIALLED.finditer(text)
            if match.group(1) not in _NOT_NAMES
        ]


def names() -> tuple[TriggeredRecognizer, ...]:
    """Names after an introduction, a title, a greeting, a closing or a kin, and names that begin with a common given name."""
    name, full = _person(0), _person(1)
    capital = r"\p{Lu}"
    announced = _Announced(
        rf"\b(?:(?i:{_INTRODUCTIONS})\s+|(?i:{_TITLES})\.?\s|(?i:{_KIN})(?:['\u2019]s)?(?:\sname)?\s|(?i:{_ROLES})\s+)\K{name}",
        rf"\b(?i:{_CLOSINGS})[\s,!]{{1,3}}\K{name}(?=[\s.!]*$)",
        rf"\b(?i:{_GREETINGS})\s\K{name}(?=\s*[,!:\n])",
        rf"^{name}(?=, (?:can|could|would|will)\s)",
    )
    full_names = _Announced(
        rf"(?i:\b(?:I['\u2019]m|I\sam|ich bin|je suis|this is|{_CONTACTS}))\s\K{full}",
        rf"(?<![\p{{L}}@.'\u2019\-]){full}(?=\s(?:{_WHO})\b)",
        rf"(?<![\p{{L}}@.'\u2019\-]){full}(?=['\u2019]s\s)",
        least=2,
    )
    return (
        TriggeredRecognizer(PERSON, capital, announced, _ANNOUNCING),
        TriggeredRecognizer(PERSON, rf"{capital}[^\s]* {capital}", full_names, _BESIDE_FULL_NAMES),
        TriggeredRecognizer(PERSON, rf"{capital}\p{{L}}+ {capital}\.? {capital}", _Initialled()),
        TriggeredRecognizer(PERSON, capital, _GivenNames(), tuple(_UNMISTAKABLE), any_case=False),
    )


def _person(least: int) -> str:
    """A name of one to three words, at least `least` beyond the first."""
    return rf"{_PLAIN}(?:[ ](?:\p{{Lu}}\.?[ ]|{_PARTICLE}[ ])?{_PLAIN}){{{least},2}}"
