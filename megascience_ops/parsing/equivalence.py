"""Whether two final answers are the same, where anybody could tell, and None where somebody has to judge."""

import re

from megascience_ops.parsing.boxes import unboxed
from megascience_ops.parsing.quantities import agree, quantity

_TRUTH = {"yes": True, "true": True, "no": False, "false": False}
_MAX = 300  # characters; nothing longer is plainly comparable

_PLAIN = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u22c5": "·", "\u2219": "·"}
    | {"\u00b5": "μ", "\u2126": "Ω", "\uff05": "%", "\u3000": " ", "\u2103": "°C", "\u2107": "°F"}
)
_RAISED = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_WRAPPED = re.compile(r"\\(?:text|textrm|textbf|textit|mathrm|mathbf|mathit|operatorname|mbox|rm)\*?\s*\{([^{}]*)\}")
_COMMANDS = (
    (re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\displaystyle|\\!"), ""),
    (re.compile(r"\\[,;: ]|~|\\q?quad(?![a-z])"), " "),
    (re.compile(r"\\[dtc]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\\frac\s*([0-9])\s*([0-9])(?![0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\times(?![a-z])"), "×"),
    (re.compile(r"\\cdot(?![a-z])"), "·"),
    (re.compile(r"\s*\^\s*\{?\s*(?:\\circ(?![a-z])|°)\s*\}?|\\degree(?![a-z])"), "°"),
    (re.compile(r"\\Omega(?![a-z])"), "Ω"),
    (re.compile(r"\\mu(?![a-z])"), "μ"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\^\s*\{\s*([+-]?\s?[0-9A-Za-z]+)\s*\}"), r"^\1"),
    (re.compile(r"\\leq?(?![a-z])"), "≤"),
    (re.compile(r"\\geq?(?![a-z])"), "≥"),
    (re.compile(r"\s+"), " "),
)
_DELIMITERS = re.compile(r"\$\$|\$|\\\(|\\\)|\\\[|\\\]")
_NAMED = re.compile(r"(?P<name>[A-Za-z](?:_\{?[A-Za-z0-9]{1,6}\}?)?|\\[a-z]{2,8}) ?(?:=|≈|\\approx) ?(?P<value>[^=≈]+)")
_ABOUT = re.compile(r"(?:≈|\\approx|\\sim|approximately|about|approx\.) ?", re.IGNORECASE)
_LETTER = re.compile(
    r"(?P<word>(?:[Oo]ption|[Cc]hoice|[Aa]nswer):? )?"
    r"(?P<open>[(\[])?(?P<letter>[A-Ja-j])(?P<close>[)\]])?(?P<stop>[.:])?(?P<rest> .+)?"
)
_LETTERS = re.compile(r"[(]?[A-J][)]?(?:(?:, ?(?:and )?| and | ?& ?)[(]?[A-J][)]?)+")


def same_answer(a: str, b: str) -> bool | None:
    """True or False when both answers are plainly comparable, None otherwise; symmetric.

    Comparable are numbers with or without units, choice letters, yes/no/true/false, and whatever is written
    alike once LaTeX's ways of spacing are put aside. Different formulas and different words are never False.
    """
    one, two = _canonical(a), _canonical(b)
    if not one or not two:
        return None
    for compare in (_truths, _letters, _values):
        if (verdict := compare(one, two)) is not None:
            return verdict
    return True if _written_alike(one, two) else None


def _canonical(text: str) -> str:
    """One line in plain characters: delimiters, boxes, fonts and spacing commands taken off."""
    text = unboxed(text)
    if len(text) > _MAX:
        return text
    text = _RAISED.sub(lambda m: "^" + m[0].translate(_SUPERSCRIPTS), text).translate(_PLAIN)
    text = text.replace("\\$", " USD ")
    text = _DELIMITERS.sub(" ", text)
    for _ in range(2):  # \text in \mathrm
        text = _WRAPPED.sub(r" \1 ", text)
    for pattern, plain in _COMMANDS:
        text = pattern.sub(plain, text)
    text = text.strip().strip("*").strip()
    return text[:-1].rstrip() if text.endswith(".") else text


def _truths(a: str, b: str) -> bool | None:
    one, two = _TRUTH.get(a.lower()), _TRUTH.get(b.lower())
    return None if one is None or two is None else one == two


def _letters(a: str, b: str) -> bool | None:
    """Choice letters; `(C)`, `C.` and `option C` are C, also before the text of the choice."""
    if _LETTERS.fullmatch(a) and _LETTERS.fullmatch(b):
        one, two = re.findall("[A-J]", a), re.findall("[A-J]", b)
        return True if one == two else None if sorted(one) == sorted(two) else False
    one_letter, two_letter = _letter(a), _letter(b)
    if one_letter is None or two_letter is None:
        return None
    (first, first_marked, first_rest), (second, second_marked, second_rest) = one_letter, two_letter
    if first_rest and second_rest and not (first_marked and second_marked and first != second):
        return None  # E. coli and E. faecalis
    if first == second:
        return True
    if first.lower() == second.lower():
        return True if first_marked or second_marked else None
    if (first_rest and not first_marked) or (second_rest and not second_marked):
        return None
    # Two bare small letters may be variables of a formula; who knows what they stand for.
    return False if first_marked or second_marked or (first.isupper() and second.isupper()) else None


def _letter(text: str) -> tuple[str, bool, str | None] | None:
    """A choice letter, whether it is marked as one, and the text of the choice."""
    match = _LETTER.fullmatch(text)
    if match is None or (match["open"] and not match["close"]):
        return None
    marked = bool(match["word"] or match["close"] or (match["stop"] and not match["rest"]))
    return None if match["rest"] and not (match["close"] or match["stop"]) else (match[3], marked, match["rest"])


def _values(a: str, b: str) -> bool | None:
    if len(a) > _MAX or len(b) > _MAX:
        return None
    (name_a, value_a), (name_b, value_b) = _named(a), _named(b)
    if name_a and name_b and name_a != name_b:
        return None
    one, two = quantity(_ABOUT.sub("", value_a, count=1)), quantity(_ABOUT.sub("", value_b, count=1))
    if one is None or two is None:
        return True if (name_a or name_b) and _written_alike(value_a, value_b) else None
    return agree(one, two)


def _named(text: str) -> tuple[str | None, str]:
    """`x = 5` in its two parts; an answer that is no such equation has no name."""
    match = _NAMED.fullmatch(text)
    return (match["name"], match["value"]) if match else (None, text)


def _written_alike(a: str, b: str) -> bool:
    """The same characters but for spaces; the case of words is no difference, that of symbols is one."""
    one, two = ([_caseless(word) for word in text.split()] for text in (a, b))
    if one == two:
        return True
    prose = all(word.strip(",;()'-").isalpha() for word in [*one, *two]) and max(len(one), len(two)) > 1
    return not prose and a.replace(" ", "") == b.replace(" ", "")


def _caseless(word: str) -> str:
    """`Mitosis` as `mitosis`; CoS and COS, or Pa and PA, stay what they are."""
    return word.lower() if len(word) > 3 and (word.istitle() or (word.isupper() and len(word) > 4)) else word
