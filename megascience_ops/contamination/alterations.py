"""Ways in which a benchmark question comes back in other clothes, and two in which it is no longer itself.

Each takes a benchmark question and gives the altered text, or None where the question offers nothing to alter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from megascience_ops.contamination.benchmarks import BenchmarkQuestion
from megascience_ops.contamination.copies import stands_alone

Alter = Callable[[BenchmarkQuestion], str | None]

_FORMULA = re.compile(
    r"(\$\$.+?\$\$|\$[^$]+\$|\\\(.+?\\\)|\\\[.+?\\\]|\\[A-Za-z]+(?:\{[^{}]*\})*|\[START_SMILES\].*?\[END_SMILES\])",
    re.DOTALL,
)
_SENTENCE = re.compile(r"(?<=\w[.?!])\s+(?=[A-Z])")
_NUMBER = re.compile(r"(?<![\w.,^_{\\-])\d+(?:\.\d+)?(?![\w^}]|[.,]\d)")
_BLANKS = re.compile(r"[ \t]+")

_NAMES: dict[str, str] = dict(
    re.findall(
        r"(\w+):(\w+)",
        "Janet:Helena James:Victor John:Marcus Mary:Ingrid Maria:Paula Tom:Felix Tim:Oscar Jack:Hugo Bob:Walter "
        "Alice:Sylvia Sam:Leon Mike:Gregor Sarah:Judith Emma:Clara Carla:Renata Anna:Vera Lisa:Nora Kate:Olga "
        "Mark:Bruno David:Conrad Peter:Ivan Paul:Edgar Jerry:Milton Josh:Clement Kylar:Damon Toula:Berta Eliza:Frieda "
        "Henry:Albert Claire:Rosa Jill:Dora Ben:Otto Gene:Ralph Joe:Karl Andy:Horst Julia:Edith Susan:Hilda Tina:Greta "
        "Jane:Ruth Lucy:Irma Max:Kurt Nick:Theo Jenny:Lotte Amy:Thea Ellen:Ada Fred:Emil Brian:Ernst George:Simon "
        "Robert:Anton William:Gustav Charles:Rudolf Richard:Werner Linda:Agnes Karen:Selma Adam:Jonas Alex:Robin",
    )
)
_SYNONYMS: dict[str, str] = dict(
    re.findall(
        r"([\w ]+):([\w ]+)",
        "find:determine|calculate:compute|determine:work out|compute:calculate|evaluate:work out|begins:starts|"
        "how many:what number of|how much:what amount of|what is the:give the|starts:begins|begin:start|large:big|"
        "small:little|often:frequently|buys:purchases|bought:purchased|total:overall|each:every|shows:displays|"
        "largest:greatest|smallest:least|greatest:largest|man:male|woman:female|patient:person|presents:comes in|"
        "complains of:reports|most likely:most probable|following:subsequent|associated with:linked to|"
        "caused by:due to|due to:because of|usually:normally|required:needed|needed:required|contains:holds|"
        "obtain:get|kids:children|children:kids|sells:trades|makes:produces|gives:hands|used:employed|use:employ|"
        "also:too|suppose:assume|assume:suppose|quickly:fast|happens:occurs|occurs:happens|located:situated|"
        "approximately:roughly|about:roughly|identical:equal|entire:whole|remaining:leftover",
    )
)
_NAME = re.compile(rf"\b(?:{'|'.join(_NAMES)})\b")
_SYNONYM = re.compile(rf"\b(?:{'|'.join(sorted(_SYNONYMS, key=len, reverse=True))})\b", re.IGNORECASE)
_LATEX = (
    (re.compile(r"\$\$(.+?)\$\$", re.DOTALL), r"\\[ \1 \\]"),
    (re.compile(r"\$([^$]+)\$"), r"\\( \1 \\)"),
    (re.compile(r"\\frac(?![A-Za-z])"), r"\\dfrac"),
    (re.compile(r"\^\{(\w)\}"), r"^\1"),
    (re.compile(r"\\mathrm(?![A-Za-z])"), r"\\text"),
    (re.compile(r"\\times(?![A-Za-z])"), "×"),
    (re.compile(r"\\cdot(?![A-Za-z])"), "·"),
    (re.compile(r"\^\{?\\circ\}?"), "°"),
    (re.compile(r"\\le(?:q)?(?![A-Za-z])"), "≤"),
)


def verbatim(one: BenchmarkQuestion) -> str:
    """As it stands, options and all."""
    return one.whole


def case(one: BenchmarkQuestion) -> str | None:
    """In capitals, but for its formulas, and with other white space. Not of a drawing or a table in LaTeX."""
    if "\\begin" in one.whole or "[asy]" in one.whole or one.whole.count("$") % 2:
        return None
    parts = enumerate(_FORMULA.split(one.whole))
    return "".join(part if at % 2 else _capitals(part) for at, part in parts).replace(" ", "  ")


def latex(one: BenchmarkQuestion) -> str | None:
    r"""Formulas spelt otherwise: `\( \)` for `$`, `\dfrac`, `°`, `×`."""
    text = one.whole
    for pattern, spelling in _LATEX:
        text = pattern.sub(spelling, text)
    return text if text != one.whole else None


def names(one: BenchmarkQuestion) -> str | None:
    """Other people. Only of a question without options, where a name is nobody's discovery."""
    text, times = _NAME.subn(lambda match: _NAMES[match.group()], one.question)
    return text if times and not one.options else None


