"""What a model said, read back: one pure function per answer format, and nothing guessed.

The only home of regular expressions over model output. Every reader takes the whole completion and either
returns what it says or raises `Unparsed(reason, detail)`. A completion cut short by its length limit is set
aside before it comes here.
"""

from megascience_ops.parsing.boxes import boxed, reference_answer, solution
from megascience_ops.parsing.brief import brief_decision, brief_decisions, brief_filter_verdict, decisions
from megascience_ops.parsing.equivalence import same_answer
from megascience_ops.parsing.pairs import QuestionAnswer, question_answers, refined
from megascience_ops.parsing.verdicts import BookClass, FilterVerdict, book_class, decision, filter_verdict

__all__ = [
    "BookClass",
    "FilterVerdict",
    "QuestionAnswer",
    "book_class",
    "boxed",
    "brief_decision",
    "brief_decisions",
    "brief_filter_verdict",
    "decision",
    "decisions",
    "filter_verdict",
    "question_answers",
    "reference_answer",
    "refined",
    "same_answer",
    "solution",
]
