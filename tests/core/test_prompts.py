"""Prompts: slots filled once, files that are wrong refused with their name, answers that are cut off unread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megascience_ops.completions import Completion, Image, Request
from megascience_ops.errors import ContractError, Declined, Unparsed
from megascience_ops.prompts import Prompt, prompt, prompts_folder
from megascience_ops.recipe import recipe

MODEL = {"kind": "scripted", "model": "m"}
GOOD = """---
stage: judge
asks: whether it is so
slots: [QUESTION, ANSWER]
sampling: {temperature: 0.0, max_tokens: 100}
---
Is <ANSWER> the answer to <QUESTION>?
"""
ALL = {one.name: one for stage in recipe("textbook_reasoning").stages for one in stage.prompts}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prompt[str]]:
    """A prompt file with this content, bound to these slots."""

    def make(content: str | None, *slots: str) -> Prompt[str]:
        if content is not None:
            (tmp_path / "judge.md").write_text(content, encoding="utf-8")
        monkeypatch.setenv("MEGASCIENCE_PROMPTS", str(tmp_path))
        return prompt("judge", str.strip, *(slots or ("QUESTION", "ANSWER")))

    return make


def message(request: Request) -> str:
    return "".join(part if isinstance(part, str) else "[image]" for part in request.parts)


def completion(text: str, finish_reason: str = "stop", **counts: int) -> Completion:
    return Completion(id="d", row="r", prompt="judge", text=text, finish_reason=finish_reason, model="m", **counts)


def test_prompt_slots_are_filled(load) -> None:
    request = load(GOOD).request({"QUESTION": "2 + 2", "ANSWER": "4"}, {}, MODEL)
    assert message(request) == "Is 4 the answer to 2 + 2?\n"


@given(question=st.text(), answer=st.text())
def test_prompt_slot_that_stands_inside_a_document_is_text(question: str, answer: str) -> None:
    refine = ALL["refine_qa"]
    slots = {
        "DOCUMENT": f"<ANSWER> {question} <QUESTION>",
        "QUESTION": f"{question}<ANSWER>",
        "ANSWER": f"<DOCUMENT>{answer}",
    }
    said = message(refine.request(slots, {}, MODEL))
    for text in slots.values():
        assert text in said
    # Nothing was filled twice: the message is as long as its pieces are.
    unfilled = refine.text
    for name in slots:
        unfilled = unfilled.replace(f"<{name}>", "")
    assert len(said) == len(unfilled) + sum(map(len, slots.values()))


def test_prompt_slot_may_occur_twice(load) -> None:
    twice = load(GOOD.replace("Is <ANSWER>", "<QUESTION> Is <ANSWER>"))
    assert message(twice.request({"QUESTION": "q", "ANSWER": "a"}, {}, MODEL)) == "q Is a the answer to q?\n"


@pytest.mark.parametrize("slots", [{"QUESTION": "q"}, {"QUESTION": "q", "ANSWER": "a", "DOCUMENT": "d"}, {}])
def test_prompt_missing_or_unknown_slot_is_the_stages_bug(slots: dict[str, str], load) -> None:
    with pytest.raises(KeyError, match="judge"):
        load(GOOD).request(slots, {}, MODEL)


@pytest.mark.parametrize(
    "content, slots, said",
    [
        (GOOD, ("QUESTION",), "prompts/judge.md has a slot <ANSWER> that nothing fills"),
        (GOOD, ("QUESTION", "ANSWER", "DOCUMENT"), "prompts/judge.md has no <DOCUMENT>"),
        (GOOD.replace("<QUESTION>", "<QUESTIOM>"), (), "prompts/judge.md has no <QUESTION>"),
        ("Is <ANSWER> the answer to <QUESTION>?", (), "prompts/judge.md does not begin with front matter"),
        (GOOD.replace("asks:", "ask:"), (), "prompts/judge.md: front matter has to have just"),
        (GOOD.replace("stage: judge\n", ""), (), "prompts/judge.md: front matter has to have just"),
        (GOOD.replace("stage: judge", "stage: [judge"), (), "prompts/judge.md"),
        (None, (), "no prompt file judge.md"),
    ],
)
def test_prompt_file_that_is_wrong_is_refused_with_its_name(content: str | None, slots, said: str, load) -> None:
    with pytest.raises(ContractError, match=said.replace("[", r"\[")) as error:
        load(content, *slots)
    assert "\n" not in str(error.value)


def test_prompt_digest_is_of_words_and_sampling(load) -> None:
    base = load(GOOD).digest
    assert load(GOOD.replace("whether it is so", "something else")).digest == base
    assert load(GOOD.replace("Is <ANSWER>", "Is, then, <ANSWER>")).digest != base
    assert load(GOOD.replace("max_tokens: 100", "max_tokens: 200")).digest != base


def test_prompt_image_is_a_part_of_its_own(load) -> None:
    page = load(GOOD.replace("Is <ANSWER> the answer to <QUESTION>?", "Read this:\n<PAGE>\nNow."), "PAGE")
    image = Image(b"\x89PNG one")
    request = page.request({"PAGE": image}, {}, MODEL)
    assert request.parts == ("Read this:\n", image, "\nNow.\n")
    again = page.request({"PAGE": Image(b"\x89PNG one")}, {}, MODEL)
    other = page.request({"PAGE": Image(b"\x89PNG two")}, {}, MODEL)
    assert request.digest == again.digest != other.digest
    assert page.request({"PAGE": image.sha256}, {}, MODEL).digest != request.digest  # a text is no image


def test_prompt_sampling_of_the_configuration_wins(load) -> None:
    request = load(GOOD).request({"QUESTION": "q", "ANSWER": "a"}, {"max_tokens": 7}, MODEL)
    assert request.sampling == {"temperature": 0.0, "max_tokens": 7}


def test_prompt_whole_answer_is_parsed_and_a_cut_one_is_not(load) -> None:
    judge = load(GOOD)
    assert judge.read(completion(" yes ")) == "yes"
    with pytest.raises(Unparsed) as cut:
        judge.read(completion("Decision: YES", "length", completion_tokens=100))
    assert cut.value.reason == "truncated"


@pytest.mark.parametrize("finish_reason", ["declined", "refused", "too_long"])
def test_prompt_answer_that_was_not_given_is_declined(finish_reason: str, load) -> None:
    with pytest.raises(Declined) as error:
        load(GOOD).read(completion("the reason why", finish_reason))
    assert (error.value.reason, error.value.detail) == (finish_reason, "the reason why")


@pytest.mark.parametrize("name", [file.stem for file in sorted(prompts_folder().glob("*.md"))])
def test_prompt_file_belongs_to_a_stage_of_the_recipe_that_asks_it(name: str) -> None:
    import yaml

    front = yaml.safe_load((prompts_folder() / f"{name}.md").read_text(encoding="utf-8").split("---\n")[1])
    assert name in ALL
    asking = [stage.name for stage in recipe("textbook_reasoning").stages if ALL[name] in stage.prompts]
    assert front["stage"] in asking
    assert front["slots"] == list(ALL[name].slots)
    assert front["asks"]