def order(one: BenchmarkQuestion) -> str | None:
    """What is asked first, what is given after it."""
    sentences = _SENTENCE.split(one.question)
    return _with_options(one, " ".join([sentences[-1], *sentences[:-1]])) if len(sentences) > 1 else None


def synonyms(one: BenchmarkQuestion) -> str | None:
    """Other words for the same, at least two."""
    text, times = _SYNONYM.subn(_synonym, one.question)
    return _with_options(one, text) if times > 1 else None


def reworded(one: BenchmarkQuestion) -> str | None:
    """Other words, then another order, and other people where there are any: no sentence is left as it was."""
    text = synonyms(replace(one, options=()))
    turned = order(replace(one, question=text, options=())) if text else None
    return _with_options(one, names(replace(one, question=turned, options=())) or turned) if turned else None


def options_dropped(one: BenchmarkQuestion) -> str | None:
    """A multiple-choice question as an open one, where it is a question without its options."""
    return one.question if one.options and stands_alone(one) else None


def _synonym(match: re.Match[str]) -> str:
    word = _SYNONYMS[match.group().lower()]
    return word.capitalize() if match.group()[0].isupper() else word


def _with_options(one: BenchmarkQuestion, text: str) -> str:
    return replace(one, question=text).whole


def other_numbers(one: BenchmarkQuestion) -> str | None:
    """Another exercise of the same wording: each number is another one. Only of a question without options."""
    text, times = _NUMBER.subn(_another, one.question)
    return text if times > 1 and not one.options else None


def left_out(one: BenchmarkQuestion) -> str | None:
    """As it stands, for a search that leaves this question out: what is nearest then is another question."""
    return one.whole


SAME: dict[str, Alter] = {
    "verbatim": verbatim,
    "case": case,
    "latex": latex,
    "names": names,
    "order": order,
    "synonyms": synonyms,
    "reworded": reworded,
    "options_dropped": options_dropped,
}
ANOTHER: dict[str, Alter] = {"other_numbers": other_numbers, "left_out": left_out}
WORD_BY_WORD = ("verbatim", "case", "latex")  # the same words: found without a model, by any engine


def _capitals(text: str) -> str:
    """The 26 letters alone: a capital beta looks like a B, and is none."""
    return text.translate({letter: letter - 32 for letter in range(ord("a"), ord("z") + 1)})


def _another(match: re.Match[str]) -> str:
    """A number with as many digits, and another value."""
    digits = match.group()
    last = str((int(digits[-1]) + 3) % 10)
    first = digits[0] if digits[0] == "0" or len(digits) == 1 else str(int(digits[0]) % 9 + 1)
    return first + digits[1:-1] + last if len(digits) > 1 else str((int(digits) + 3) % 9 + 1 if int(digits) else 4)
