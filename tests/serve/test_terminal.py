import fcntl
import io
import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.model.generation import SamplingSettings
from seallm.serve.engine import Engine
from seallm.serve.requests import PromptTooLong
from seallm.serve.terminal import HELP, Dialogue, chat
from tests.serve.small_model import ANSWERS

SIZE = SamplingSettings(max_new_tokens=100, temperature=0.0)


def chat_command(run: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "seallm.cli", "chat", str(run), "--temperature", "0", *options]


def test_through_a_pipe(small_run: Path) -> None:
    lines = [
        "Count",
        "",
        "/help",
        "/nonsense",
        "/reset",
        "สวัสดี",
        "/reset",
        "Escape",
        "/system Be kind.",
        "/system",
        "word " * 600,
    ]
    done = subprocess.run(chat_command(small_run), input="\n".join(lines).encode(), capture_output=True, timeout=120)
    notices = done.stderr.decode()
    assert done.returncode == 0, notices
    # the answers and nothing else, with what a terminal would obey made harmless
    escaped = ANSWERS["Escape"].replace("\x1b", "\ufffd").replace("\x07", "\ufffd")
    assert done.stdout.decode() == f"{ANSWERS['Count']}\n{ANSWERS['สวัสดี']}\n{escaped}\n"
    assert notices.count(HELP) == 2
    assert "there is no /nonsense" in notices
    assert notices.count("the conversation is forgotten") == 2
    assert "new system prompt\nBe kind." in notices
    assert "512 positions" in notices  # the last message does not fit, and is told


def chat_here(run: Path) -> None:
    chat(run, system=None, temperature=0.0, top_p=1.0, max_new_tokens=100, seed=None)


def test_piped_lines_that_are_not_text(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Count\nn\xffn\n")))
    with pytest.raises(DataError, match=r"Line 2 of standard input is not UTF-8 \(byte 0xff at 1\)"):
        chat_here(small_run)
    assert capsys.readouterr().out == f"{ANSWERS['Count']}\n"


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


class Screen:
    """A chat on a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self.terminal, inner = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
            preexec_fn=become_foreground,
        )
        os.close(inner)
        self.shown = b""

    def wait_for(self, text: str, *, typing: str = "") -> None:
        """Until a text is shown after what was waited for before; type something now and then, if need be."""
        deadline = time.monotonic() + 60
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} never came: {self.shown.decode(errors='replace')!r}"
            self.type(typing)
            if select.select([self.terminal], [], [], 0.5)[0]:
                self.shown += os.read(self.terminal, 4096)
        self.shown = self.shown.partition(text.encode())[2]

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())


def test_on_a_terminal(small_run: Path) -> None:
    screen = Screen(chat_command(small_run, "--max-new-tokens", "400"))
    try:
        screen.wait_for("512 positions · /help")
        screen.wait_for("› ")
        screen.type("Count\n")
        screen.wait_for(f"\n{ANSWERS['Count']}")
        screen.wait_for("› ")
        screen.wait_for("Ctrl-D or /exit leaves", typing="\x03")  # what Ctrl-C at the prompt says
        screen.wait_for("› ")
        screen.type("\x04")  # Ctrl-D
        assert screen.process.wait(timeout=60) == 0
    finally:
        screen.process.kill()
        screen.process.wait()
        os.close(screen.terminal)


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


def test_a_message_that_never_fits(shared_engine: Engine) -> None:
    with pytest.raises(PromptTooLong):
        Dialogue(shared_engine, "", [Message("user", "word " * 600)]).request(SIZE)
