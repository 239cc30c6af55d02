"""PDFs made wrong on purpose, from sound ones: what storage, other people's programs and hostile people do to a file.

An accident takes the bytes of a PDF and dice, and gives bytes. `mutated` lets one to three of them happen.
"""

from __future__ import annotations

import io
import random
import re
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

CONTENT = b"BT /F1 12 Tf 72 700 Td (Exercise 1. What is the force on a body of 2 kg?) Tj ET "
NUMBERS = [b"0", b"-1", b"99999999", b"2147483647", b"4294967296", b"1e400", b"9" * 40, b"nul", b"1.5", b"<<>>", b"(9)"]
TOKENS = [b"endobj", b"stream", b"endstream", b"trailer", b"%%EOF", b"<<" * 200, b"[" * 2000, b"\x00" * 64, b"\xff" * 9]
FILTERS = ["LZWDecode", "ASCIIHexDecode", "ASCII85Decode", "JBIG2Decode", "CCITTFaxDecode", "DCTDecode", "JPXDecode"]
BOMB = 200_000_000  # bytes, of zeros or spaces: 200 kB in the file

Accident = Callable[[bytes, random.Random], bytes]
Change = Callable[[pikepdf.Pdf, random.Random], None]


def seeds(folder: Path | None = None) -> list[bytes]:
    """A PDF with text, and those of up to 3 MB in a folder, each of these also with bare objects."""
    document = pikepdf.new()
    for _ in range(3):
        page = document.add_blank_page(page_size=(612, 792))
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        page.Resources = Dictionary(Font=Dictionary(F1=font))
        page.Contents = Stream(document, CONTENT * 30)
    found = [_saved(document)]
    for file in sorted(folder.rglob("*.pdf")) if folder else []:
        if file.stat().st_size < 3_000_000:
            content = file.read_bytes()
            found.append(content)
            with suppress(pikepdf.PdfError, pikepdf.PasswordError):  # some are broken as they are
                found.append(_bare(content))
    return found


def mutated(content: bytes, dice: random.Random) -> tuple[bytes, list[str]]:
    """The PDF after one to three accidents, and their names."""
    weights = [1 if name in SLOW else 5 for name in ACCIDENTS]
    happened = dice.choices(list(ACCIDENTS), weights, k=dice.randint(1, 3))
    for name in happened:
        if content:
            content = ACCIDENTS[name](content, dice)
    return content, happened


