"""Units of measurement as answers write them, brought to one spelling; prefixes are the only conversion."""

import re
from fractions import Fraction
from typing import NamedTuple

_PREFIXES = {
    "f": -15, "p": -12, "n": -9, "μ": -6, "u": -6, "m": -3, "c": -2, "d": -1,
    "h": 2, "k": 3, "M": 6, "G": 9, "T": 12,
}  # fmt: skip
# Symbol, then the names it goes by. A derived unit is a unit of its own: N·m is not compared with J.
_WITH_PREFIX = {
    "m": "metre meter", "s": "second sec", "g": "gram gramme", "A": "ampere amp", "K": "kelvin",
    "mol": "mole", "cd": "candela", "N": "newton", "J": "joule", "W": "watt", "Pa": "pascal", "Hz": "hertz",
    "C": "coulomb", "V": "volt", "F": "farad", "Ω": "ohm Ohm", "S": "siemens", "T": "tesla", "Wb": "weber",
    "H": "henry", "L": "litre liter l", "eV": "electronvolt", "bar": "bar", "cal": "calorie",
    "Bq": "becquerel", "B": "byte", "lm": "lumen", "lx": "lux", "Gy": "gray", "Sv": "sievert", "M": "molar",
}  # fmt: skip
_WITHOUT_PREFIX = {
    "min": "minute", "h": "hour hr", "d": "day", "yr": "year", "week": "wk", "month": "mo", "rad": "radian",
    "°": "degree deg", "°C": "celsius degC", "°F": "fahrenheit degF", "sr": "steradian",
    "atm": "atmosphere", "%": "percent", "ft": "foot feet", "in": "inch inches", "lb": "pound lbs",
    "mi": "mile", "mmHg": "torr", "u": "amu", "USD": "dollar", "Å": "angstrom", "bit": "bit",
    "dB": "decibel", "rpm": "rpm", "rev": "revolution",
}  # fmt: skip
_WORD_PREFIXES = {
    "femto": -15, "pico": -12, "nano": -9, "micro": -6, "milli": -3, "centi": -2, "deci": -1,
    "hecto": 2, "kilo": 3, "mega": 6, "giga": 9, "tera": 12,
}  # fmt: skip
_FACTOR = re.compile(r"(?P<symbol>[A-Za-zμΩÅ°%]+)(?:\^?\(?(?P<power>[+-]?[0-9]{1,2})\)?)?")
_JOINT = re.compile(r"[ ·*×]*(?P<per>/|per )?[ ]*(?P<open>\()?[ ]*")


class Unit(NamedTuple):
    """A unit: its powers of base symbols, and the factor that prefixes stand for (kg: 1000 of g)."""

    scale: Fraction
    powers: tuple[tuple[str, int], ...]  # sorted by symbol, no power is zero


def _spellings() -> dict[str, tuple[str, int]]:
    """Every known spelling, with its symbol and its prefix as a power of ten. Plain symbols win: min, cd."""
    table: dict[str, tuple[str, int]] = {}
    for symbol, names in _WITH_PREFIX.items():
        for prefix, power in _PREFIXES.items():
            table[prefix + symbol] = (symbol, power)
        for prefix, power in _WORD_PREFIXES.items():
            for name in names.split():
                table[prefix + name] = table[f"{prefix}{name}s"] = (symbol, power)
    table |= {"ml": ("L", -3), "dl": ("L", -1), "cl": ("L", -2), "μl": ("L", -6), "kelvin": ("K", 0)}
    for symbol, names in (_WITH_PREFIX | _WITHOUT_PREFIX).items():
        for name in names.split():
            table[name] = (symbol, 0)
            if len(name) > 2:
                table[name + "s"] = (symbol, 0)
        table[symbol] = (symbol, 0)
    return table


_TABLE = _spellings()


def unit(text: str) -> Unit | None:
    """What `text` says in known symbols and names: `m/s^2`, `m s^-2`, `kJ/(mol K)`, `metres per hour`."""
    powers: dict[str, int] = {}
    scale, at, sign, group = Fraction(1), 0, 1, 0
    text = re.sub(r"degrees? ?|deg ", "°", text.strip()).replace("° ", "°").rstrip(".")
    text = re.sub(r"°(?=[cf](?:elsius|ahrenheit)\b)", "", text, flags=re.IGNORECASE)
    if not text or len(text) > 60:
        return None
    while at < len(text):
        joint = _JOINT.match(text, at)
        assert joint is not None  # it matches the empty string
        if joint["open"]:
            if group:
                return None
            group = -1 if joint["per"] else 1
        factor = _FACTOR.match(text, joint.end())
        if factor is None or (at and joint.end() == at and not group):
            return None
        sign = -1 if joint["per"] else 1
        symbol = factor["symbol"]
        known = _TABLE.get(symbol) or _TABLE.get(symbol.lower() if len(symbol) > 3 and symbol.istitle() else "")
        if known is None:
            return None
        symbol, prefix = known
        power = int(factor["power"] or 1) * (group if group else sign)
        powers[symbol] = powers.get(symbol, 0) + power
        scale *= Fraction(10) ** (prefix * power)
        at = factor.end()
        if group and text[at : at + 1] == ")":
            group, at = 0, at + 1
    if group:
        return None
    return Unit(scale, tuple(sorted((symbol, power) for symbol, power in powers.items() if power)))


def is_unit(text: str) -> bool:
    """Whether `text` is a unit that we know."""
    return unit(text) is not None
