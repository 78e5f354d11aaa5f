"""Chat format: equal to the template on harmless content, proof against control strings, mask on what is answered."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import DataError, ModelError
from seallm.base.records import Message
from seallm.model.chat_format import MARKER, ChatFormat, add_chat_tokens, document_start_id
from tests.model.conftest import TEXT, build_tokenizer

HOSTILE = ["</s>", "<|im_start|>", "<s>", "<unk>", "<|endoftext|>", "<table>", "[user]", "<|im_start|>assistant\n"]
FRAGMENTS = [
    *HOSTILE,
    "<",
    "/s>",
    "<|im_",
    "start|>",
    "|",
    ">",
    "\n",
    " ",
    "ก",
    "ា",
    "▁",
    "<0x0A>",
    "é",
    "🙂",
    "\u200b",
    "a",
]
hostile_text = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), max_size=8).map("".join)
harmless_text = st.lists(
    st.one_of(st.sampled_from([*TEXT, "\n", " ", "?", "ា", "🙂"]), st.text(st.characters(codec="utf-8"), max_size=6)),
    min_size=1,
    max_size=5,
).map("".join)
any_roles = st.lists(st.sampled_from(["user", "assistant", "system"]), min_size=1, max_size=4)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def dialogue(texts: list[str]) -> list[Message]:
    return [Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts)]


def structure(chat: ChatFormat, ids: list[int]) -> list[int]:
    return [i for i in ids if i in chat.plain.control_ids]


@quick
@given(texts=st.lists(harmless_text, min_size=1, max_size=4), is_open=st.booleans())
def test_ids_equal_the_template_on_harmless_content(any_format: ChatFormat, texts: list[str], is_open: bool) -> None:
    messages = [Message("system", "Be kind and brief."), *dialogue(texts)]
    if any(control in text for text in texts for control in any_format.tokenizer.get_added_vocab()):
        return
    rows = [{"role": m.role, "content": m.content} for m in messages]
    theirs = any_format.tokenizer.apply_chat_template(
        rows, tokenize=True, return_dict=False, add_generation_prompt=is_open
    )
    ours = any_format.prompt_ids(messages) if is_open else any_format.encode(messages).ids
    assert ours == theirs


@quick
@given(contents=st.lists(hostile_text, min_size=1, max_size=4), roles=any_roles)
def test_content_never_becomes_a_control_id(any_format: ChatFormat, contents: list[str], roles: list[str]) -> None:
    messages = [Message(role, text) for role, text in zip(roles, contents, strict=False)]
    encoded = any_format.encode(messages)
    expected = [any_format.tokenizer.bos_token_id] + [any_format.marker_id, any_format.end_id] * len(messages)
    assert structure(any_format, encoded.ids) == expected
    assert structure(any_format, any_format.encode_text("".join(contents))) == []
    assert structure(any_format, any_format.answer_ids(contents[0])) == [any_format.end_id]


@quick
@given(text=hostile_text)
def test_hostile_text_survives_the_round_trip(any_format: ChatFormat, text: str) -> None:
    shown = any_format.decode(any_format.answer_ids(text))
    space = "▁"  # SentencePiece writes spaces so, and cannot tell the two apart
    assert shown.replace(space, " ") == text.strip().replace(space, " ") or shown.lstrip(" ") == text.strip().replace(
        space, " "
    ).lstrip(" ")


def test_every_added_token_is_plain_in_content(any_format: ChatFormat) -> None:
    for token in any_format.tokenizer.get_added_vocab():
        for text in (token, f"a{token}b", f"{token}\nassistant\n", token[: len(token) // 2]):
            assert structure(any_format, any_format.encode_text(text)) == []


def test_harmless_plain_text_has_the_tokenizers_own_ids(any_format: ChatFormat) -> None:
    for text in [line for line in TEXT if "<table>" not in line]:
        assert any_format.encode_text(text) == any_format.tokenizer.encode(text, add_special_tokens=False)
        shown = any_format.decode(any_format.encode_text(text))
        assert shown.removeprefix(" ") == text  # GPT-2's prefix space is text to its own decoder, too


def test_decode_equals_the_tokenizers(any_format: ChatFormat) -> None:
    ids = any_format.encode([Message("user", TEXT[2]), Message("assistant", TEXT[5])]).ids
    assert any_format.decode(ids) == any_format.tokenizer.decode(ids, skip_special_tokens=True)


def test_loss_covers_every_assistant_turn_and_its_end(any_format: ChatFormat) -> None:
    messages = [Message("system", "S"), *dialogue(["Hi", "It is 25.", "Why?", "So."])]
    encoded = any_format.encode(messages)
    covered = [i for i, s in zip(encoded.ids, encoded.supervised, strict=True) if s]
    assert covered == any_format.answer_ids("It is 25.") + any_format.answer_ids("So.")
    assert covered.count(any_format.end_id) == 2


def test_prompt_is_a_prefix_of_the_training_ids(any_format: ChatFormat) -> None:
    messages = dialogue(["What is 2 + 3?", "\n It is 5. "])
    prompt = any_format.prompt_ids(messages[:1])
    assert prompt + any_format.answer_ids("It is 5.") == any_format.encode(messages).ids


def test_many_conversations_equal_one_by_one(any_format: ChatFormat) -> None:
    conversations = [dialogue(TEXT[:2]), dialogue(TEXT[2:6]), dialogue([TEXT[6]])]
    assert any_format.encode_many(conversations) == [any_format.encode(c) for c in conversations]


def test_adding_twice_adds_once() -> None:
    tokenizer = build_tokenizer("byte-level")
    assert (add_chat_tokens(tokenizer), add_chat_tokens(tokenizer)) == (1, 0)
    assert tokenizer.convert_tokens_to_ids(MARKER) == len(tokenizer) - 1


def test_beginning_token_that_is_the_end_token_does_not_open_conversations() -> None:
    tokenizer = build_tokenizer("byte-level")
    tokenizer.bos_token = "</s>"
    add_chat_tokens(tokenizer)
    ids = ChatFormat(tokenizer).encode([Message("user", "Hi")]).ids
    assert ids[0] == tokenizer.convert_tokens_to_ids(MARKER)
    assert document_start_id(tokenizer) == tokenizer.eos_token_id


def test_tokenizer_without_end_or_marker_is_refused() -> None:
    tokenizer = build_tokenizer("byte-level")
    with pytest.raises(ModelError, match="no control token"):
        ChatFormat(tokenizer)
    nameless = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(ModelError, match="end-of-sequence"):
        add_chat_tokens(nameless)


def test_half_a_surrogate_pair_is_a_data_error(chat_format: ChatFormat) -> None:
    with pytest.raises(DataError, match=r"U\+D800 at character 2"):
        chat_format.encode([Message("user", "ab\ud800")])
