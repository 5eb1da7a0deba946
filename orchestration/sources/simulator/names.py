"""Words from which the simulated people are made: names, cities, and telephone numbers reserved for fiction.

Telephone ranges: those that the German and British regulators keep free for films (0176 04069, 020 7946 0), and an
unassigned French one (01 99 00). Mail domains are below example.com, .org and .net (RFC 2606), so no address exists.
"""

from typing import NamedTuple

__all__ = ["COUNTRIES", "MAIL_DOMAINS", "Country"]

MAIL_DOMAINS = (
    "webpost.example.com",
    "freemail.example.org",
    "inbox.example.net",
    "mail.example.com",
    "postfach.example.org",
    "courriel.example.net",
)


class Country(NamedTuple):
    """Where customers come from, and how people there are called."""

    code: str
    language: str
    share: float
    women: tuple[str, ...]
    men: tuple[str, ...]
    families: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    phone: str
    phone_digits: int


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


_GERMAN_WOMEN = _words(
    "Anna Lena Julia Katharina Sophie Marie Laura Hannah Lea Emma Mia Johanna Clara Charlotte Franziska Sabine Petra "
    "Monika Susanne Claudia Birgit Heike Nicole Stefanie Nadine Jana Miriam Friederike Greta Ida Paula Theresa "
    "Magdalena Elif Aylin Zeynep Olga Svetlana Karin Renate Ingrid Ursula Antje Wiebke Annika Ronja"
)
_GERMAN_MEN = _words(
    "Lukas Jonas Felix Maximilian Paul Leon Finn Elias Noah Ben Moritz Jakob Philipp Sebastian Florian Tobias Daniel "
    "Stefan Thomas Andreas Michael Markus Christian Jan Niklas Tim Fabian Simon Johannes Matthias Frank Uwe Klaus "
    "Jürgen Emre Murat Yusuf Dimitri Karl Heinrich Anton Oskar Emil Henning Sönke Bastian"
)
_GERMAN_FAMILIES = _words(
    "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf "
    "Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Werner Krause Lehmann Köhler Maier "
    "Walter Peters Möller Huber Kaiser Fuchs Scholz Vogel Weiß Jung Hahn Keller Günther Berger Frank Winkler Roth "
    "Beck Lorenz Baumann Yilmaz Kaya Demir Nowak Kowalski Brandt Seidel Heinrich Haas Busch"
)

