"""Typesets chapters of a Markdown book as a printed one, so that extraction can be tried on a PDF whose gold is known.

Running heads and feet, numbered sections, exercises at the end of each chapter under the heads of the source, and the
answers at the back of the book or at the end of the chapter, all of them or the odd ones alone. Needs `typst`.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from pathlib import Path

import typst

from gold.markup import Chapter, chapters, example, inner, lettered
from megascience_ops.books.mathml import mathml_replaced

_SPECIAL = re.compile(r"([\\#$*_`<>@~\[\]/=+\-])")
_INLINE = re.compile(r"\*\*(.+?)\*\*|(?<![\w*])\*(\S.*?)\*(?![\w*])|([\^_])\{([^{}]*)\}", re.S)
_IMAGE = re.compile(r'!\[[^\]]*\]\([^()\s]*(?:\s+"((?:[^"\\]|\\.)*)")?\s*\)(?:\{:[^{}]*?#([\w-]+)[^{}]*\})?')
_LINK = re.compile(r"\[\\?\[link\\?\]\]\(#([\w-]+)\)")
_TABLE = re.compile(r"^\|.*\|\s*$\n(?:^\|.*\|\s*$\n?)+", re.M)

_STYLE = """
#set page(paper: "us-letter", margin: (x: 1in, y: 1in), columns: {columns}, header: context {{
  let n = here().page()
  let heads = query(heading.where(level: 1)).filter(it => it.location().page() <= n)
  let name = if heads.len() > 0 {{ heads.last().body }} else {{ [] }}
  if n > 1 {{ text(size: 8pt)[#if calc.even(n) [#n #h(1fr) #name] else [{title} #h(1fr) #n]] }}
}})
#set text(font: "Libertinus Serif", size: 10pt)
#set sub(typographic: false)
#set super(typographic: false)
#set par(justify: true, spacing: 0.9em)
#show heading.where(level: 1): it => {{ pagebreak(weak: true); text(size: 18pt, it.body); v(0.6em) }}
#show heading.where(level: 2): it => block(above: 1.2em, below: 0.8em, text(size: 13pt, it.body))
#show heading.where(level: 3): it => block(above: 1em, below: 0.7em, text(size: 11pt, it.body))
"""


@dataclass
class Press:
    """Turns the source of a book into Typst, and remembers the numbers that figures got."""

    key: str = "back"
    columns: int = 1
    odd: bool = False
    figures: dict[str, str] = field(default_factory=dict)

    def book(self, title: str, chosen: list[Chapter]) -> str:
        """The whole book."""
        for chapter in chosen:
            number = 0
            for section in chapter.sections:
                for found in _IMAGE.finditer("".join(part.source for part in section.parts)):
                    number += 1
                    self.figures[found.group(2) or ""] = f"{chapter.number}.{number}"
        out = [_STYLE.format(columns=self.columns, title=_escaped(title))]
        answers: list[str] = []
        for chapter in chosen:
            body, key = self.chapter(chapter)
            out.append(body)
            if self.key == "chapter" and key:
                out.append("== Answers\n\n" + key)
            elif key:
                answers.append(f"== Chapter {chapter.number}\n\n{key}")
        return "\n\n".join([*out, *(["= Answer Key", *answers] if answers else [])])

    def chapter(self, chapter: Chapter) -> tuple[str, str]:
        """The text of a chapter, its exercises last, and its answers."""
        out = [f"= Chapter {chapter.number} {_escaped(chapter.title)}"]
        examples = 0
        for place, section in enumerate(chapter.sections):
            if place:
                out.append(f"== {chapter.number}.{place} {_escaped(section.title)}")
            for part in section.parts:
                if part.kind == "prose":
                    kept = re.split(r"^#{2,4} +(?:References|Glossary)\b", part.source, flags=re.M)[0]
                    out.append(self.text(kept, {p.head for p in section.parts if p.kind == "exercise"}))
                elif part.kind == "example":
                    examples += 1
                    question, answer = example(part.source)
                    out += [f"*EXAMPLE {chapter.number}.{examples}*", self.text(inner(part.source, "title")),
                            self.text(question), self.text(answer)]  # fmt: skip
        key, number, head = [], 0, ""
        for section in chapter.sections:  # numbers follow the source; heads only group what stands together there
            for part in section.parts:
                if part.kind != "exercise":
                    continue
                number += 1
                if number == 1 or part.head != head:
                    head = part.head or "Exercises"
                    out.append(f"=== {self.line(head)}")
                out.append(f"{number}\\. {self.text(inner(part.source, 'problem'))}")
                answer = self.text(inner(part.source, "solution"))
                if re.search(r"\w", answer) and (number % 2 or not self.odd):
                    key.append(f"{number}\\. {answer}")
        return "\n\n".join(out), "\n\n".join(key)

    def text(self, source: str, without: set[str] | frozenset[str] = frozenset()) -> str:
        """Paragraphs, heads, lists, tables and captions; heads under which nothing is left are dropped."""
        source = html.unescape(mathml_replaced(source))
        source = _IMAGE.sub(self._caption, source)
        source = re.sub(
            r"\[\\?\[link\\?\]\]\(#([\w-]+)\)", lambda m: f"Figure {self.figures.get(m.group(1), 1.1)}", source
        )
        source = re.sub(r"(?<=\S)\n\n+(?=[ ]*[,.;:?!)a-z(])", " ", source)
        source = re.sub(r"<sup[^>]*>([^<>]*)</sup>", r"^{\1}", source)
        source = re.sub(r"<sub[^>]*>([^<>]*)</sub>", r"_{\1}", source)
        source = lettered(source)
        tables: list[str] = []
        source = _TABLE.sub(lambda m: f"\n\n@@{len(tables)}@@\n\n{tables.append(self._table(m.group())) or ''}", source)
        source = re.sub(r"\{[:#][^{}\n]*\}|<[^<>]*>|^\w+=\"[^\"]*\".*$|^\* \* \*$|^\^$", "", source, flags=re.M)
        out = []
        for paragraph in re.split(r"\n\s*\n", source):
            paragraph = paragraph.strip()
            if found := re.fullmatch(r"@@(\d+)@@", paragraph):
                out.append(tables[int(found.group(1))])
            elif found := re.match(r"#{2,4} +(.+)$", paragraph):
                if found.group(1).strip() not in without:
                    out.append(f"=== {self.line(found.group(1))}")
            elif paragraph:
                lines = [self.line(line) for line in re.split(r"\n(?=[*] |\d+\\?\.|[a-hA-H]\. |: )", paragraph)]
                out.append(" \\\n".join(lines))
        return "\n\n".join(out)

    def line(self, text: str) -> str:
        """A paragraph with its emphasis, its raised and its lowered text."""
        text = re.sub(r"\[((?:[^\[\]])*)\](?:\([^()]*\)|\[\d+\])", r"\1", text)
        text = re.sub(r"^[*] +", "• ", re.sub(r"^: +", "", text))
        text = re.sub(r"\\(?=[^\w\s]|_)", "", " ".join(html.unescape(text).split()))
        out, place = [], 0
        for found in _INLINE.finditer(text):
            out.append(_escaped(text[place : found.start()]))
            bold, italic, script, scripted = found.groups()
            if script:
                out.append(f"#{'super' if script == '^' else 'sub'}[{_escaped(scripted)}];")
            else:
                out.append(f"#{'strong' if bold else 'emph'}[{_escaped(bold or italic)}];")
            place = found.end()
        return "".join([*out, _escaped(text[place:])])

    def _caption(self, found: re.Match[str]) -> str:
        caption = re.sub(r"size \d+\{.*?\} *\{\}", "", found.group(1) or "")
        return f"\n\nFigure {self.figures.get(found.group(2) or '', '1.1')} {caption}\n\n"

    def _table(self, source: str) -> str:
        rows = [line.strip().strip("|").split("|") for line in source.strip().splitlines()]
        rows = [row for row in rows if not all(re.fullmatch(r"[\s:=-]*", cell) for cell in row)]
        width = max(len(row) for row in rows)
        cells = [f"[{self.line(cell)}]" for row in rows for cell in (*row, *[""] * (width - len(row)))]
        return f"#table(columns: {width}, stroke: 0.4pt, {', '.join(cells)})"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def typeset(folder: Path, out: Path, numbers: list[int] | None = None, *, key: str = "back", columns: int = 1,
            odd: bool = False) -> list[Chapter]:  # fmt: skip
    """Typeset the chapters of these numbers, all unless named, into the PDF `out`; give the chapters."""
    chosen = [chapter for chapter in chapters(folder) if numbers is None or chapter.number in numbers]
    title = folder.name.split("+")[-1].replace("-book", "").title()
    source = Press(key, columns, odd).book(title, chosen)
    out.with_suffix(".typ").write_text(source, "utf-8")
    typst.compile(str(out.with_suffix(".typ")), output=str(out))
    return chosen
