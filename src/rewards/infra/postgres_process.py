"""Starts, recognises and ends the embedded PostgreSQL server; nothing here speaks SQL."""

import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rewards.infra.postgres_data import (
    ENVIRONMENT,
    appending,
    check_data,
    initdb,
    last_words,
)
from rewards.infra.postgres_files import SOCKET, Place, PostgresProblem, read_small

START_TIMEOUT_S = 120.0
STOP_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 3.0))
# How long processes of a server whose head was killed may take to notice.
ORPHAN_GRACE_S = 5.0
ORPHAN_END_S = 2.0
FOREIGN_GRACE_S = 5.0
POLL_S = 0.02
LOG_BYTES_MAX = 16 * 1024 * 1024

# Two cores. Durable by default: fsync and synchronous_commit stay on.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "1",
    "random_page_cost": "1.1",
    "fsync": "on",
    "synchronous_commit": "on",
    # Steady throughput: few checkpoints, spread out, and no stall on a full WAL buffer.
    "wal_buffers": "16MB",
    "min_wal_size": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "bgwriter_delay": "50ms",
    "bgwriter_lru_maxpages": "400",
    # Queue and stock tables change all the time: vacuum early, often and without long naps.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_delay": "1ms",
    "autovacuum_vacuum_cost_limit": "1000",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %a ",
    # Terse leaves out DETAIL and CONTEXT, which quote values of rows.
    "log_error_verbosity": "terse",
}


