"""Numbers with units in final answers: read exactly, compared by how precisely they were written."""

import re
from dataclasses import dataclass
from fractions import Fraction

from megascience_ops.parsing.units import Unit, unit

TOLERANCE = Fraction(1, 100)  # relative, between two decimals; textbooks round intermediate results
FEW_DIGITS = 4  # significant ones; who wrote more of them meant them
_MAX_EXPONENT = 300

_GROUPED = r"[0-9]{1,3}(?P<sep>[, ])[0-9]{3}(?:(?P=sep)[0-9]{3})*(?![0-9])"  # 1,234,567
_DIGITS = rf"(?:{_GROUPED}|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_POWER = r"10 ?(?:\^|\*\*) ?\(?(?P<{0}>[+-]? ?[0-9]{{1,4}})\)?"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?) ?(?:{_POWER.format('alone')}"
    rf"|(?P<digits>{_DIGITS})"
    rf"(?: ?[×x*·] ?{_POWER.format('power')}|[eE](?P<e>[+-]?[0-9]{{1,4}})(?![0-9A-Za-z]))?)"
)
_FRACTION = re.compile(
    r"(?P<sign>[+-]?) ?(?:(?P<whole>[0-9]{1,9}) ?(?= |\\|(?<= )))?"
    r"(?:\\frac ?\{ ?(?P<top>-?[0-9]{1,12}) ?\} ?\{ ?(?P<bottom>[0-9]{1,12}) ?\}"
    r"|(?P<over>[0-9]{1,12}) ?/ ?(?P<under>[0-9]{1,12})(?![0-9.]))"
)
_NO_UNIT = {
    "or", "and", "to", "is", "are", "not", "than", "if", "when", "times", "sin", "cos", "tan", "log", "exp",
    "mod", "sqrt",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z]{3,20}(?: [A-Za-z]{3,20})?")


@dataclass(frozen=True)
class Quantity:
    """A number as it was written; `unit` is a known one, the name of something counted, or None."""

    value: Fraction
    exact: bool  # an integer or a fraction; a decimal and a power of ten are measured
    digits: int  # significant digits
    step: Fraction  # one unit in the last place; 0 when exact
    unit: Unit | str | None
    glued: bool = False  # `5m`, which may be a product


def quantity(text: str) -> Quantity | None:
    """The number that `text` is, with its unit; None when it is anything else."""
    text, dollars = (text[3:].lstrip(), " USD") if text.startswith("USD") else (text, "")
    fraction = _FRACTION.match(text)
    number = fraction or _NUMBER.match(text)
    if number is None:
        return None
    rest = text[number.end() :] + dollars
    known = _unit(rest.strip()) if rest.strip() else None
    if rest.strip() and known is None:
        return None
    glued = len(rest) == 1 and rest.isalpha()
    if fraction:
        return _of_fraction(fraction, known, glued)
    return _of_number(number, known, glued)


def agree(a: Quantity, b: Quantity) -> bool | None:
    """Whether two quantities are the same; None when their units or their precision leave that open."""
    if a.unit is not None and b.unit is not None:
        if isinstance(a.unit, Unit) and isinstance(b.unit, Unit):
            if a.unit.powers != b.unit.powers:
                return None
            return _close(_scaled(a, a.unit.scale), _scaled(b, b.unit.scale), a.unit.scale == b.unit.scale)
        return _close(a, b, True) if a.unit == b.unit else None
    if a.unit is None and b.unit is None:
        return _close(a, b, True)
    if (percent := _percent(a, b)) is not None:
        return percent
    # One of them leaves the unit to the question: equal numbers are the same answer, others may be as well.
    if a.glued or b.glued or _is_percent(a) or _is_percent(b):
        return None
    return _close(a, b, True) or None


def _percent(a: Quantity, b: Quantity) -> bool | None:
    """50% against 0.5 or 50; None for whatever could be meant otherwise."""
    if _is_percent(b):
        a, b = b, a
    if not _is_percent(a) or b.unit is not None:
        return None
    if a.value > 1 and _close(a, b, True):
        return True
    return True if a.value > 1 and _close(_scaled(a, Fraction(1, 100)), b, True) else None


def _is_percent(quantity: Quantity) -> bool:
    return isinstance(quantity.unit, Unit) and quantity.unit.powers == (("%", 1),)


def _close(a: Quantity, b: Quantity, same_scale: bool) -> bool | None:
    difference, size = abs(a.value - b.value), max(abs(a.value), abs(b.value))
    if difference == 0:
        return True
    near = difference <= TOLERANCE * size
    rounded = _rounds_to(a, b) or _rounds_to(b, a)
    if a.exact and b.exact:
        return False if same_scale or not near else None
    if a.exact or b.exact:
        exact, decimal = (a, b) if a.exact else (b, a)
        if exact.value.denominator > 1 and near and _rounds_to(exact, decimal):
            return True
        return None if near or rounded else False
    if near:
        return True if min(a.digits, b.digits) <= FEW_DIGITS or rounded else None
    return None if rounded else False


def _rounds_to(fine: Quantity, coarse: Quantity) -> bool:
    """Whether `coarse` is what remains of `fine` when it is rounded, or cut, to as many places."""
    if coarse.step == 0 or fine.step > coarse.step:
        return False
    if abs(fine.value - coarse.value) * 2 <= coarse.step:
        return True
    return fine.value * coarse.value >= 0 and 0 <= abs(fine.value) - abs(coarse.value) < coarse.step


def _scaled(quantity: Quantity, scale: Fraction) -> Quantity:
    return Quantity(quantity.value * scale, quantity.exact, quantity.digits, quantity.step * scale, quantity.unit)


def _unit(text: str) -> Unit | str | None:
    """A unit that we know, or what is counted (`electrons`); None for anything else."""
    known = unit(text)
    if known is not None:
        return known
    if _NAME.fullmatch(text) and not _NO_UNIT & set(text.lower().split()):
        return text.lower().removesuffix("s")
    return None


def _of_fraction(match: re.Match[str], known: Unit | str | None, glued: bool) -> Quantity | None:
    top, bottom = match["top"] or match["over"], int(match["bottom"] or match["under"])
    if bottom == 0 or (match["whole"] and top.startswith("-")):
        return None
    value = int(match["whole"] or 0) + Fraction(int(top), bottom)
    value = -value if match["sign"] == "-" else value
    return Quantity(value, True, len(top), Fraction(0), known, glued)


def _of_number(match: re.Match[str], known: Unit | str | None, glued: bool) -> Quantity | None:
    power = match["alone"] or match["power"] or match["e"]
    exponent = int(power.replace(" ", "")) if power else 0
    digits = (match["digits"] or "1").replace(",", "").replace(" ", "")
    if abs(exponent) > _MAX_EXPONENT or len(digits) > _MAX_EXPONENT:
        return None
    decimals = len(digits.partition(".")[2])
    value = Fraction(digits if digits[-1] != "." else digits[:-1]) * Fraction(10) ** exponent
    value = -value if match["sign"] == "-" else value
    exact = "." not in digits and not power
    significant = len(digits.replace(".", "").lstrip("0"))
    step = Fraction(0) if exact else Fraction(10) ** (exponent - decimals)
    return Quantity(value, exact, significant, step, known, glued)
