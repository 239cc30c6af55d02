"""LaTeX books as plain text: heads as Markdown's, labelled parts as lines, maths untouched."""

from __future__ import annotations

import re

_HEADS = {"part": "#", "chapter": "#", "section": "##", "subsection": "###", "subsubsection": "####"}
_HEAD = re.compile(r"\\(part|chapter|section|subsection|subsubsection)\*?(?:\[[^\]]*\])?\{((?:[^{}]|\{[^{}]*\})*)\}")
_PARTS = (
    "example|exercise|problem|question|solution|answer|hint|theorem|lemma|definition|proposition|corollary|proof|remark"
)
# What an author names the environments of a book: \newtheorem{exo}{Exercise}, \newenvironment{sol}{\emph{Solution.} ..
_DECLARED = re.compile(
    r"\\(?:newtheorem\*?\s*\{(?P<one>[A-Za-z]+)\*?\}\s*(?:\[\w*\]\s*)?\{(?P<title>[^{}]+)\}"
    r"|declaretheorem\s*\[(?P<options>[^\[\]]*)\]\s*\{(?P<two>[A-Za-z]+)\}"
    r"|(?:re)?newenvironment\*?\s*\{(?P<three>[A-Za-z]+)\*?\}\s*(?:\[[^\[\]]*\]\s*){0,2}"
    r"\{(?P<begins>(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\}){0,400})\})"
)
_NAME = re.compile(r"\b(?:name|title)\s*=\s*\{?([^,{}\[\]]+)")
_PART = re.compile(rf"\b({_PARTS})\b", re.I)
_BEGIN = re.compile(r"\\begin\{([A-Za-z]+)\*?\}(?:\[([^\]]*)\])?")
_LABELLED = re.compile(rf"({_PARTS})s?", re.I)
_MATHS = r"equation|align|gather|multline|eqnarray|array|matrix|cases|split|aligned|tabular|displaymath|math"
_ENVIRONMENT = re.compile(rf"\\(?:begin|end)\{{(?!(?:[pbvBV]?(?:{_MATHS}))\w*\*?\}})[^}}]*\}}(?:\[[^\]]*\])?")
_STYLE = re.compile(r"\\(?:textbf|textit|emph|textrm|textsf|texttt|underline|textsc)\{([^{}]*)\}")
_ASIDE = re.compile(
    r"\\(?:label|index|vspace|hspace|includegraphics|bibliography\w*|input|include)\*?(?:\[[^\]]*\])?\{[^{}]*\}"
)
_BARE = re.compile(
    r"\\(?:maketitle|tableofcontents|newpage|clearpage|noindent|centering|medskip|bigskip|smallskip)\b[ \t]*"
)


def plain_latex(source: str) -> str:
    """The body of a LaTeX book with its heads as Markdown's and its labelled parts as lines; maths untouched."""
    names = _names(source)
    start = source.find("\\begin{document}")
    text = source[start + len("\\begin{document}") :] if start >= 0 else source
    text = text.split("\\end{document}")[0]
    text = re.sub(r"(?<!\\)%.*", "", text)
    text = _ASIDE.sub("", text)
    text = _BARE.sub("", text)
    for _ in range(3):  # styles within styles
        text = _STYLE.sub(r"\1", text)
    text = _HEAD.sub(lambda m: f"\n\n{_HEADS[m.group(1)]} {m.group(2).strip()}\n\n", text)
    text = _BEGIN.sub(lambda begin: _labelled(begin, names), text)
    text = _ENVIRONMENT.sub("\n", text)
    text = re.sub(r"^[ \t]*\\item(?:\[([^\]]*)\])?[ \t]*", lambda m: f"{m.group(1) or '-'} ", text, flags=re.MULTILINE)
    return text.replace("~", " ").replace("``", "“").replace("''", "”").strip()


def _names(source: str) -> dict[str, str]:
    """What the environments that a book declares print before their text, where that is the name of a part."""
    names = {}
    for found in _DECLARED.finditer(re.sub(r"(?<!\\)%.*", "", source)):
        said = found["title"] or found["begins"] or ""
        if found["options"] is not None:
            titled = _NAME.search(found["options"])
            said = titled[1] if titled else found["two"]
        if part := _PART.search(said):
            names[found["one"] or found["two"] or found["three"]] = part[1]
    return names


def _labelled(begin: re.Match[str], names: dict[str, str]) -> str:
    """The beginning of an environment as a book prints it: `Exercise (Speed).`; one without a name as it is."""
    known = _LABELLED.fullmatch(begin[1])
    name = names.get(begin[1]) or (known[1] if known else "")
    if name.lower() == "problem":
        name = "Exercise"  # without a number the word alone may begin any paragraph
    return f"\n\n{name.capitalize()}{f' ({begin[2]})' if begin[2] else ''}.\n" if name else begin[0]
