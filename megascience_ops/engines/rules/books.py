"""Rules for books: subject by a vote of keywords, level only as the metadata states it, never on a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping

from megascience_ops.errors import Declined

LEXICON: dict[str, str] = {
    "biology": """cell cells protein proteins membrane gene genes dna rna enzyme species organism evolution tissue
        mitochondria chromosome bacteria photosynthesis mitosis ribosome plant""",
    "chemistry": """mole moles molar acid base reaction reactions solution titration bond bonds electron electrons ion
        ions oxidation equilibrium enthalpy compound compounds stoichiometry catalyst ph""",
    "computer_science": """algorithm algorithms program programs computer computers data memory machine machines code
        recursion graph compiler processor bits software binary instruction instructions""",
    "economics": """price prices demand supply market markets consumer firm firms cost costs utility elasticity income
        profit tax equilibrium gdp inflation surplus monopoly""",
    "mathematics": """theorem proof matrix matrices vector vectors probability integral derivative function eigenvalue
        equation polynomial random variance distribution linear sum set determinant""",
    "medicine": """patient patients blood heart disease clinical diagnosis treatment kidney lung cardiac hormone insulin
        symptoms therapy pressure artery nerve muscle physiology""",
    "physics": """force forces velocity acceleration energy momentum mass motion newton friction gravity field charge
        temperature heat wave waves thermodynamics quantum kinetic""",
}
WORDS = {subject: frozenset(words.split()) for subject, words in LEXICON.items()}
LEGIBLE = 20  # words of an excerpt below which nothing is concluded from it
ENOUGH = 5  # keywords below which no subject is claimed


def classify(slots: Mapping[str, str]) -> str:
    """Subject and level as the metadata states them; without a subject, the one whose words are most frequent."""
    stated = dict(line.split(": ", 1) for line in slots["METADATA"].splitlines() if ": " in line)
    if "subject" not in stated and len(slots["EXCERPT"].split()) < LEGIBLE:
        raise Declined("declined", "its first pages hold no text, and its metadata state no subject")
    subject = stated.get("subject") or _voted(f"{stated.get('title', '')} {slots['EXCERPT']}")
    level = stated.get("level", "undergraduate")
    return f"Analysis: by metadata and keywords\nSubject: {subject}\nLevel: {level}"


def _voted(text: str) -> str:
    words = re.findall(r"[a-z]+", text.lower())
    votes = {subject: sum(word in lexicon for word in words) for subject, lexicon in WORDS.items()}
    subject = max(votes, key=lambda name: votes[name])
    return subject if votes[subject] >= ENOUGH else "other"
