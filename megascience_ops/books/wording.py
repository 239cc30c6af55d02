"""The wording of a question and its answer: made tidy, looked over for damage, its options taken apart."""

from __future__ import annotations

import re

from megascience_ops.books import labels

_FRACTION = re.compile(r"/\( ?_\{((?:[^{}]|\{[^{}]*\})*)\}\)")
_SPLIT_NUMBER = re.compile(
    r"(?<![\d.])(\d{1,3})\s?\.\s(\d{1,4})(?=\s?(?:×|[º°%]|(?:k|c|m|n|µ|μ|M)?(?:m|s|g|N|J|W|V|A|Pa|Hz|mol|L|rad)\b))"
)
# `v (2)/(0)`: a square over an index, read as a fraction; nobody prints the fractions 2/0, 2/1 or 2/i after a letter.
_STACK = re.compile(r"(?<![A-Za-z])([A-Za-zµω]) \(([2-4])\)/\((0|1|[ifxyzn]|0[xyz])\)")
# A line of its own below or above others: "Figure 3.1", "Figure 3.1 Two blocks", not "Figure 3.1 shows two blocks".
_CAPTION_LINE = re.compile(
    r"\n(?:Figure|Fig\.)\s+\d[\d.\-]*+(?:$|\s+[A-Z(“][^?\n]*$)|\A(?:Figure|Fig\.)\s+\d[\d.\-]*+\n", re.M
)
_RULE = re.compile(r"\s*\*(?: \*){2,}\s*")  # `* * *`, a line drawn by whoever converted the book
_TAG = re.compile(
    r"^(?:integrated concepts?|professional applications?|unreasonable results?|challenge(?: problems?)?"
    r"|critical thinking)[:.]?\s+(?=[A-Z(])",
    re.I,
)
_POINTER = re.compile(
    r"\s{0,3}\((?:see|as (?:seen|shown) in|refer to)\s+"
    r"(?:Figure|Fig\.|Table|Section|Chapter|Appendix|Example|Equation|Eq\.)[^()]*(?:\([a-z\d]\)[^()]*)?\)",
    re.I,
)
_NEXT_HEAD = re.compile(r"(?<=[.?!])\n\n[A-Z][^\W\d_]+(?: [^\W\d_]+){1,6}\s*\Z")
_GARBAGE = re.compile(r"[\ufffd\ue000-\uf8ff\x00-\x08\x0b\x0e-\x1f]|[®¬Í](?=\s|$)|size \d+\{|rSub|rSup")
_BROKEN = re.compile(
    r"[_^]\{[^{}]*[_^]\{[^{}]*[_^]\{"  # a script of a script of a script
    r"|[_^]\{[)(\]]\s*\}"  # half a bracket
    r"|^\s*[√±=]+\s*$|\n\s*[_^]\{"  # a root or a sign alone, a script with nothing before it
    r"|\b[A-Za-z] \([2-9]\)/\(\w{1,2}\)"  # an exponent over an index, read as a fraction
    r"|_\{\w+ [mskN]\}|\^\{[^{}]{0,60}[A-Za-z]{4}[^{}]{0,60}\}"  # the halves of a fraction, read as scripts
    r"|(?:\b[a-zA-Z] \d(?=\s|$)[^\n]{0,12}){4}",  # p 2 = m 2 v 2: exponents that came down
    re.M,
)
_DANGLING = re.compile(
    r"(?:=|≈|:|,|\b(?:gives|yields|is|are|was|be|the|of|and|where|by|to|for|that|with|from|than))\s*$"
    r"|(?:^|(?<!part)(?<!parts)(?<!and)\s)\(?[a-h]\)\s*(?:$|\(?[a-h]\))|\([a-h] \("
)
# A branch of a tree of probabilities, as it comes out of a drawing: `yes, 0.8`, `0.1*0.8 = 0.08 no, 0.9`
_BRANCH = re.compile(r"^.{0,50}\b[A-Za-z]+, [01]?\.\d+$", re.M)
BRANCHES = 3
_NO_ANSWER = re.compile(
    r"(?:answers?|solutions?|discussion)\W*$"
    r"|(?:student |sample |individual )?(?:answers?|results?|responses?) (?:will|may|can)? ?var(?:y|ies)\b"
    r"|see (?:the )?(?:figure|graph|text)\W*$",
    re.I,
)


