"""Real server processes for tests: started, waited for, killed by id, never left behind."""

import asyncio
import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02
OUTPUT_SHOWN_CHARS = 4000

TREE = Path(__file__).parents[1]
# Python programs run from the tree that is tested, whatever is installed.
ENVIRONMENT = {
    "PYTHONPATH": f"{TREE / 'src'}:{TREE}",
    "PYTHONUNBUFFERED": "1",
    # The first one compiles what the others then load, whatever the machine's habit.
    "PYTHONDONTWRITEBYTECODE": "",
}
# Becomes the command under the same process id, and dies with the test session even when that is
# killed (PR_SET_PDEATHSIG, Linux only).
TIED = """
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the session is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""

# The variable in which pytest says which test runs.
CURRENT = "PYTEST_CURRENT_TEST"

# All of this session, also those that ended: what they printed is kept until `end_all`.
started: list["Process"] = []
_running: set["Process"] = set()


def current_test() -> str:
    """The id of the test that runs; empty between tests."""
    return os.environ.get(CURRENT, "").rpartition(" ")[0]


@dataclass(eq=False, slots=True)
class Process:
    """A command that `test` started, alone in its process group; `log` has what it printed."""

    command: Sequence[str]
    log: Path
    popen: "subprocess.Popen[bytes]" = field(repr=False)
    test: str = field(default_factory=current_test)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; -9 after SIGKILL."""
        return self.popen.poll()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def said_since(self, start: int) -> bytes:
        """What it printed after that many bytes."""
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read()

    def signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    async def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit code; raises TimeoutError when it goes on."""
        deadline = time.monotonic() + timeout_s
        while (code := self.returncode) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.command[0]} goes on after {timeout_s} s")
            await asyncio.sleep(POLL_S)
        self.end()
        return code

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM, then wait for the exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait(timeout_s)

    async def kill(self) -> None:
        """SIGKILL to the process itself, not to its children."""
        self.signal(signal.SIGKILL)
        await self.wait()

    def end(self) -> None:
        """SIGKILL to whatever is left of its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()
        _running.discard(self)


def strike(pids: Iterable[int], number: int) -> list[int]:
    """Signal each of these processes, whoever started them; answers those that still lived.

    The children of a database server end by themselves as soon as its head dies.
    """
    hit = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            hit.append(pid)
    return hit


@lru_cache
def _logs() -> Path:
    """A folder of this session, under a name that conftest sweeps when the session was killed."""
    return Path(tempfile.mkdtemp(prefix=f"rewards-test-{os.getpid()}-logs-"))


async def start(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    port: int | None = None,
    timeout_s: float = START_TIMEOUT_S,
) -> Process:
    """Start `command` with `env` added to ours; return once `port` of 127.0.0.1 answers.

    Raises AssertionError with the output when it exits before that or takes longer.
    """
    descriptor, log = tempfile.mkstemp(suffix=".log", dir=_logs())
    with os.fdopen(descriptor, "wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", TIED, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT, **(env or {})},
            start_new_session=True,
        )
    process = Process(command, Path(log), popen)
    started.append(process)
    _running.add(process)
    deadline = time.monotonic() + timeout_s
    while port is not None and not await _answers(port):
        exited, late = process.returncode is not None, time.monotonic() > deadline
        if exited or late:
            process.end()
            what = f"exited with {process.returncode}" if exited else "does not answer"
            raise AssertionError(f"{command[0]} {what}:\n{process.output()[-OUTPUT_SHOWN_CHARS:]}")
        await asyncio.sleep(POLL_S)
    return process


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@atexit.register
def end_all() -> None:
    """Kill what still runs; also called by conftest at the end of the session."""
    for process in list(_running):
        process.end()
    started.clear()
    if _logs.cache_info().currsize:
        shutil.rmtree(_logs(), ignore_errors=True)
        _logs.cache_clear()
