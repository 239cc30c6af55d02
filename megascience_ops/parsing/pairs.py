"""Question and answer pairs: as extracted from a passage, and as refined."""

import re
from dataclasses import dataclass

from megascience_ops.errors import Unparsed
from megascience_ops.parsing.boxes import boxed, without_empty_boxes
from megascience_ops.parsing.labels import RULE, Section, quoted, sections, spoken

_NO_PAIRS = re.compile(r"^[ \t>#*_`-]*+(?:\[NO[ _]QA\]|NO QA[ \t.*_`]*+$)", re.MULTILINE | re.IGNORECASE)
_NO_PAIRS_AT_END = re.compile(r"(?:^|\n)[ \t>#*_`-]*+\[NO[ _]QA\][ \t.*_`]*+$", re.IGNORECASE)
_NO_ANSWER = re.compile(r"[*_`\"']*+(?:\[NO[ _](?:ANSWER|QA)\]|(?-i:NO ANSWER)[*_.`\"']*+$)", re.IGNORECASE)
_ANSWER_INSIDE = re.compile(r"(?<=[ \t])[*_]{0,3}Answer[*_]{0,3}[:：]")
_PLACEHOLDER = re.compile(r"\.{3}|…|[<\[{(][^<>\[\]{}()\n]*(?:question|answer|refined)[^<>\[\]{}()\n]*[>\]})]", re.I)
_BLANK_LINES = re.compile(r"(\n(?:[ \t]*\n)+)")
_NOTE = re.compile(r"[ \t>#*_]{0,8}Notes?(?:[ \t]\d{1,2})?[*_]{0,3}[:：]", re.IGNORECASE)
_NOTE_IN_BRACKETS = re.compile(r"[*_]{0,3}[(\[][*_]{0,3}Note[*_]{0,3}[:：]", re.IGNORECASE)


@dataclass(frozen=True)
class QuestionAnswer:
    """A question with its answer; `answer` is None where the passage prints none."""

    question: str
    answer: str | None


def question_answers(text: str) -> list[QuestionAnswer]:
    """Every pair that was extracted, in order; `[]` for `[NO QA]`.

    An answer belongs to the question above it, or to the one that has its number. Raises `Unparsed`:
    `no_question`, `empty_question`, `answers_out_of_order`, `answer_inside_question`, `empty`, `unfinished`.
    """
    text = spoken(text)
    found = sections(text, "question", "answer", numbered=True)
    if not any(section.name == "question" for section in found):
        if not found and _NO_PAIRS.search(text):
            return []
        raise Unparsed("no_question", quoted(text))
    questions: list[Section] = []
    answers: dict[int, str] = {}  # by position of the question
    for section in found:
        if section.name == "question":
            questions.append(section)
        else:
            _place(section, questions, answers)
    return [_pair(question, answers.get(at)) for at, question in enumerate(questions)]


def refined(text: str) -> QuestionAnswer:
    """The last `Refined Question:` and the last `Refined Answer:` below it, less empty boxes and late notes.

    Raises `Unparsed`: `no_refined_question`, `no_refined_answer`, `empty_question`, `empty_answer`,
    `placeholder`, `empty`, `unfinished`.
    """
    found = sections(spoken(text), "refined question", "refined answer")
    at = max((i for i, section in enumerate(found) if section.name == "refined question"), default=None)
    if at is None:
        raise Unparsed("no_refined_question", "no line starts with Refined Question:")
    if at + 1 == len(found):
        raise Unparsed("no_refined_answer", "no Refined Answer: below the last Refined Question:")
    question, answer = found[at].text, without_closing_notes(without_empty_boxes(found[-1].text))
    for name, value in (("question", question), ("answer", answer)):
        if not value.strip():
            raise Unparsed(f"empty_{name}", f"nothing is said after Refined {name.title()}:")
        if _PLACEHOLDER.fullmatch(value):
            raise Unparsed("placeholder", quoted(value))
    return QuestionAnswer(question, answer)


def without_closing_notes(answer: str) -> str:
    """`answer` without the paragraphs at its very end that start with `Note:`, and a `(Note: ...)` there.

    A note that holds the only box, or is all there is, stays.
    """
    parts = _BLANK_LINES.split(answer.rstrip())  # paragraph, blank lines, paragraph, ...
    while parts:
        last = parts[-1]
        start = _note(last)
        if start is None or boxed(last[start:]) is not None or (start == 0 and len(parts) == 1):
            break
        if start:
            parts[-1] = last[:start].rstrip()
            continue
        del parts[-2:]
        while len(parts) > 1 and RULE.fullmatch(parts[-1]):
            del parts[-2:]
    return "".join(parts)


def _note(paragraph: str) -> int | None:
    """Where the note starts that a paragraph is, or ends with; None when there is none."""
    for start in (0, paragraph.rfind("\n") + 1):
        if _NOTE.match(paragraph, start):
            return start
    return _bracketed_note(paragraph)


def _bracketed_note(paragraph: str) -> int | None:
    """Where a `(Note: ...)` starts whose closing bracket ends the paragraph; None when there is none."""
    end = paragraph.rstrip("*_ \t")
    starts = [m.start() for m in _NOTE_IN_BRACKETS.finditer(end)]
    if not starts or end[-1:] not in (")", "]"):
        return None
    inside = end[starts[-1] :].lstrip("*_")
    depth = 0
    for at, char in enumerate(inside):
        depth += (char in "([") - (char in ")]")
        if depth == 0:
            return starts[-1] if at == len(inside) - 1 else None
    return None


def _place(answer: Section, questions: list[Section], answers: dict[int, str]) -> None:
    """Put an answer under the question it belongs to."""
    at = len(questions) - 1
    if at < 0:
        raise Unparsed("answers_out_of_order", "an answer stands before every question")
    if answer.number is not None and questions[at].number != answer.number:
        same = [i for i, question in enumerate(questions) if question.number == answer.number]
        if not same and questions[at].number is not None:
            raise Unparsed("answers_out_of_order", f"there is no question {answer.number} above its answer")
        at = same[-1] if same else at
    if at not in answers:
        answers[at] = answer.text
    elif len(answers) == len(questions):
        answers[at] = f"{answers[at]}\nAnswer: {answer.text}"  # a line of the same answer, as it was said
    else:
        raise Unparsed("answers_out_of_order", "two answers follow a question, and another has none")


def _pair(question: Section, answer: str | None) -> QuestionAnswer:
    asked = _without_marker(question.text)
    if not asked or asked in ("...", "…"):
        raise Unparsed("empty_question", "nothing is said after Question:")
    if answer is None and _ANSWER_INSIDE.search(asked):
        raise Unparsed("answer_inside_question", quoted(asked))
    if answer is not None:
        answer = "" if _NO_ANSWER.match(answer) else _without_marker(answer)
    return QuestionAnswer(asked, answer or None)


def _without_marker(text: str) -> str:
    """`text` without a `[NO QA]` that stands below it."""
    return _NO_PAIRS_AT_END.sub("", text).strip()
