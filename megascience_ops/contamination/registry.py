"""The benchmarks we know: their files, where the question stands in a row, and what is peculiar about them."""

from __future__ import annotations

from dataclasses import dataclass

SEE_SOURCE = "see source"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark file we know: `key` leads to the question in a row, `examples[0].input` into a nested one.

    `files` are the names it goes by; upper and lower case are the same, and so are .json and .jsonl. `options` lead
    to the options of a multiple-choice question: to one text each, or to a list or an object of them. `quirks` says
    what is peculiar about the file as it is published, for whoever reads a certificate.
    """

    name: str
    files: tuple[str, ...]
    key: str
    family: str
    licence: str = SEE_SOURCE
    options: tuple[str, ...] = ()
    quirks: str = ""


BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark("mmlu", ("mmlu.json",), "question", "MMLU", "MIT", options=("choices",)),
    Benchmark("mmlu_pro", ("mmlu_pro.json", "mmlu-pro.json"), "question", "MMLU-Pro", options=("options",)),
    Benchmark(
        "gpqa_diamond",
        ("gpqa_diamond.json",),
        "Question",
        "GPQA",
        "CC-BY-4.0",
        options=("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
        quirks="asks not to be published in plain text; part of gpqa_main",
    ),
    Benchmark(
        "gpqa_main",
        ("gpqa_main.json",),
        "Question",
        "GPQA",
        "CC-BY-4.0",
        options=("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
        quirks="asks not to be published in plain text",
    ),
    Benchmark(
        "super_gpqa", ("super_gpqa.json", "supergpqa.json"), "question", "SuperGPQA", "ODC-BY", options=("options",)
    ),
    Benchmark("gsm8k", ("gsm8k.jsonl",), "question", "GSM8K", "MIT"),
    Benchmark("math", ("math.jsonl",), "problem", "MATH", "MIT"),
    Benchmark("math500", ("math500.jsonl", "math-500.jsonl"), "problem", "MATH", "MIT", quirks="part of math"),
    Benchmark(
        "chembench_multi_choise",
        ("chembench_multi_choise.json", "chembench-multi-choise.json", "chembench_multi_choice.json"),
        "examples[0].input",
        "ChemBench",
        "MIT",
        options=("examples[0].target_scores",),
        quirks="one question stands 1001 times with other options; \\b for \\\\b",
    ),
    Benchmark(
        "chembench_str_match",
        ("chembench_str_match.json", "chembench-str-match.json"),
        "examples[0].input",
        "ChemBench",
        "MIT",
        quirks="\\f for \\\\f",
    ),
    Benchmark(
        "cs_bench_assertion",
        ("cs_bench_assertion.json", "cs-bench-assertion.json"),
        "Question",
        "CS-Bench",
        quirks="statements, not questions",
    ),
    Benchmark(
        "cs_bench_multiple_choice",
        ("cs_bench_multiple_choice.json", "cs-bench-multiple-choice.json"),
        "Question",
        "CS-Bench",
        options=("A", "B", "C", "D"),
        quirks="blanks written ( )",
    ),
    Benchmark("medqa_us", ("medqa_us.jsonl", "medqa-us.jsonl"), "question", "MedQA", "MIT", options=("options",)),
    Benchmark(
        "medmcqa",
        ("medmcqa.json",),
        "question",
        "MedMCQA",
        options=("opa", "opb", "opc", "opd"),
        quirks="stems of two words, such as Mode is",
    ),
    Benchmark("pubmedqa", ("pubmedqa.json",), "question", "PubMedQA", "MIT"),
    Benchmark(
        "newton_confident_questions",
        ("newton_confident_questions.json", "newton-confident.json"),
        "question",
        "NEWTON",
        options=("option_1", "option_2", "option_3"),
        quirks="one sentence for hundreds of objects",
    ),
    Benchmark(
        "newton_explicit_questions_bool",
        ("newton_explicit_questions_bool.json", "newton-explicit-bool.json"),
        "question",
        "NEWTON",
    ),
    Benchmark(
        "newton_explicit_questions_mc",
        ("newton_explicit_questions_mc.json", "newton-explicit-mc.json"),
        "question",
        "NEWTON",
    ),
    Benchmark(
        "newton_implicit_questions",
        ("newton_implicit_questions.json", "newton-implicit.json"),
        "question",
        "NEWTON",
    ),
    Benchmark(
        "piqa",
        ("piqa_valid.json", "piqa.json"),
        "goal",
        "PIQA",
        options=("sol1", "sol2"),
        quirks="goals of one word, such as pen",
    ),
    Benchmark(
        "scibench_physics",
        ("scibench_physics.json", "scibench-physics.json"),
        "problem_text",
        "SciBench",
        quirks="CRLF inside texts",
    ),
    Benchmark(
        "scibench_chemistry",
        ("scibench_chemistry.json", "scibench-chemistry.json"),
        "problem_text",
        "SciBench",
        quirks="CRLF inside texts",
    ),
    Benchmark(
        "scibench_math",
        ("scibench_math.json", "scibench-math.json"),
        "problem_text",
        "SciBench",
        quirks="CRLF inside texts",
    ),
)
