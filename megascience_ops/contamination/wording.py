"""What two texts that say the same have in common: mended control characters, one case, one spelling of LaTeX."""

from __future__ import annotations

import re
import unicodedata

from megascience_ops.dedup import TOKEN

# JSON reads "\beta" and "\frac" as a backspace and a form feed. No text has a backspace of its own; a form
# feed may be a page break, so only before these letters was it a LaTeX command.
_BACKSPACE = re.compile(r"\x08(?=[a-z])")
_FORM_FEED = re.compile(r"\x0c(?=rac|orall|rown|box|lat\b)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def clean(text: str) -> str:
    r"""A question as its author meant it.

    A backspace before `eta` was `\beta` and a form feed before `rac` was `\frac`; other C0 controls are
    removed, but tab and line feed stay; CRLF and CR become a line feed; white space at the edges goes, and
    half of a surrogate pair becomes U+FFFD.
    """
    text = _FORM_FEED.sub(r"\\f", _BACKSPACE.sub(r"\\b", text))
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# What a question is made of: its tokens, and the signs between them that are not punctuation.
_SIGNIFICANT = re.compile(rf"{TOKEN.pattern}|[^\w\s.,;:?!'\"’‘“”()\[\]{{}}\\$&~`]")
# A dash that only joins or separates words: `the drug - which`, `stage-I`, `X-ray`, `10 - months`. It may be a minus
# between single letters or before a number. After a number a word has four letters: `10 - cos` is a difference.
_DASH = r"[-‐‑‒–—]"
_LETTER = r"[^\W\d_]"
_BETWEEN_WORDS = re.compile(
    rf"(?<={_LETTER}{{2}})\s*{_DASH}+\s*(?={_LETTER}{{2}})"
    rf"|(?<={_LETTER}{{2}}){_DASH}(?={_LETTER})"
    rf"|(?<={_LETTER}){_DASH}(?={_LETTER}{{2}})"
    rf"|(?<=\d)\s*{_DASH}\s*(?={_LETTER}{{4}})"
)


def normalised(text: str) -> str:
    r"""What texts that say the same share: their words and signs, whatever the case, spacing and punctuation.

    LaTeX commands keep their case. Mathematical signs stay (`x + 1` is not `x - 1`), but a dash between
    words or at the end is punctuation. A text of nothing but punctuation is itself without white space.
    """
    parts = [match.group() for match in _SIGNIFICANT.finditer(_BETWEEN_WORDS.sub(" ", text))]
    words = [part if part.startswith("\\") else part.lower().replace("’", "'") for part in parts]
    while words and re.fullmatch(_DASH, words[-1]):
        words.pop()
    return " ".join(words) or "".join(text.split())


# One spelling for what LaTeX can be told in several ways, and for the characters that stand for its commands.
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"\\begin\{[a-z]+\*?\}|\\end\{[a-z]+\*?\}", " "),
        (r"\\[()\[\]]|\$+", " "),
        (r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![A-Za-z])", " "),
        (r"\\(?:quad|qquad|thinspace)(?![A-Za-z])|\\[,;:!> ]|~|&nbsp;", " "),
        (r"\\[dt]frac(?![A-Za-z])", r"\\frac"),
        (r"\\frac\s*([A-Za-z0-9])\s*([A-Za-z0-9])(?![A-Za-z0-9.])", r"\\frac{\1}{\2}"),
        (r"\\(?:math(?:rm|it|bf|sf|tt|up)|text(?:rm|it|bf|up)?|operatorname\*?|mbox|rm|bf|it)(?![A-Za-z])", " "),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])|[×·⋅*]", " × "),
        (r"\^\s*\{?\s*\\circ(?![A-Za-z])\s*\}?|\\degree(?![A-Za-z])|[°º˚]", " ° "),
        (r"\\leqslant(?![A-Za-z])|\\leq?(?![A-Za-z])|≤|<=", " ≤ "),
        (r"\\geqslant(?![A-Za-z])|\\geq?(?![A-Za-z])|≥|>=", " ≥ "),
        (r"\\neq?(?![A-Za-z])|≠", " ≠ "),
        (r"\\approx(?![A-Za-z])|≈", " ≈ "),
        (r"\\pm(?![A-Za-z])|±", " ± "),
        (r"\\(?:to|rightarrow|longrightarrow)(?![A-Za-z])|→|->", " → "),
        (r"\\infty(?![A-Za-z])|∞", " ∞ "),
        (r"\\%", "%"),
        (r"\\var(?=epsilon|phi|theta|rho)", r"\\"),
        ("[−–]", "-"),
        (r"(?<=\d)(?:\{,\}|,\\!|,)(?=\d{3}(?!\d))", ""),
    )
)
_SMALL_DIGITS = {"⁰¹²³⁴⁵⁶⁷⁸⁹": "^", "₀₁₂₃₄₅₆₇₈₉": "_"}
_GREEK = {
    letter: re.sub("lamda", "lambda", unicodedata.name(letter).rpartition(" ")[2].lower())
    for letter in "αβγδεζηθικλμνξπρστυφχψω"
}
_CHARACTERS = str.maketrans(
    {small: sign + str(digit) for row, sign in _SMALL_DIGITS.items() for digit, small in enumerate(row)}
    | {letter: f" \\{name} " for letter, name in _GREEK.items()}
    | {letter.upper(): f" \\{name.capitalize()} " for letter, name in _GREEK.items()}
    | {"µ": " \\mu "}
)
_SPELT = re.compile(r"[\\$~^°º˚×·⋅*≤≥≠≈±→∞−–]|[<>]=|->|&nbsp;|\d(?:\{,\}|,)\d{3}")  # what there are spellings for
_ENUMERATION = re.compile(
    r"^\s*(?:(?:exercise|problem|question|example)\s+\d+(?:\.\d+)*[.):]?|\(?\d+(?:\.\d+)*[.):])\s+(?=\S)", re.IGNORECASE
)
_OPTIONS = re.compile(r"\s*(?:\(?A[).:]|\(a\)|a\))\s+\S.*?\s*(?:\(?B[).:]|\(b\)|b\))\s+\S.*\Z", re.DOTALL)


def respelled(text: str) -> str:
    r"""What texts share that differ only in case, spacing, punctuation, a number before them, or the spelling of LaTeX.

    `$\dfrac12$`, `\( \frac{1}{2} \)`; `10^{\circ}`, `10°`; `x²`, `x^{2}`; `β`, `\beta`. Built on `normalised`, so
    words, numbers, signs and their order are the same; nothing that could make another question is let go.
    """
    text = _ENUMERATION.sub("", text).translate(_CHARACTERS)
    for pattern, spelling in _SPELLINGS if _SPELT.search(text) else ():
        text = pattern.sub(spelling, text)
    return normalised(text)


def without_options(text: str) -> str | None:
    """The text before `(A) ... (B) ...` at its end; None where it has no such options, or nothing before them."""
    match = _OPTIONS.search(text)
    return (text[: match.start()].rstrip() or None) if match else None
