import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.base.records import Conversation, Message, read_preferences, write_conversations
from seallm.base.runtime import Runtime
from seallm.prefer.stage import run
from seallm.recipe import Prefer
from tests.prefer.conftest import CRITERIA, QUESTIONS

SETTINGS = Prefer(
    conversations=["chat.jsonl"],
    answers_per_prompt=4,
    max_new_tokens=6,
    criteria=CRITERIA,
    held_out_share=0.4,
    temperature=1.0,
    top_p=1.0,
)


@pytest.fixture
def context(tmp_path: Path, judge_folder: Path) -> StageContext:
    """Conversations in two languages: right answers "yes" and, so that there is a wrong one, "no"."""
    rows = [
        Conversation((Message("user", question), Message("assistant", "no" if n == 0 else "yes")), "en")
        for n, question in enumerate(QUESTIONS)
    ]
    rows.append(Conversation((Message("user", "ไปกันไหม"), Message("assistant", "ไป")), "th"))
    write_conversations(tmp_path / "chat.jsonl", rows)
    with (tmp_path / "chat.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"messages": [{"role": "user", "content": "hm"}]}\n')
    (tmp_path / "out").mkdir()
    runtime = Runtime(show_progress=False)
    return StageContext(tmp_path / "out", {"model": judge_folder}, ("en", "th"), 3, runtime, tmp_path)


def figures(context: StageContext) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((context.out / "judgements.json").read_text(encoding="utf-8"))
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_model_ranks_its_own_answers(context: StageContext) -> None:
    run(SETTINGS, context)
    halves = {name: read_preferences(context.out / f"{name}.jsonl")[0] for name in ("preferences", "held_out")}
    assert all(halves.values())
    assert not {p.prompt for p in halves["preferences"]} & {p.prompt for p in halves["held_out"]}
    for preference in (*halves["preferences"], *halves["held_out"]):
        if preference.language == "en":
            assert (preference.chosen[0].content, preference.rejected[0].content) == ("yes", "no")
        assert preference.scores["margin"] > 0
    english = figures(context)["languages"]["en"]
    assert (english["prompts"], english["answers"]) == (len(QUESTIONS), 4 * len(QUESTIONS))
    assert english["consistent"] == english["judged"] == english["pairs"] > 0
    assert english["first_position_rate"]["value"] == 0.5
    assert english["longer_chosen_rate"]["value"] == 1
    assert english["dropped"]["same as another"] > 0
    assert english["answers"] - sum(english["dropped"].values()) >= 2 * english["pairs"]  # two good answers a pair


def test_wrong_language_answers_are_dropped(context: StageContext) -> None:
    run(SETTINGS, context)
    thai = figures(context)["languages"]["th"]  # the model knows no Thai and answers in English
    assert thai["prompts"] == 1
    assert thai["dropped"].get("wrong language", 0) > 0
    assert thai["pairs"] == 0
    assert thai["consistency"] is None


def test_the_judge_is_tried_on_known_pairs(context: StageContext) -> None:
    run(SETTINGS, context)
    known = figures(context)["judge_accuracy_on_known_pairs"]
    wrong_for_one_question = len(QUESTIONS) - 1  # the judge prefers yes also where the conversation says no
    assert known["all"]["n"] == len(QUESTIONS)
    assert known["all"]["value"] == wrong_for_one_question / len(QUESTIONS)
    assert known["all"]["low"] < known["all"]["value"] < known["all"]["high"]


def test_bad_rows_are_kept_apart(context: StageContext) -> None:
    run(SETTINGS, context)
    assert figures(context)["conversations_left_out"] == {"malformed": 1}
    lines = (context.out / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert "chat.jsonl:10" in lines[0]


def test_same_seed_same_bytes_and_a_killed_run_goes_on(context: StageContext, tmp_path: Path) -> None:
    run(SETTINGS, context)
    whole = contents(context.out)
    again = replace(context, out=tmp_path / "again")
    again.out.mkdir()
    (again.out / "samples.jsonl").write_bytes(whole["samples.jsonl"])  # killed while judging
    run(SETTINGS, again)
    assert contents(again.out) == whole
    sampled_before = replace(context, out=tmp_path / "marked")
    sampled_before.out.mkdir()
    marked = whole["samples.jsonl"].replace(b'"yes"', b'"nay"')
    (sampled_before.out / "samples.jsonl").write_bytes(marked)
    run(SETTINGS, sampled_before)
    assert contents(sampled_before.out)["samples.jsonl"] == marked  # finished samples are not drawn again
    other = replace(context, out=tmp_path / "other", seed=4)
    other.out.mkdir()
    run(SETTINGS, other)
    assert contents(other.out)["samples.jsonl"] != whole["samples.jsonl"]


def test_prompts_too_long_are_counted(context: StageContext) -> None:
    question = "Shall we go? " * 40
    row = Conversation((Message("user", question), Message("assistant", "yes")), "en")
    write_conversations(context.recipe_folder / "chat.jsonl", [row])
    run(SETTINGS, context)
    assert figures(context)["languages"]["en"]["dropped"] == {"prompt too long": 1}
    assert (context.out / "preferences.jsonl").read_bytes() == b""


def test_no_usable_conversation_is_one_line(context: StageContext) -> None:
    write_conversations(context.recipe_folder / "chat.jsonl", [])
    with pytest.raises(DataError, match=r"no usable conversation in en, th \(0 bad rows\)"):
        run(SETTINGS, context)
    (context.recipe_folder / "chat.jsonl").write_text('{"messages": 3}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"\(1 bad rows, the first: .*chat\.jsonl:1"):
        run(SETTINGS, context)
