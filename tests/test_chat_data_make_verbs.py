"""The verbs against a server that fails in every way: nothing lost, nothing paid twice, a killed run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seallm.base.records import Conversation, Message, read_conversations, write_conversations
from seallm.cli import app
from tests.chat_data.scripted_teacher import translator
from tests.endpoints.scripted_server import Fault, Json, ScriptedServer, question

ROOT = Path(__file__).parents[1]
FAULTS: list[Fault | None] = [
    *(Fault(status=429, headers={"retry-after": "0.1"}), Fault(status=500), Fault("cut"), Fault("reset")),
    *(Fault(status=200, body="{not json"), Fault("cut-chunks"), None, None),
]


def conversations(count: int) -> list[Conversation]:
    return [
        Conversation(
            (
                Message("user", f"What should a farmer do first in year {1900 + n}, and why so early?"),
                Message(
                    "assistant", f"Plant the rice, call `plan({n})`, and then wait for {n + 20} days in the village."
                ),
            ),
            "en",
            "general-instruction",
            "demo",
            "CC0-1.0",
        )
        for n in range(count)
    ]


def failing(body: Json, asked_before: int) -> Fault | None:
    """A fault of its own for the first call of most questions; one is not answered at all."""
    if asked_before:
        return None
    if "year 1903" in question(body) and "into Lao" in question(body):
        return Fault("hang")
    return FAULTS[sum(map(ord, question(body))) % len(FAULTS)]


def sometimes_english(body: Json) -> str:
    """Every seventh question is answered in the wrong language at first."""
    is_bad = sum(map(ord, question(body))) % 7 == 0 and body["temperature"] == 0 and "into Lao" in question(body)
    return "I am sorry, I would rather answer this in English, if you do not mind." if is_bad else translator(body)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["chat-data", *arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.output + str(result.exception or "")


def command(server: ScriptedServer, folder: Path) -> list[str]:
    files = (str(folder / "en.jsonl"), "--to", "lo,th", "--teacher", server.address, "--out", str(folder / "out.jsonl"))
    return ["translate", *files, "--answers", str(folder / "answers"), "--call-seconds", "2", "--concurrent", "8"]


def outputs(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in ("out.jsonl", "out.dropped.jsonl")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_conversations(tmp_path / "en.jsonl", conversations(8))
    return tmp_path


def test_translate_on_a_server_that_fails_in_every_way(folder: Path) -> None:
    with ScriptedServer(sometimes_english, failing) as server:
        status, told = run(*command(server, folder), "--price", "1/2")
        assert status == 0, told
        made, bad = read_conversations(folder / "out.jsonl")
        assert (len(made), bad) == (16, [])
        assert {c.language for c in made} == {"lo", "th"}
        assert all(f"`plan({n // 2})`" in c.messages[1].content for n, c in enumerate(made))
        assert (made[0].source, made[0].licence) == ("demo, translated by scripted", "CC0-1.0")
        assert set(server.paid.values()) == {1}, "something was paid twice"
        first, calls = outputs(folder), len(server.asked)
        cost = json.loads((folder / "out.cost.json").read_text())["spent"][-1]
        assert cost["calls"] == len(server.paid)
        assert cost["cost"] > 0
        (folder / "out.jsonl").unlink()
        assert run(*command(server, folder))[0] == 0
        assert outputs(folder) == first
        assert len(server.asked) == calls, "the second run asked again"


def test_killed_again_and_again_it_ends_in_the_same_bytes(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SIGKILL three times on the way; calls that the client did not live to see are the only ones paid twice."""
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    write_conversations(undisturbed / "en.jsonl", conversations(8))
    with ScriptedServer(sometimes_english) as server:
        assert run(*command(server, undisturbed))[0] == 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with ScriptedServer(sometimes_english, seconds=0.03) as server:
        for kill in range(2):
            process = subprocess.Popen(
                [sys.executable, "-m", "seallm", "chat-data", *command(server, folder)],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wanted = 15 * (kill + 1)
            deadline = time.monotonic() + 60
            while sum(server.paid.values()) < wanted and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not (folder / "out.jsonl").exists()
        time.sleep(0.2)
        kept = len(list((folder / "answers").rglob("*.json")))
        assert kept >= 30 - 2 * 8
        before = sum(server.paid.values())
        assert run(*command(server, folder))[0] == 0
        assert outputs(folder) == outputs(undisturbed)
        assert sum(server.paid.values()) - before == len(server.paid) - kept
        assert sum(count - 1 for count in server.paid.values()) <= 2 * 8


def test_a_dry_run_asks_nothing_and_writes_nothing(folder: Path) -> None:
    with ScriptedServer(translator) as server:
        status, told = run(*command(server, folder), "--dry-run", "--price", "1000/1000")
        assert status == 0
        assert not server.asked
    assert "would be spent, guessed" in told
    assert not (folder / "out.jsonl").exists()
    with ScriptedServer(translator) as server:
        status, told = run(*command(server, folder), "--most-cost", "0.5", "--price", "1000/1000")
        assert (status, server.asked) == (1, [])
        assert "and --most-cost is 0.5. Nothing was asked" in told
        assert run(*command(server, folder), "--most-cost", "0.5", "--price", "0.001/0.001")[0] == 0
    status, told = run(*command(server, folder), "--dry-run")
    assert "│        64 │" in told, "the answers are on disk"
    (folder / "answers").rename(folder / "elsewhere")
    status, told = run(*command(server, folder), "--dry-run")
    calls = next(line.split("│")[2].strip() for line in told.splitlines() if line.startswith("│ all"))
    assert calls == "64"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["translate", "{en}", "--to", "th,en", "--teacher", "http://127.0.0.1:9/v1#m"], "it is English that is"),
        (["translate", "{en}", "--to", "xx", "--teacher", "http://127.0.0.1:9/v1#m"], "Unknown language 'xx'"),
        (
            ["translate", "{en}", "--to", "th", "--teacher", "http://127.0.0.1:9/v1#m"],
            "cannot be reached, asked 3 times",
        ),
        (["translate", "{en}", "--to", "th", "--teacher", "/no/such/model"], "There is no folder /no/such/model"),
        (["refine", "{en}", "--teacher", "http://h/v1", "--price", "cheap"], "such as 0.15/0.60"),
        (["refine", "{en}", "--teacher", "http://h/v1", "--most-cost", "5"], "--most-cost needs --price"),
        (["refine", "{en}", "--teacher", "http://h/v1", "--key", "env:NOT_SET"], "env:NOT_SET holds no key"),
        (["paraphrase", "{en}.missing", "--teacher", "http://h/v1"], "No file at"),
        (
            ["self-instruct", "{en}", "--count", "5", "--languages", "th", "--teacher", "http://h/v1"],
            "no conversation in th",
        ),
        (["from-templates", "poem", "{en}"], "Unknown kind 'poem'"),
        (["from-templates", "translation", "{en}"], "has no row for translation"),
    ],
)
def test_mistakes_are_told_in_one_line(folder: Path, arguments: list[str], told: str) -> None:
    filled = [argument.format(en=folder / "en.jsonl") for argument in arguments]
    status, output = run(*filled, "--out", str(folder / "out.jsonl"))
    assert status == 1
    assert told in output
    assert not (folder / "out.jsonl").exists()


