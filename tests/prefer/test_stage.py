import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.base.records import Conversation, Message, read_preferences, write_conversations
from seallm.base.runtime import Runtime
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import new_llama, save_model
from seallm.prefer import judging, sampling
from seallm.prefer.stage import run
from seallm.recipe import Prefer
from tests.prefer.conftest import CRITERIA, QUESTIONS

SETTINGS = Prefer(
    conversations=["chat.jsonl"],
    answers_per_prompt=4,
    max_new_tokens=6,
    criteria=CRITERIA,
    held_out_share=0.4,
    temperatures=[1.0],
    top_p=1.0,
    judge="verdict",
    min_margin=0.0,
    min_pairs=0,
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


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


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
    assert figures(context)["criteria"] == CRITERIA
    assert english["kept"] == english["consistent"] == english["judged"] == english["pairs"] > 0
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
    for name in ("samples.jsonl", "sampled_with.json"):
        (again.out / name).write_bytes(whole[name])  # killed while judging
    run(SETTINGS, again)
    assert contents(again.out) == whole
    sampled_before = replace(context, out=tmp_path / "marked")
    sampled_before.out.mkdir()
    marked = whole["samples.jsonl"].replace(b'"yes"', b'"nay"')
    (sampled_before.out / "samples.jsonl").write_bytes(marked)
    (sampled_before.out / "sampled_with.json").write_bytes(whole["sampled_with.json"])
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


def test_killed_between_parts_it_goes_on(
    context: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "PROMPTS_AT_ONCE", 3)
    monkeypatch.setattr(judging, "PAIRS_AT_ONCE", 4)
    run(SETTINGS, context)
    whole = contents(context.out)
    assert "parts" not in whole
    stopped = replace(context, out=tmp_path / "stopped")
    stopped.out.mkdir()
    for _ in range(12):  # each time a part or two further
        monkeypatch.setattr(judging, "write_json_lines", failing(judging.write_json_lines))
        monkeypatch.setattr(sampling, "write_json_lines", failing(sampling.write_json_lines))
        with contextlib.suppress(KeyboardInterrupt):
            run(SETTINGS, stopped)
            break
        monkeypatch.undo()
        monkeypatch.setattr(sampling, "PROMPTS_AT_ONCE", 3)
        monkeypatch.setattr(judging, "PAIRS_AT_ONCE", 4)
    assert contents(stopped.out) == whole


def failing(write: Callable[..., None]) -> Callable[..., None]:
    """The second write is interrupted."""
    calls = itertools.count()

    def call(*arguments: Any) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        write(*arguments)

    return call


def test_other_judge_settings_need_no_new_answers(context: StageContext, tmp_path: Path) -> None:
    run(SETTINGS, context)
    again = replace(context, out=context.out.with_name("out.partial"))
    again.out.mkdir()
    marked = (context.out / "samples.jsonl").read_bytes().replace(b'"yes"', b'"nay"')
    (context.out / "samples.jsonl").write_bytes(marked)
    run(SETTINGS.model_copy(update={"criteria": "short"}), again)
    assert (again.out / "samples.jsonl").read_bytes() == marked
    other = replace(context, out=tmp_path / "other.partial")
    other.out.mkdir()
    run(SETTINGS.model_copy(update={"max_new_tokens": 5}), other)
    assert (other.out / "samples.jsonl").read_bytes() != marked


def test_temperatures_system_prompts_and_weaker_models(context: StageContext, tmp_path: Path, chat: ChatFormat) -> None:
    model = new_llama(len(chat.tokenizer), hidden_size=16, layers=1, heads=2, max_sequence_tokens=160, seed=9)
    save_model(tmp_path / "weak" / "model", model, chat.tokenizer)
    inputs = {**context.inputs, "sft": tmp_path / "weak", "hybrid": context.inputs["model"]}
    changes = {
        "temperatures": [0.5, 1.0],
        "system_prompts": ["", "Say yes.", "language"],
        "weaker_models": ["sft", "hybrid"],
        "reason_tokens": 4,
    }
    run(SETTINGS.model_copy(update=changes), replace(context, inputs=inputs))
    samples = rows(context.out / "samples.jsonl")
    assert {tuple(a["by"] for a in s["answers"]) for s in samples} == {("self",) * 4 + ("sft",)}
    pairs = [row for row in rows(context.out / "pairs.jsonl") if row["kind"] == "own"]
    assert all("self" in row["by"] for row in pairs)
    kept = [row for row in pairs if row["outcome"] in ("first", "second")]
    assert kept
    assert any(row.get("reason") for row in kept)
    assert not any("reason" in row for row in pairs if row not in kept)


def test_the_likelihood_judge_needs_no_words(context: StageContext) -> None:
    run(SETTINGS.model_copy(update={"judge": "likelihood", "min_margin": None, "wanted_accuracy": 0.5}), context)
    found = figures(context)
    assert found["all"]["first_position_rate"] is None
    assert found["all"]["inconsistent"] == 0
    assert found["wanted_accuracy_reached"] in (True, False)
    own = [row for row in rows(context.out / "pairs.jsonl") if row["kind"] == "own"]
    assert all(set(row["scores"]) == {"fluency", "relevance"} for row in own)


def test_pairs_of_people_are_judged_too(context: StageContext) -> None:
    answers = {"chosen": "yes", "rejected": "no"}
    gold = [{"prompt": question, **answers, "language": "en"} for question in QUESTIONS]
    gold.append({"prompt": "ໄປບໍ?", **answers, "language": "lo"})
    path = context.recipe_folder / "gold.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in gold), encoding="utf-8")
    run(SETTINGS.model_copy(update={"gold": ["gold.jsonl"]}), context)
    assert context.counts["gold"] == {"used": len(QUESTIONS), "malformed": 0, "other languages": 1}
    agreement = figures(context)["agreement_with_people"]
    assert (agreement["all"]["value"], agreement["all"]["n"]) == (1.0, len(QUESTIONS))
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"gold \(gold.jsonl, ...\) holds no usable pair in en, th; the first bad row"):
        run(SETTINGS.model_copy(update={"gold": ["gold.jsonl"]}), context)


def test_too_few_pairs_are_one_line(context: StageContext) -> None:
    with pytest.raises(DataError, match=r"0 pairs to train on came out, fewer than min_pairs = 1: of \d+ answers"):
        run(SETTINGS.model_copy(update={"min_margin": 1e6, "min_pairs": 1}), context)
    assert figures(context)["all"]["unsure"] > 0  # what is needed to see why lies there


def test_rounds_take_turns_at_the_prompts(context: StageContext, tmp_path: Path) -> None:
    few = SETTINGS.model_copy(update={"max_prompts": 3})
    asked = []
    for number in (1, 2):
        here = replace(context, out=tmp_path / str(number), round_number=number)
        here.out.mkdir()
        run(few, here)
        asked.append({row["prompt"][0]["content"] for row in rows(here.out / "samples.jsonl")})
    assert len(asked[0] | asked[1]) == 6


def test_the_output_is_what_trl_reads(context: StageContext) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    run(SETTINGS, context)
    rows_read = datasets.Dataset.from_json(str(context.out / "preferences.jsonl"), cache_dir=str(context.out / "cache"))
    assert {"prompt", "chosen", "rejected"} <= set(rows_read.column_names)
    assert [list(turn) for turn in rows_read[0]["chosen"]] == [["role", "content"]]
    assert rows_read[0]["chosen"][0]["role"] == "assistant"
