"""What the simulated customers write, in German, French and English. {…} stands for the product or the writer."""

__all__ = ["ABOUT_ME", "FIT_REMARKS", "HIDDEN", "OPINIONS", "QUIZ_WORDS"]

OPINIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        (
            "The {product} came with a loose seam, I expected more.",
            "Colour faded after two washes. Not what sustainable should mean.",
            "Sent it back. The fabric is much thinner than in the picture.",
        ),
        (
            "The {product} is okay, nothing special.",
            "Nice fabric, but the delivery took ten days.",
            "Good enough for the price. Would like more colours.",
        ),
        (
            "I love the {product}! Feels solid and well made.",
            "Beautiful fabric, I wear it every week.",
            "Exactly as described, and no plastic in the parcel. Thank you!",
        ),
    ),
    "de": (
        (
            "{product}: Die Naht war schon beim Auspacken offen, schade.",
            "Nach zwei Wäschen ausgeblichen. Unter nachhaltig verstehe ich etwas anderes.",
            "Leider zurückgeschickt, der Stoff ist viel dünner als auf dem Bild.",
        ),
        (
            "{product} ist in Ordnung, mehr aber auch nicht.",
            "Schöner Stoff, aber die Lieferung hat zehn Tage gedauert.",
            "Für den Preis gut. Mehr Farben wären schön.",
        ),
        (
            "{product}: richtig gut verarbeitet, ich bin begeistert!",
            "Wunderschöner Stoff, trage ich jede Woche.",
            "Genau wie beschrieben und ohne Plastik verpackt. Danke!",
        ),
    ),
    "fr": (
        (
            "{product} : la couture était décousue à l'arrivée, dommage.",
            "Décoloré après deux lavages. Ce n'est pas ma définition du durable.",
            "Renvoyé, le tissu est bien plus fin que sur la photo.",
        ),
        (
            "{product} : correct, sans plus.",
            "Beau tissu, mais dix jours de livraison.",
            "Bien pour le prix. J'aimerais plus de couleurs.",
        ),
        (
            "{product} : très bien fini, je suis ravie !",
            "Tissu magnifique, je le porte chaque semaine.",
            "Conforme à la description et sans plastique. Merci !",
        ),
    ),
}
"""Language to (bad, middling, good) remarks."""

FIT_REMARKS: dict[str, tuple[str, str, str]] = {
    "en": (
        "Runs small, take one size up.",
        "Fits true to size.",
        "Runs large, take one size down.",
    ),
    "de": ("Fällt klein aus.", "Passt wie angegeben.", "Fällt groß aus."),
    "fr": ("Taille petit.", "Taille normalement.", "Taille grand."),
}

HIDDEN: dict[str, tuple[str, ...]] = {
    "en": (
        "Please write to me at {email}.",
        "You can call me on {phone} after six.",
        "Refund to {iban} please.",
        "Kind regards, {first} {last}",
        "My name is {first} {last} and my address is {street}, {city}.",
    ),
    "de": (
        "Bitte schreiben Sie mir an {email}.",
        "Sie erreichen mich unter {phone} nach 18 Uhr.",
        "Bitte auf {iban} erstatten.",
        "Viele Grüße, {first} {last}",
        "Mein Name ist {first} {last}, ich wohne {street} in {city}.",
    ),
    "fr": (
        "Écrivez-moi à {email} s'il vous plaît.",
        "Vous pouvez m'appeler au {phone} après 18 h.",
        "Remboursement sur {iban} s'il vous plaît.",
        "Cordialement, {first} {last}",
        "Je m'appelle {first} {last} et j'habite {street} à {city}.",
    ),
}

ABOUT_ME: dict[str, tuple[str, ...]] = {
    "en": (
        "I cycle to work, so nothing too delicate.",
        "No wool please, it itches.",
        "Looking for a few pieces that last.",
    ),
    "de": (
        "Ich fahre Rad zur Arbeit, also bitte nichts Empfindliches.",
        "Bitte keine Wolle, die kratzt.",
        "Ich suche wenige Teile, die lange halten.",
    ),
    "fr": (
        "Je vais au travail à vélo, donc rien de trop fragile.",
        "Pas de laine, s'il vous plaît, ça gratte.",
        "Je cherche peu de pièces, mais qui durent.",
    ),
}

QUIZ_WORDS = {
    "budget": ("below 50", "50 to 100", "above 100"),
    "occasion": ("everyday", "office", "parties", "outdoors"),
}