def test_bad_rows_are_told(folder: Path) -> None:
    with (folder / "en.jsonl").open("a", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in (folder / "en.jsonl").read_text().splitlines()) + "{broken\n")
    status, told = run("refine", str(folder / "en.jsonl"), "--teacher", "http://h/v1", "--dry-run", "--out", "x.jsonl")
    assert status == 0
    assert "warning: 1 rows cannot be read and are left out, the first: " in told
    assert "en.jsonl:17" in told


def thai_teacher(body: Json) -> str:
    text = question(body)
    if "===" in text:
        return "\n===\n".join(f"ช่วยบอกวิธีทำ{dish}ให้หน่อย" for dish in ("แกงเขียวหวาน", "ข้าวผัดปู", "ขนมครกใบเตย"))
    if text.startswith("Would the same"):
        return "yes"
    if "last answer" in text and "[criticism]" not in text:
        return "too short"
    return "เอากะทิใส่หม้อ ตั้งไฟอ่อน แล้วค่อยใส่เครื่องแกง"


@pytest.mark.parametrize(
    ("verb", "least"), [(["self-instruct", "--count", "2"], 2), (["paraphrase", "--copies", "1"], 1), (["refine"], 1)]
)
def test_the_other_verbs_write_what_check_reads(tmp_path: Path, verb: list[str], least: int) -> None:
    seeds = [Conversation((Message("user", "วิธีต้มไข่ให้ไม่แตก"), Message("assistant", "ใส่เกลือในน้ำ")), "th", "safety")]
    write_conversations(tmp_path / "th.jsonl", seeds)
    with ScriptedServer(thai_teacher) as server:
        place = (
            "--teacher",
            server.address,
            "--answers",
            str(tmp_path / "answers"),
            "--out",
            str(tmp_path / "out.jsonl"),
        )
        status, told = run(verb[0], str(tmp_path / "th.jsonl"), *verb[1:], *place)
    assert status == 0, told
    made, bad = read_conversations(tmp_path / "out.jsonl")
    assert len(made) >= least
    assert not bad
    row = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert row["teacher"] == "scripted"
    assert "scripted" in row["source"]
    checked = tmp_path / "checked"
    status, told = run(
        "check", str(tmp_path / "out.jsonl"), "--out", str(checked), "--languages", "th", "--workers", "1"
    )
    assert status == 0, told
    assert len((checked / "conversations.jsonl").read_text().splitlines()) == len(made)


def test_templates_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("lo\ten\nນ້ຳ\twater\nໄຟ\tfire\n")
    out = tmp_path / "out.jsonl"
    status, told = run(
        "from-templates", "dictionary", str(tmp_path / "words.tsv"), "--licence", "CC0", "--out", str(out)
    )
    assert status == 0, told
    made, bad = read_conversations(out)
    assert (len(made), bad) == (2, [])
    assert {(c.source, c.licence) for c in made} == {("words", "CC0")}
