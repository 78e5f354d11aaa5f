"""The terminal chat: commands, several lines, pipes, narrow terminals; one real process on a terminal of its own."""

import fcntl
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError, ModelError
from seallm.base.records import Message
from seallm.model.generation import SamplingSettings
from seallm.serve.commands import HELP
from seallm.serve.dialogue import Dialogue
from seallm.serve.engine import Engine
from seallm.serve.requests import PromptTooLong
from seallm.serve.system_prompt import served_policy
from seallm.serve.terminal import ChatSettings, chat
from seallm.serve.typing_lines import assembled, remembered
from seallm.serve.wrapping import Wrapped
from tests.serve.small_model import ANSWERS

SIZE = SamplingSettings(max_new_tokens=100, temperature=0.0)


def identify(text: str) -> str | None:
    return "th" if text == ANSWERS["สวัสดี"] else None


def chat_here(run: Path, settings: ChatSettings | None = None) -> None:
    chat(run, settings or ChatSettings(SIZE), identify)


def pipe(lines: list[str], run: Path, monkeypatch: pytest.MonkeyPatch, settings: ChatSettings | None = None) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    chat_here(run, settings)


def test_through_a_pipe(small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["Count", "", "/help", "/nonsense", "/reset", "สวัสดี", "/lang", "/reset", "Escape"]
    pipe([*lines, "/system Be kind.", "/system", "word " * 600], small_run, monkeypatch)
    output, notices = capsys.readouterr()
    # the answers and nothing else, with what a terminal would obey made harmless
    escaped = ANSWERS["Escape"].replace("\x1b", "\ufffd").replace("\x07", "\ufffd")
    assert output == f"{ANSWERS['Count']}\n{ANSWERS['สวัสดี']}\n{escaped}\n"
    assert notices.count(HELP) == 2
    assert "there is no /nonsense" in notices
    assert notices.count("the conversation is forgotten") == 2
    assert "new system prompt\nBe kind." in notices
    assert "the last answer is in Thai" in notices
    assert "512 positions" in notices  # the last message does not fit, and is told


def test_answering_again_keeping_and_taking_up(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, broken = tmp_path / "kept.json", tmp_path / "broken.json"
    broken.write_text('{"messages": [{"role": "assistant", "content": "Hi"}]}')
    lines = ["/retry", "/save", f"/save {kept}", "Count", "/retry", f"/save {kept}", f"/save {tmp_path}/no/where.json"]
    lines += ["/reset", f"/load {broken}", f"/load {tmp_path}/nowhere", f"/load {tmp_path}", f"/load {kept}", "/retry"]
    pipe([*lines, "/exit", "Count"], small_run, monkeypatch, ChatSettings(SIZE, seed=3))
    output, notices = capsys.readouterr()
    assert output == f"{ANSWERS['Count']}\n" * 3
    record = json.loads(kept.read_text())
    assert [m["content"] for m in record["messages"]] == ["Count", ANSWERS["Count"]]
    assert record["model"] == "small/sft"
    expected = ["nothing was asked yet", "needs the name of a file", "nothing to keep", "kept in", "in turn"]
    for text in [*expected, "does not exist", "cannot be read", "2 turns"]:
        assert text in notices


def test_policies_and_languages(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(
        json.dumps({"messages": [{"role": r, "content": r} for r in ("user", "assistant")], "policy": "lo"})
    )
    lines = ["/lang", "/lang xx", "/lang th", "/lang auto", "/policy", "/policy nowhere", "/policy default"]
    pipe([*lines, f"/load {kept}", "/lang", "/policy none"], small_run, monkeypatch, ChatSettings(SIZE, policy="th"))
    output, notices = capsys.readouterr()
    assert output == ""
    expected = ["nothing was answered yet", "there is no language xx", "system prompt in Thai", "policy: th; there are"]
    expected += ["There is no policy pack 'nowhere'", "policy default: 10 languages", "held under the policy lo"]
    for text in [*expected, "not certain", "no policy"]:
        assert text in notices


def test_what_policy_and_language_send(shared_engine: Engine) -> None:
    dialogue = Dialogue(shared_engine, "Be brief.", [Message("user", "Hello")])
    assert dialogue.messages() == [Message("system", "Be brief."), Message("user", "Hello")]
    dialogue.language = "th"
    assert "ผู้ช่วย" in dialogue.messages()[0].content
    dialogue.policy = served_policy("default")
    assert dialogue.messages()[0].content == f"{dialogue.policy.prompts['th']}\n\nBe brief."
    dialogue.language = None
    assert dialogue.messages()[0].content == f"{dialogue.policy.prompts['en']}\n\nBe brief."


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a", " ", "b \n"], ["a", "b"]),
        (["a\\", "b\\", "c", "d"], ["a\nb\nc", "d"]),
        (["a\\"], ["a"]),
        (['"""', "a", "", "/b\n", '"""', "c"], ["a\n\n/b", "c"]),
        (['"""', "a"], ["a"]),
        (['"""', '"""'], []),
    ],
)
def test_messages_of_several_lines(lines: list[str], expected: list[str]) -> None:
    rest = iter(lines)
    assert list(assembled(lambda _: next(rest, None), may_continue=True)) == expected


def wrapped(pieces: list[str], columns: int | None) -> str:
    output = io.StringIO()
    shown = Wrapped(output, columns)
    for piece in pieces:
        shown.write(piece)
    shown.finish()
    return output.getvalue()


def test_lines_break_between_words() -> None:
    assert wrapped(["one two th", "ree four"], 9) == "one two\nthree\nfour\n"
    assert wrapped(["one\n\n  two"], 20) == "one\n\n  two\n"
    assert wrapped(["a " + "x" * 12 + " b"], 5) == "a\n" + "x" * 12 + " b\n"
    assert wrapped(["ภาษาไทย ไม่มีวรรค"], 9) == "ภาษาไทย ไม่มีวรรค\n"  # the terminal breaks it
    assert wrapped(["ภาษาไทย ไม่"], 7) == "ภาษาไทย\nไม่\n"
    assert wrapped(["one two"], None) == "one two\n"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text("ab ก้ំ中\n", max_size=12), max_size=5), st.integers(1, 12))
