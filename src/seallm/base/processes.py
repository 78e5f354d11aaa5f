"""One function in, the same function in several processes of this machine out, which find each other as under torchrun.

Each process is told its place (RANK, WORLD_SIZE, LOCAL_RANK) and where to meet (MASTER_ADDR, MASTER_PORT). The first
that fails ends all at once, and its error is what the caller sees; when the caller is killed, they end too.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from seallm.base.errors import ProcessError, SeallmError

HERE = "127.0.0.1"
SETTLING_SECONDS = 2.0  # after a failure: the others' errors tell whether it was the first
PARTING_SECONDS = 10.0  # after success: for the interpreters to end in their own way


@dataclass
class _Member:
    process: BaseProcess
    pipe: Connection
    outcome: tuple[str, Any] | None = None  # ("result", value), ("error", exception) or ("traceback", text)

    def read(self) -> None:
        """Take its outcome, if it has sent one."""
        try:
            if self.outcome is None and self.pipe.poll():
                self.outcome = self.pipe.recv()
        except EOFError:
            self.outcome = None

    @property
    def failed(self) -> bool:
        """True once it ended without a result."""
        has_ended = self.process.exitcode is not None
        self.read()  # after the status: what was sent last is there now
        return has_ended if self.outcome is None else self.outcome[0] != "result"


def run_processes(function: Callable[..., Any], arguments: Sequence[Any], count: int) -> Any:
    """Call `function(*arguments)` in `count` new processes at once.

    Args:
        function: importable; so are the arguments' types.
        arguments: the same for all.
        count: processes, at least 1.

    Returns:
        What process 0 returned.

    Raises:
        ProcessError: a process was killed or ended by an error that is not ours.
        SeallmError: what a process raised.
    """
    spawn = multiprocessing.get_context("spawn")  # a forked child would inherit the locks of torch's threads
    port = _free_port()
    members = []
    try:
        for rank in range(count):
            ours, theirs = spawn.Pipe(duplex=False)
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": HERE, "MASTER_PORT": port}
            process = spawn.Process(target=_member, args=(function, arguments, place, theirs))
            process.start()
            theirs.close()
            members.append(_Member(process, ours))
        result = _wait_for(members)
        for member in members:
            member.process.join(PARTING_SECONDS)
        return result
    finally:
        for member in members:
            member.process.kill()
            member.process.join()
            member.pipe.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HERE, 0))
        return int(found.getsockname()[1])


def _wait_for(members: Sequence[_Member]) -> Any:
    while True:
        running = [m for m in members if m.outcome is None]
        if not running:
            assert members[0].outcome is not None
            return members[0].outcome[1]
        wait([*(m.pipe for m in running), *(m.process.sentinel for m in running)])
        for member in running:
            member.read()
        if any(m.failed for m in members):
            _raise_first(members)


def _raise_first(members: Sequence[_Member]) -> None:
    """Raise the failure that explains the others: an error of ours, else a kill, else any other."""
    until = time.monotonic() + SETTLING_SECONDS
    while time.monotonic() < until and not all(m.failed or m.outcome for m in members):
        wait([m.process.sentinel for m in members if m.process.exitcode is None], timeout=0.1)
        for member in members:
            member.read()
    outcomes = [(number, m.outcome, m.process.exitcode) for number, m in enumerate(members) if m.failed]
    for _, outcome, _ in outcomes:
        if outcome is not None and outcome[0] == "error":
            raise outcome[1]
    number, outcome, status = min(outcomes, key=lambda o: o[1] is not None)
    if outcome is not None:
        print(outcome[1], file=sys.stderr)
    how = _how_it_ended(status) if outcome is None else "ended with the error above"
    raise ProcessError(
        f"Process {number} of {len(members)} {how}; the others were stopped. Run the same command again: it continues "
        "from the last checkpoint"
    )


def _how_it_ended(status: int | None) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        return f"was ended by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")
    return f"ended with status {status}"


def _member(function: Callable[..., Any], arguments: Sequence[Any], place: Mapping[str, object], pipe: Any) -> None:
    """In a new process: take the place, do the work, tell the outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    end_with_parent()
    os.environ.update({name: str(value) for name, value in place.items()})
    try:
        pipe.send(("result", function(*arguments)))
        return
    except SeallmError as error:
        pipe.send(("error", error))
    except BaseException:
        pipe.send(("traceback", traceback.format_exc()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)  # what other threads still do (a collective that nobody else joins) must not keep the process alive


def end_with_parent() -> None:
    """End this process when its parent is killed: it would wait for others for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