@contextlib.contextmanager
def only_starter(at: Place) -> Iterator[None]:
    """One process at a time starts or stops a home's server; the others wait their turn."""
    descriptor = os.open(at.starter_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                raise PostgresProblem(
                    f"another process has been starting the server in {at.home} for"
                    f" {START_TIMEOUT_S:.0f} s: see {at.log}"
                )
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as unable:
        raise PostgresProblem(
            f"the file system of the home folder cannot lock files ({unable.strerror}): choose"
            " another home (--home or REWARDS_HOME)"
        ) from None
    return True


@contextlib.contextmanager
def _no_server(at: Place) -> Iterator[int | None]:
    """The lock that says no process of a server lives here, or None while one does.

    A descriptor that a started process inherits keeps the lock for as long as that process and all
    its children live, whatever happens to us; no process id has to be believed.
    """
    descriptor = os.open(at.server_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor if _lock(descriptor) else None
    finally:
        os.close(descriptor)


def start(at: Place, programs: Path, run: Path, settings: Mapping[str, str]) -> None:
    """Return when a server of `at` accepts connections in `run`: the one that runs, or a new one.

    The caller is the only starter. Whatever is left of a killed one is waited for, then ended.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    grace = time.monotonic() + ORPHAN_GRACE_S
    while time.monotonic() < deadline:
        with _no_server(at) as lock:
            if lock is None:
                if _ready(at) and answers(run):
                    return
                if not answers(run) and time.monotonic() > grace:
                    _end_orphans(at)
            else:
                if _ready(at) and _alive(at) and answers(run):
                    return
                _launch(at, programs, run, settings, lock)
                break
        time.sleep(POLL_S)
    while time.monotonic() < deadline:
        if _ready(at) and answers(run):
            return
        with _no_server(at) as lock:
            if lock is not None:
                raise PostgresProblem(f"PostgreSQL did not start in {at.home}: {last_words(at)}")
        time.sleep(POLL_S)
    raise PostgresProblem(
        f"the server in {at.home} is not ready after {START_TIMEOUT_S:.0f} s. It may be recovering"
        f" from a crash, or in use from another container: see {at.log}"
    )


def stop(at: Place, run: Path) -> None:
    """End the server: fast, then immediate, then by force, each for a bounded time."""
    for number, timeout_s in STOP_STEPS:
        if _gone(at, run):
            return
        if not _alive(at):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(_pid(at), number)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if _gone(at, run):
                return
            time.sleep(POLL_S)
    _end_orphans(at)
    if not _gone(at, run):
        raise PostgresProblem(f"the server in {at.home} does not stop: see {at.log}")


def _gone(at: Place, run: Path) -> bool:
    with _no_server(at) as lock:
        return lock is not None and not (_alive(at) and answers(run))


def _launch(at: Place, programs: Path, run: Path, settings: Mapping[str, str], lock: int) -> None:
    """Make the data folder if there is none, clear away what a dead server left, and start."""
    check_data(at, programs)
    if not at.data.exists():
        initdb(at, programs, lock, durable=settings.get("fsync") != "off")
    _check_socket(run)
    if sys.platform == "linux":
        _clear_pid_file(at, programs)
    if at.log.exists() and at.log.stat().st_size > LOG_BYTES_MAX:
        at.log.replace(at.log.with_suffix(".log.1"))
    options = {**SETTINGS, "unix_socket_directories": f'"{run}"', **settings}
    command = [str(programs / "postgres"), "-D", at.data_name]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with appending(at.log) as log:
        # The shell leaves at once, so that the server is nobody's child: it outlives us, and when
        # it is killed init reaps it instead of leaving a zombie that looks alive.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            check=True,
            cwd=at.data,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            umask=0o077,
            start_new_session=True,
            pass_fds=(lock,),
            timeout=10,
            **at.account.becomes,
        )


def _clear_pid_file(at: Place, programs: Path) -> None:
    """Remove what a killed server left: nobody holds its lock, nobody works in its folder.

    So whatever process has its number now is another one, or a zombie; PostgreSQL alone, which
    only asks whether there is such a process, would refuse to start for ever.
    """
    if strangers := _processes_in(at):
        raise PostgresProblem(
            f"a server that this program did not start runs on {at.data} (process {strangers[0]}):"
            f" stop it with {programs}/pg_ctl stop -D '{at.data}'"
        )
    (at.data / "postmaster.pid").unlink(missing_ok=True)


def _check_socket(run: Path) -> None:
    """Refuse to push a living stranger off our socket; clear away a dead one's."""
    path = run / SOCKET
    deadline = time.monotonic() + FOREIGN_GRACE_S
    while answers(run):
        if time.monotonic() > deadline:
            raise PostgresProblem(
                f"another program{_listener(path)} listens on {path}: stop it, or choose another"
                " home (--home or REWARDS_HOME)"
            )
        time.sleep(POLL_S)
    path.unlink(missing_ok=True)
    path.with_name(f"{SOCKET}.lock").unlink(missing_ok=True)


def answers(run: Path) -> bool:
    """Does anybody accept connections on the socket?"""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(1)
        try:
            caller.connect(str(run / SOCKET))
        except (TimeoutError, BlockingIOError):
            # Somebody is there, but busy: its queue is full.
            return True
        except OSError:
            return False
    return True


def _listener(path: Path) -> str:
    if not hasattr(socket, "SO_PEERCRED"):
        return ""
    with socket.socket(socket.AF_UNIX) as caller, contextlib.suppress(OSError):
        caller.connect(str(path))
        told = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return f" (process {struct.unpack('3i', told)[0]})"
    return ""


def _pid(at: Place) -> int:
    """The process id in postmaster.pid; 0 when there is none."""
    first = read_small(at.data / "postmaster.pid").partition("\n")[0].strip()
    return int(first) if first.isdecimal() else 0


def _ready(at: Place) -> bool:
    """Does postmaster.pid say that the server takes connections (its eighth line)?"""
    lines = read_small(at.data / "postmaster.pid").splitlines()
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _alive(at: Place) -> bool:
    return _pid(at) in _processes_in(at)


def _processes_in(at: Place) -> list[int]:
    """Ids of PostgreSQL's processes in the data folder, head and children; not of a shell there.

    Where there is no /proc, the id in postmaster.pid is believed.
    """
    if sys.platform != "linux":
        pid = _pid(at)
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, 0)
                return [pid]
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # Not ours to see, or already gone.
            with contextlib.suppress(OSError):
                named = (entry / "comm").read_text().strip() == "postgres"
                if named and (entry / "cwd").samefile(at.data):
                    found.append(int(entry.name))
    return sorted(found)


def _end_orphans(at: Place) -> None:
    """End what is left of a server whose head is dead; its shared memory is lost anyway."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        left = _processes_in(at)
        if _pid(at) in left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + ORPHAN_END_S
        while _processes_in(at) and time.monotonic() < deadline:
            time.sleep(POLL_S)
