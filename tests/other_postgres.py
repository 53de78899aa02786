"""Runs pytest on a throw-away cluster of another PostgreSQL: `BIN_FOLDER [pytest arguments]`."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rewards.infra.postgres import PostgresProblem, ensure_server, stop_server
from tests.conftest import HASTY, quick_folder, with_database


def main() -> int:
    programs, arguments = Path(sys.argv[1]), sys.argv[2:]
    if not (programs / "postgres").exists():
        print(f"no PostgreSQL in {programs}: install it first, or set PG15=/path/to/its/bin")
        return 2
    home = Path(tempfile.mkdtemp(prefix="rewards-other-postgres-", dir=quick_folder()))
    # Before 16, PostgreSQL's programs must be able to walk to their data.
    home.chmod(0o711)
    try:
        server = asyncio.run(ensure_server(home, programs=programs, settings=HASTY))
        print(f"PostgreSQL {server.version}", flush=True)
        dsn = with_database(server.owner_dsn, "postgres")
        return subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            check=False,
            env={**os.environ, "REWARDS_TEST_DATABASE_URL": dsn},
        ).returncode
    except PostgresProblem as problem:
        print(problem)
        return 1
    finally:
        asyncio.run(stop_server(home))
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