def flipped(content: bytes, dice: random.Random) -> bytes:
    """Up to fifty bits are others."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 50)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(content: bytes, dice: random.Random) -> bytes:
    """The end is missing, or the beginning, or a piece."""
    at, length = dice.randrange(len(content)), dice.choice([1, 4, 100, 5000])
    return dice.choice([content[:at], content[at:], content[:at] + content[at + length :]])


def strewn(content: bytes, dice: random.Random) -> bytes:
    """Words of the format, noise or a piece of itself stand where they do not belong."""
    at, length = dice.randrange(len(content)), dice.choice([4, 100, 5000])
    piece = dice.choice([*TOKENS, dice.randbytes(length), content[at : at + length], b"\n5 0 obj\n<</Kids[5 0 R]>>\n"])
    return content[:at] + piece + content[at + dice.choice([0, len(piece)]) :]


def misreferred(content: bytes, dice: random.Random) -> bytes:
    """Objects are called by other numbers, and where they begin is not where they are said to."""
    known = [match[1] for match in re.finditer(rb"(\d+) 0 R", content)]
    pattern = dice.choice(
        [rb"\b(\d+)(?= 0 R\b)", rb"\b(\d+)(?= 0 obj\b)", rb"(?<=startxref\n)(\d+)", rb"(\d{10})(?= \d{5} n)"]
    )
    return _some(content, pattern, dice, lambda: dice.choice([*known, *NUMBERS]))


def numbers_lie(content: bytes, dice: random.Random) -> bytes:
    """Counts, lengths, sizes and widths are huge, negative or no numbers."""
    names = (
        rb"Count|Length1?|Size|N|First|Width|Height|BitsPerComponent|Predictor|Columns|FirstChar|LastChar|W|Index|Prev"
    )
    return _some(content, rb"(?<=/)(?:" + names + rb")[ \[]?(-?\d+)", dice, lambda: dice.choice(NUMBERS))


def _some(content: bytes, pattern: bytes, dice: random.Random, other: Callable[[], bytes]) -> bytes:
    """Group 1 replaced in one match, or in a tenth of them."""
    matches = list(re.finditer(pattern, content))
    chosen = dice.sample(matches, min(len(matches), dice.choice([1, 1 + len(matches) // 10])))
    for match in sorted(chosen, key=lambda match: -match.start(1)):
        content = content[: match.start(1)] + other() + content[match.end(1) :]
    return content


def kids_loop(pdf: pikepdf.Pdf, dice: random.Random) -> None:
    """The tree of pages has itself among its branches, or the same page many times."""
    pages = pdf.Root.Pages
    if dice.random() < 0.5:
        pages.Kids = Array([*pages.Kids, pages])
    else:
        pages.Kids = Array([pages.Kids[0]] * dice.choice([2, 5000]))
    pages.Count = dice.choice([0, 1, 5000, 2**31 - 1])


def deep(pdf: pikepdf.Pdf, dice: random.Random) -> None:
    """A page, its content or its parents are nested some hundred or a hundred thousand deep."""
    page, depth = dice.choice(list(pdf.pages)), dice.choice([300, 100_000])
    if dice.random() < 0.5:
        page.Contents = Stream(pdf, dice.choice([b"[", b"<<", b"q ", b"BT ", b"/P BMC ", b"{"]) * depth + CONTENT)
        return
    node = pdf.Root.Pages
    for _ in range(min(depth, 400)):
        node = pdf.make_indirect(Dictionary(Type=Name.Pages, Kids=Array([node]), Count=1))
    pdf.Root.Pages = node


def bomb(pdf: pikepdf.Pdf, dice: random.Random) -> None:
    """What unpacks to a thousand times its size: as content, as a font, as a character map, twice packed."""
    packed, filters = _packed(dice.choice([b" ", b"\x00", b"q ", CONTENT, b"1 0 0 1 0 0 cm "])), [Name.FlateDecode]
    if dice.random() < 0.3:
        packed, filters = zlib.compress(packed, 9), [Name.FlateDecode] * 2
    stream = Stream(pdf, packed)
    stream.Filter = Array(filters)
    page = dice.choice(list(pdf.pages))
    if dice.random() < 0.5:
        page.Contents = stream if dice.random() < 0.7 else Array([stream] * 20)
        return
    for font in _fonts(pdf) or [page.obj]:
        font.ToUnicode = stream
        if "/FontDescriptor" in font:
            font.FontDescriptor.FontFile2 = stream


@cache
def _packed(piece: bytes) -> bytes:
    packer = zlib.compressobj()
    whole = piece * (1_000_000 // len(piece))
    return b"".join(packer.compress(whole) for _ in range(BOMB // len(whole))) + packer.flush()


def drawn_in_itself(pdf: pikepdf.Pdf, dice: random.Random) -> None:
    """A drawing that has itself in it, once or fifty times."""
    form = pdf.make_indirect(Stream(pdf, b"/X Do " * dice.choice([1, 50])))
    form.stream_dict = Dictionary(Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    form.stream_dict.Resources = Dictionary(XObject=Dictionary(X=form))
    page = dice.choice(list(pdf.pages))
    page.Resources = Dictionary(XObject=Dictionary(X=form))
    page.Contents = Stream(pdf, b"/X Do")


def fonts_broken(pdf: pikepdf.Pdf, dice: random.Random) -> None:
    """Character maps, encodings, widths and font files that say nonsense."""
    for font in _fonts(pdf):
        kind = dice.choice(["map", "encoding", "widths", "file", "type", "itself"])
        if kind == "map":
            says = [
                b"1 beginbfrange <00> <FFFFFFFF> <0041> endbfrange",
                b"beginbfchar " + b"<41> <D800> " * 9000,
                dice.randbytes(500),
            ]
            font.ToUnicode = Stream(pdf, dice.choice(says))
        elif kind == "encoding":
            font.Encoding = Dictionary(
                Differences=Array([dice.choice([-5, 2**31 - 1, 65]), Name("/g" * 200), Name("/A")])
            )
        elif kind == "widths":
            font.Widths = Array([dice.choice([0, -(10**9), 10**9])] * 300)
        elif kind == "file" and "/FontDescriptor" in font:
            font.FontDescriptor.FontFile2 = Stream(
                pdf, dice.choice([b"", dice.randbytes(4000), b"\x00\x01\x00\x00" * 999])
            )
        elif kind == "type":
            font.Subtype = dice.choice([Name.Type3, Name.Type0, Name.CIDFontType2, Name.MMType1])
        elif kind == "itself":
            font.DescendantFonts = Array([font])


def boxes_broken(pdf: pikepdf.Pdf, dice: random.Random) -> None:
    """Pages of no size, of a planet's size, turned by seven degrees."""
    for page in dice.sample(list(pdf.pages), min(3, len(pdf.pages))):
        sizes = [[0, 0, 0, 0], [0, 0, 1e9, 1e9], [9, 9, -9, -9], [0, 0, 1e-30, 1e-30], [], [Name.A] * 4]
        page.obj.MediaBox = Array(dice.choice(sizes))
        page.obj.Rotate, page.obj.UserUnit = dice.choice([7, 90, -(2**31)]), dice.choice([0, 1, 10**9])