def test_wrapping_changes_spaces_and_breaks_alone(pieces: list[str], columns: int) -> None:
    whole = wrapped(pieces, columns)
    assert "".join(whole.split()) == "".join("".join(pieces).split())
    assert whole == wrapped(list("".join(pieces)), columns)


def test_piped_lines_that_are_not_text(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Count\nn\xffn\n")))
    with pytest.raises(DataError, match=r"Line 2 of standard input is not UTF-8 \(byte 0xff at 1\)"):
        chat_here(small_run)
    assert capsys.readouterr().out == f"{ANSWERS['Count']}\n"


def test_lines_are_remembered_for_their_writer_alone(tmp_path: Path) -> None:
    import readline

    file = tmp_path / "state" / "history"
    with remembered(file):
        readline.add_history("สวัสดี")
    assert "สวัสดี" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    readline.clear_history()
    with remembered(file):
        assert readline.get_history_item(readline.get_current_history_length()) == "สวัสดี"
    assert file.stat().st_mode & 0o077 == 0
    readline.clear_history()
    with remembered(None):
        readline.add_history("secret")
    assert "secret" not in file.read_text()
    readline.clear_history()


def test_a_reader_that_leaves(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Count\n" * 3)))
    with os.fdopen(write_end, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        chat_here(small_run)
        output.write("what Python flushes on its way out goes nowhere")


def become_foreground() -> None:
    """Make standard input the controlling terminal, so that Ctrl-C typed on it is a signal."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs tests in the background ignores it


class Screen:
    """A chat on a terminal of its own."""

    def __init__(self, command: list[str], state: Path) -> None:
        self.terminal, inner = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "XDG_STATE_HOME": str(state)},
            preexec_fn=become_foreground,
        )
        os.close(inner)
        self.shown = b""

    def wait_for(self, text: str, *, typing: str = "") -> None:
        """Until a text is shown after what was waited for before; type something now and then, if need be."""
        deadline = time.monotonic() + 180
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} never came: {self.shown.decode(errors='replace')!r}"
            self.type(typing)
            if select.select([self.terminal], [], [], 0.5)[0]:
                self.shown += os.read(self.terminal, 4096)
        self.shown = self.shown.partition(text.encode())[2]

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())


def test_on_a_terminal(small_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seallm.cli", "chat", str(small_run), "--temperature", "0"]
    screen = Screen(command, tmp_path)
    try:
        fcntl.ioctl(screen.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
        screen.wait_for("512 positions · /help")
        screen.wait_for("› ")
        screen.type("Count\n")
        screen.wait_for("\none two three four five six\r\nseven eight nine ten")
        screen.wait_for("› ")
        screen.wait_for("Ctrl-D or /exit leaves", typing="\x03")  # what Ctrl-C at the prompt says
        screen.wait_for("› ")
        screen.type("\x04")  # Ctrl-D
        assert screen.process.wait(timeout=60) == 0
    finally:
        screen.process.kill()
        screen.process.wait()
        os.close(screen.terminal)
    assert (tmp_path / "seallm" / "chat_history").read_text().splitlines()[-1] == "Count"


class InterruptedOutput(io.StringIO):
    """Standard output during whose third piece somebody presses Ctrl-C."""

    pieces = 0

    def write(self, text: str) -> int:
        self.pieces += 1
        if self.pieces == 3:
            raise KeyboardInterrupt
        return super().write(text)


def test_ctrl_c_stops_an_answer_and_keeps_what_was_said(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal, inner = pty.openpty()
    output = InterruptedOutput()
    monkeypatch.setattr(sys, "stdin", os.fdopen(inner, "r"))
    monkeypatch.setattr(sys, "stdout", output)
    os.write(terminal, b"Count\n/reset\nCount\n\x04")
    chat_here(small_run)
    sys.stdin.close()
    os.close(terminal)
    first, second = output.getvalue().splitlines()
    assert ANSWERS["Count"].startswith(first)
    assert 0 < len(first) < len(second)
    assert second == ANSWERS["Count"]
    assert "stopped" in capsys.readouterr().err


def test_the_oldest_exchanges_are_forgotten_when_there_is_no_room(shared_engine: Engine) -> None:
    dialogue = Dialogue(shared_engine, "Be kind.")
    for number in range(8):
        dialogue.turns += [Message("user", f"{number} " + "word " * 10), Message("assistant", "word " * 10)]
    dialogue.turns.append(Message("user", "last"))
    whole = list(dialogue.turns)
    request, forgotten = dialogue.request(SIZE)
    assert forgotten > 0
    assert dialogue.turns == whole[2 * forgotten :]
    assert request.sampling.max_new_tokens == SIZE.max_new_tokens
    assert list(request.prompt) == shared_engine.format.prompt_ids([Message("system", "Be kind."), *dialogue.turns])
    one_more = [Message("system", "Be kind."), *whole[2 * (forgotten - 1) :]]
    assert len(shared_engine.format.prompt_ids(one_more)) + SIZE.max_new_tokens > shared_engine.max_sequence_tokens


def test_an_answer_longer_than_the_model_does_not_cost_the_history(shared_engine: Engine) -> None:
    turns = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    _, forgotten = Dialogue(shared_engine, "", list(turns)).request(SamplingSettings(100_000))
    assert forgotten == 0


def test_a_message_that_never_fits_costs_nothing(shared_engine: Engine) -> None:
    turns = [Message("user", "a"), Message("assistant", "b"), Message("user", "word " * 600)]
    dialogue = Dialogue(shared_engine, "", list(turns))
    with pytest.raises(PromptTooLong):
        dialogue.request(SIZE)
    assert dialogue.turns == turns


def test_the_last_message_is_answered_again_where_no_answer_came(shared_engine: Engine) -> None:
    dialogue = Dialogue(shared_engine, "", [Message("user", "a"), Message("assistant", "b")])
    dialogue.ask("c")
    dialogue.leave_unanswered()
    assert [turn.content for turn in dialogue.turns] == ["a", "b"]
    assert dialogue.take_back() == "c"
    dialogue.ask("c")
    dialogue.turns.append(Message("assistant", "d"))
    assert (dialogue.take_back(), dialogue.take_back()) == ("c", "a")
    dialogue.ask("e")
    dialogue.leave_unanswered()
    dialogue.forget()
    assert dialogue.take_back() is None


def test_an_empty_answer_is_told(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_at_once = replace(SIZE, logit_bias=((1, 100.0),))  # </s>
    pipe(["Hello", "/retry"], small_run, monkeypatch, ChatSettings(ends_at_once))
    output, notices = capsys.readouterr()
    assert output == "\n\n"
    assert notices.count("the model had nothing to say") == 2


def test_what_cannot_compute_is_told(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="expected one GGUF file"):
        pipe(["Hello"], small_run, monkeypatch, ChatSettings(SIZE, engine="llama.cpp", device="cpu"))
