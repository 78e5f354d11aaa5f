"""The Modelfile's template makes the prompts of the chat template, or there is none."""

from pathlib import Path

import pytest

from seallm.base.errors import ModelError
from seallm.export.gguf import MODELFILE, GgufSettings, export_gguf
from seallm.export.ollama import go_template, literal, modelfile, stop_text
from seallm.export.turns import Turns, read_turns
from tests.export.conftest import MakeModel, chat_tokenizer
from tests.export.go_template import render

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are kind.</s>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA2 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'system' %}"
    "{{ '<<SYS>>' + message['content'] + '<</SYS>>' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)
CONVERSATIONS = [
    [("user", "สวัสดี {{ .Role }}")],
    [("system", "Be brief."), ("user", "Hi")],
    [("system", "S"), ("user", "One"), ("assistant", "Two"), ("user", "Three\n\nfour")],
]


@pytest.mark.parametrize("template", [None, CHATML, LLAMA2], ids=["ours", "chatml", "llama-2"])
@pytest.mark.parametrize("kind", ["qwen", "spm-first"])
def test_go_template_is_the_chat_template(kind: str, template: str | None) -> None:
    tokenizer = chat_tokenizer(kind)
    tokenizer.chat_template = template or tokenizer.chat_template
    made = go_template(read_turns(tokenizer, "tiny"))
    for messages in CONVERSATIONS:
        rows = [{"role": role, "content": content} for role, content in messages]
        assert render(made, messages) == tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=True)


def test_our_format_as_text() -> None:
    turns = read_turns(chat_tokenizer("qwen"), "tiny")
    turn = "<|im_start|>{{ .Role }}\n{{ .Content }}</s>"
    whole = f"<s>{{{{ range .Messages }}}}{turn}{{{{ end }}}}<|im_start|>assistant\n"
    assert go_template(turns) == whole
    assert go_template(turns, "<s>") == whole.removeprefix("<s>")


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | length }}{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}",
        "{% for m in messages %}{{ m['role'] + (m['content'] | upper) }}{% endfor %}",
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "{{ m['role'] + m['content'] }}{% endfor %}",
    ],
)
def test_a_template_that_does_more(template: str) -> None:
    tokenizer = chat_tokenizer("qwen")
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match="does more than to put text around each turn"):
        read_turns(tokenizer, "tiny")


def test_not_a_chat_model(make_model: MakeModel, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    folder = make_model()
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="tiny has no chat template: it was not made for conversations"):
        export_gguf(folder, tmp_path / "out", "tiny", GgufSettings(for_ollama=True), None, print)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_ollama(make_model: MakeModel, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    settings = GgufSettings("q8_0", 0.0, compares_output=False, for_ollama=True, system="Be kind.\nBe brief.")
    export_gguf(make_model("llama", "qwen"), tmp_path / "out", "run/sft", settings, "# Card\n", print)
    lines = (tmp_path / "out" / MODELFILE).read_text().splitlines()
    assert lines[0] == "FROM ./run-sft-q8_0.gguf"
    assert 'PARAMETER stop "</s>"' in lines
    assert lines[-2:] == ['SYSTEM """Be kind.', 'Be brief."""']
    assert (tmp_path / "out" / "README.md").read_text() == "# Card\n"


def test_texts_that_need_care() -> None:
    assert render(literal("a {{ b }}"), []) == "a {{ b }}"
    assert stop_text('a"\\\n') == '"a\\"\\\\\\n"'
    turns = Turns("", "", dict.fromkeys(("system", "user", "assistant"), ("", "")), "")
    with pytest.raises(ModelError, match="quotation marks that a Modelfile has no way to write"):
        modelfile("a.gguf", turns, bos=None, stops=[], system='Say """')