def tidy_question(text: str) -> str:
    """Give a question without what the page put round it: stray marks, a series title, the head of what follows."""
    return _NEXT_HEAD.sub("", _TAG.sub("", _tidy(text)))


def tidy_answer(text: str, question: str) -> str:
    """Give an answer tidied in the same way; a letter that names an option of `question` is followed by its text."""
    answer = _POINTER.sub("", _tidy(text))
    letter = re.fullmatch(r"\(?([A-Ha-h])\)?[.)]?", answer)
    options = options_of(question)
    if letter and letter.group(1).upper() in options:
        choice = letter.group(1).upper()
        return f"{choice}. {options[choice]}"
    if answer in ("T", "F") and not options:
        return {"T": "True", "F": "False"}[answer]
    return answer


def damage(question: str, answer: str | None) -> str | None:
    """Say why a pair is no use as it was read: `glyph_garbage`, `broken_mathematics`, `figure_text`,
    `no_question`, `no_answer`, `incomplete_answer`; None when nothing is wrong with it."""
    text = f"{question}\n{answer or ''}"
    if _GARBAGE.search(text):
        return "glyph_garbage"
    lines = [line for line in text.split("\n") if line.strip() and not labels.option(line.strip())]
    short = sum(len(line.strip()) <= 6 for line in lines)
    if len(lines) >= 6 and short > 0.34 * len(lines):
        return "broken_mathematics"
    if _BROKEN.search(text):
        return "broken_mathematics"
    if len(_BRANCH.findall(text)) >= BRANCHES:
        return "figure_text"
    if len(question.split()) < 4 or len(re.findall(r"[^\W\d_]{2,}", question)) < 3:
        return "no_question"
    if answer is not None and (not re.search(r"\w", answer) or _NO_ANSWER.match(answer)):
        return "no_answer"
    if answer is not None and _DANGLING.search(answer):
        return "incomplete_answer"
    return None


def _tidy(text: str) -> str:
    text = _SPLIT_NUMBER.sub(r"\1.\2", _FRACTION.sub(r"/(\1)", text.strip()))
    text = _CAPTION_LINE.sub("", text) if not _CAPTION_LINE.fullmatch(text) else text
    text = _RULE.sub("\n", _STACK.sub(r"\1_{\3}^{\2}", text))
    text = re.sub(r"(?:\s{1,3}|^)[“\"]\)(?=\s|$)|\*{2,}", "", text)
    return "\n\n".join(part for part in text.split("\n\n") if re.search(r"\w", part)).strip()


def options_of(question: str) -> dict[str, str]:
    """Give the options of a multiple-choice question by letter; empty when it has none."""
    marks = list(re.finditer(r"(?:^|\n|\s)\(?([A-Ha-h])[.)]\s+(?=\S)", question))[:80]
    best: list[re.Match[str]] = []
    for start, mark in enumerate(marks):
        if mark.group(1).upper() != "A":
            continue
        run = [mark]
        for later in marks[start + 1 :]:
            if ord(later.group(1)) == ord(run[-1].group(1)) + 1:
                run.append(later)
        best = run if len(run) > len(best) else best
    if len(best) < 2:
        return {}
    ends = [mark.start() for mark in best[1:]] + [len(question)]
    texts = {m.group(1).upper(): question[m.end() : end].strip() for m, end in zip(best, ends, strict=True)}
    # Parts of a question look the same: options are short, none of them asks, and two in small letters are no choice.
    if best[0].group(1) == "a" and len(texts) < 3:
        return {}
    asks = any(
        text.endswith("?") or re.match(r"(?:What|How|Find|Calculate|Show|Determine|Explain|Compute)\b", text)
        for text in texts.values()
    )
    return {} if asks or max(len(text) for text in texts.values()) > 250 else texts