COUNTRIES: tuple[Country, ...] = (
    Country(
        code="DE",
        language="de",
        share=0.45,
        women=_GERMAN_WOMEN,
        men=_GERMAN_MEN,
        families=_GERMAN_FAMILIES,
        cities=_words(
            "Berlin Hamburg München Köln Frankfurt_am_Main Stuttgart Düsseldorf Leipzig Dortmund Essen Bremen Dresden "
            "Hannover Nürnberg Duisburg Bochum Wuppertal Bielefeld Bonn Münster Karlsruhe Mannheim Augsburg Freiburg "
            "Kiel Lübeck Erfurt Rostock Kassel Mainz Potsdam Göttingen Heidelberg Jena Weimar Tübingen"
        ),
        streets=_words(
            "Lindenstraße Gartenweg Bahnhofstraße Schillerstraße Am_Markt Birkenallee Mühlweg"
        ),
        phone="+49 176 04069",
        phone_digits=3,
    ),
    Country(
        code="AT",
        language="de",
        share=0.10,
        women=_GERMAN_WOMEN,
        men=_GERMAN_MEN,
        families=_words(
            "Gruber Huber Bauer Wagner Müller Pichler Steiner Moser Mayer Hofer Leitner Berger Fuchs Eder Fischer "
            "Schmid Winkler Weber Schwarz Maier Schneider Reiter Mayr Schmidt Wimmer Egger Brunner Lang Baumgartner"
        ),
        cities=_words("Wien Graz Linz Salzburg Innsbruck Klagenfurt Villach Wels Dornbirn Bregenz"),
        streets=_words("Mariahilfer_Gasse Kirchengasse Hauptplatz Rosengasse Wiener_Straße"),
        phone="+49 176 04069",
        phone_digits=3,
    ),
    Country(
        code="FR",
        language="fr",
        share=0.22,
        women=_words(
            "Camille Léa Manon Chloé Emma Inès Jade Louise Alice Juliette Marie Sophie Nathalie Isabelle Sylvie "
            "Catherine Valérie Céline Aurélie Émilie Élodie Julie Pauline Margaux Clémence Zoé Anaïs Amandine Fatima "
            "Yasmine Leïla Aïcha Hélène Agathe Mathilde Océane Capucine Noémie Solène Apolline"
        ),
        men=_words(
            "Lucas Hugo Louis Gabriel Arthur Jules Adam Raphaël Léo Nathan Thomas Nicolas Julien Pierre Antoine "
            "Alexandre Maxime Guillaume François Philippe Laurent Olivier Christophe Sébastien Mathieu Romain Clément "
            "Quentin Karim Mehdi Youssef Rachid Étienne Benoît Théo Baptiste Rémi Bastien Émile"
        ),
        families=_words(
            "Martin Bernard Dubois Thomas Robert Richard Petit Durand Leroy Moreau Simon Laurent Lefebvre Michel "
            "Garcia David Bertrand Roux Vincent Fournier Morel Girard André Lefèvre Mercier Dupont Lambert Bonnet "
            "François Martinez Legrand Garnier Faure Rousseau Blanc Guérin Muller Henry Roussel Nicolas Perrin Morin "
            "Mathieu Clément Gauthier Dumont Lopez Fontaine Chevalier Robin Masson Benali Haddad"
        ),
        cities=_words(
            "Paris Lyon Marseille Toulouse Nice Nantes Strasbourg Montpellier Bordeaux Lille Rennes Reims Toulon "
            "Grenoble Dijon Angers Nîmes Tours Metz Besançon Orléans Rouen Caen Nancy Annecy"
        ),
        streets=_words(
            "rue_des_Lilas avenue_Victor_Hugo rue_de_la_Paix boulevard_Voltaire chemin_du_Moulin"
        ),
        phone="+33 1 99 00",
        phone_digits=4,
    ),
    Country(
        code="GB",
        language="en",
        share=0.23,
        women=_words(
            "Olivia Amelia Isla Ava Mia Grace Freya Lily Florence Evie Emily Charlotte Sophie Jessica Lucy Hannah "
            "Rebecca Sarah Emma Laura Claire Nicola Karen Susan Margaret Elizabeth Helen Alison Fiona Priya Aisha "
            "Fatima Zara Imogen Harriet Beatrice Eleanor Niamh Bronwen Catriona"
        ),
        men=_words(
            "Oliver George Arthur Noah Muhammad Leo Oscar Harry Archie Jack Thomas James William Henry Charlie Daniel "
            "Matthew Christopher Andrew David Paul Mark Stephen Ian Alan Graham Simon Callum Rory Ewan Rhys Owen Arjun "
            "Imran Tariq Toby Hugo Rupert Dominic Nathaniel"
        ),
        families=_words(
            "Smith Jones Taylor Brown Williams Wilson Johnson Davies Robinson Wright Thompson Evans Walker White "
            "Roberts Green Hall Wood Jackson Clarke Patel Khan Lewis James Phillips Mason Mitchell Rose Davis Hughes "
            "Edwards Cooper Turner Ward Morris Baker Harrison Morgan Parker Bell Murphy Kelly Campbell Stewart "
            "MacDonald Fraser Ahmed Begum Singh Ali"
        ),
        cities=_words(
            "London Birmingham Manchester Leeds Glasgow Sheffield Liverpool Edinburgh Bristol Cardiff Belfast "
            "Leicester Nottingham Newcastle Brighton Plymouth Southampton Reading Norwich Oxford Cambridge York Bath "
            "Exeter Aberdeen Swansea"
        ),
        streets=_words("Station_Road Church_Lane Mill_Street Victoria_Road The_Green Park_Avenue"),
        phone="+44 20 7946 0",
        phone_digits=3,
    ),
)
