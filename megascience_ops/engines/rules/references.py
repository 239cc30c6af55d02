"""How books point elsewhere: the words by which a question needs a figure, a table, an equation, another exercise."""

import re


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.I)


_NUMBER = r"\(?\d{1,3}(?:[.\-–]\d{1,3})*[a-z]?\)?"
_PICTURE = (
    r"(?:figure|drawing|diagram|histogram|scatter ?plot|illustration|picture|photo(?:graph)?|sketch|flow ?chart"
    r"|box plot|bar chart|pie chart|map)s?"
)
_ITEM = r"(?:problems?|exercises?|examples?|questions?|sections?|chapters?|scenario|activity|subsection|equations?)"
_SAID = (
    r"(?:discussed|mentioned|described|derived|given|listed|presented|seen|introduced|defined|calculated|computed"
    r"|found|obtained)"
)
_SHOWN = r"(?:shown|pictured|depicted|illustrated|drawn|displayed|sketched)"
_WHERE = r"(?:below|above|here|at (?:the )?(?:left|right)|to the (?:left|right)|on the (?:left|right))"

REFERENCES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "figure",
        _any(
            rf"\b(?:Figures?|Figs?\.?|Photo|Graph|Diagram|Plate|Scheme|Panel)\s+{_NUMBER}(?![\w°])",
            r"\[link\]",
            r"!\[",
        ),
    ),
    (
        "table",
        _any(
            rf"\bTables?\s+{_NUMBER}(?!\w)",
            r"\btable (?:below|above)\b",
            r"\bfollowing table\b",
            r"\b(?:in|from|using) the (?:[\w’]+ ){0,2}data ?set\b",
        ),
    ),
    (
        "equation",  # "equation 3 Ca(OH)2 + ..." is a chemist's equation, no number
        _any(
            r"\b(?:Equations?|Eqs?\.?|Formulas?)\s+(?:\(\d{1,3}(?:[.\-]\d{1,3})*\)|\d{1,3}[.\-]\d{1,3})",
            r"\b(?:Equations?|Eqs?\.?|Formulas?)\s+\d{1,3}(?=\s*(?:[.,;:)]|$|(?:and|to|for|in|above)\b))",
        ),
    ),
    (
        "place_in_book",
        _any(
            r"\b(?:Sections?|Chapters?|Examples?|Exercises?|Problems?|Guided Practice|Practice|Questions?|Theorems?"
            r"|Lemmas?|Propositions?|Corollar(?:y|ies)|Definitions?|Activity|Checkpoint|Part [IVX]+,)"
            rf"\s+(?:{_NUMBER}|[A-Z]\.\d+)(?!\w)",
            r"\bAppendix (?:[A-Z]|\d)\b",
        ),
    ),
    ("page", _any(r"\b(?:on|see|at) (?:pages?|pp?\.) ?\d+")),
    (
        "earlier_item",
        _any(
            rf"\b(?:previous|preceding|earlier|prior|above|foregoing) (?:\w+ )?{_ITEM}\b",
            r"\b(?:last|next|following) (?:problem|exercise|example|section|chapter)\b",
            r"\bthe two (?:previous|preceding)\b",
            r"\b(?:problems?|exercises?|examples?|questions?) (?:above|prior|earlier|two problems)\b",
            r"\btwo (?:problems|exercises) (?:prior|ago|earlier)\b",
            r"\bchapter(?:’s|'s)? (?:introduction|opening|opener)\b",
            rf"\b{_SAID} (?:earlier|previously|above|in (?:the|this) (?:text|chapter|section|book|module))\b",
            r"\b(?:in|from|of) (?:the|this) (?:text|chapter|section|module|book|textbook|reading)\b(?! of)",
        ),
    ),
    (
        "picture",
        _any(
            rf"\b(?:the|this|these|accompanying|adjacent|attached) (?:\w+ )?{_PICTURE} (?:{_WHERE}|{_SHOWN}"
            r"|shows?|provided|given|displays?|illustrates?|represents?|depicts?)\b",
            rf"\bfollowing (?:\w+ )?(?:graph|plot|{_PICTURE})\b",
            r"\b(?:graph|plot|table|figure|curve|spectrum|structure)s? (?:shown|below|above|here|at right|at left)\b",
            rf"\bin the {_PICTURE}\b(?! (?:frame|theorem))",
            r"\b(?:see|according to) (?:the )?(?:figure|diagram|graph|table|plot|chart)\b(?! of)",
            rf"\b(?:as|are|is) {_SHOWN} {_WHERE}\b",
            rf"\bas {_SHOWN}(?=[.,;]|\s*$)",
            r"\b(?:shown|pictured|given|listed) (?:below|above)\b",
            r"\bthe (?:graph|plot)s? (?:of [^.?]{1,40} )?is (?:shown|given)\b",
        ),
    ),
    (
        "chained",
        _any(
            r"\A(?:Now,? (?:suppose|consider|calculate|find|assume|repeat|imagine)|Repeat|Again,|Continuing"
            r"|Suppose instead|Refer(?:ring)? (?:back )?to|For the (?:same|situation|problem|above|previous)|Redo"
            r"|Do the same|With the same"
            r"|What if (?:there (?:was|were|is)|you|we|the) (?:\w+ )?(?:also|instead|now)"
            r"|Using (?:the|your) (?:results?|answers?) (?:from|of|to|in))\b",
            r"\b(?:another|the same) \w+ (?:as|from) (?:in |the )?(?:last|previous|preceding)\b",
            r"\b(?:your|the) (?:answer|result)s? (?:from|to|of|in) (?:exercise|problem|question|example)\b",
        ),
    ),
)