def packed_otherwise(pdf: pikepdf.Pdf, dice: random.Random) -> None:
    """Streams that say of themselves that they are packed in another way, or a hundred times."""
    for number in dice.sample(range(len(pdf.objects)), min(20, len(pdf.objects))):
        if isinstance(stream := pdf.objects[number], Stream):
            raw = stream.read_raw_bytes()
            stream.write(raw, filter=Array([Name(f"/{dice.choice(FILTERS)}")] * dice.choice([1, 1, 100])))


def locked(content: bytes, dice: random.Random) -> bytes:
    """With a password, without one, or with what only looks like one."""
    if dice.random() < 0.3:
        lock = b"/Encrypt <</Filter/Standard/V %d/R %d/O(x)/U(y)/P -1/Length 99>>" % (
            dice.randint(0, 9),
            dice.randint(0, 9),
        )
        return content.replace(b"/Root", lock + b"/Root")
    method = dice.choice([{"R": 2, "aes": False, "metadata": False}, {"R": 4}, {"R": 6}])
    lock = pikepdf.Encryption(owner="owner", user=dice.choice(["", "user"]), **method)  # type: ignore[arg-type]
    return _changed(content, lambda pdf, dice: None, dice, encryption=lock)


def _fonts(pdf: pikepdf.Pdf) -> list[Dictionary]:
    return [one for one in pdf.objects if isinstance(one, Dictionary) and one.get("/Type") == Name.Font]


def _changed(content: bytes, change: Change, dice: random.Random, **saved: object) -> bytes:
    """The PDF with a change to its objects; as it was, where it is too broken to be changed so."""
    try:
        with warnings.catch_warnings(), pikepdf.open(io.BytesIO(content)) as pdf:
            warnings.simplefilter("ignore")
            change(pdf, dice)
            return _saved(pdf, **saved)
    except (
        pikepdf.PdfError,
        pikepdf.PasswordError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RuntimeError,
    ):
        return content


def _saved(pdf: pikepdf.Pdf, **saved: object) -> bytes:
    sink = io.BytesIO()
    pdf.save(sink, fix_metadata_version=False, **saved)  # type: ignore[arg-type]
    return sink.getvalue()


def _bare(content: bytes) -> bytes:
    """The same PDF with its objects in the open, where an accident can meet them."""
    with warnings.catch_warnings(), pikepdf.open(io.BytesIO(content)) as pdf:
        warnings.simplefilter("ignore")
        return _saved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.disable)


def _of(change: Change) -> Accident:
    return lambda content, dice: _changed(content, change, dice)


ACCIDENTS: dict[str, Accident] = {
    **{one.__name__: one for one in (flipped, cut, strewn, misreferred, numbers_lie, locked)},
    **{one.__name__: _of(one) for one in (kids_loop, deep, bomb, drawn_in_itself)},
    **{one.__name__: _of(one) for one in (fonts_broken, boxes_broken, packed_otherwise)},
}
SLOW = {"bomb", "drawn_in_itself"}  # a fifth as often: what they do is known, and takes all of a reader's time
