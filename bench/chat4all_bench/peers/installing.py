"""Puts what other servers need into a directory of its own; nothing else on the machine changes.

Versions are pinned: of Python packages by `servers/requirements.txt` (with hashes), of npm packages
by `servers/npm/package-lock.json`, of ejabberd by what Debian serves. What is there is not
installed again, until its pins change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..targets.target import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SERVERS: Final = Path(__file__).parent / "servers"
_DEBIAN_PACKAGES: Final = ("ejabberd", "erlang-p1-pgsql")


class NotInstallable(SetupError):
    """Something is missing that this can't bring: what, and what mends it."""


def default_directory() -> Path:
    """Where things go when no directory is named: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "chat4all" / "peers"


def python_with_peers(home: Path) -> Path:
    """The interpreter of a virtual environment with the Python servers.

    Raises:
        NotInstallable: it can't be made.
    """
    pins = SERVERS / "requirements.txt"

    def fill(place: Path) -> None:
        # Not this interpreter if it is itself of a virtual environment: pip may be missing there.
        base = getattr(sys, "_base_executable", sys.executable)
        _run("Python packages", [base, "-m", "venv", str(place)])
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run("Python packages", [*pip, "--require-hashes", "--requirement", str(pins)])

    return _once(home / "python", [pins], fill) / "bin" / "python"


def node_modules(home: Path) -> Path:
    """A `node_modules` with the npm servers.

    Raises:
        NotInstallable: node or npm is missing, or fails.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotInstallable(f"{program} is not on the PATH; apt-get install nodejs npm")
    pins = [SERVERS / "npm" / name for name in ("package.json", "package-lock.json")]

    def fill(place: Path) -> None:
        place.mkdir()
        for each in pins:
            shutil.copy(each, place)
        flags = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run("npm packages", ["npm", "ci", "--prefix", str(place), *flags])

    return _once(home / "npm", pins, fill) / "node_modules"


def debian_root(home: Path) -> Path:
    """A directory that holds ejabberd, Erlang and what they need, as if it were `/`.

    Raises:
        NotInstallable: this is no Debian, or it does not serve ejabberd.
    """
    mend = f"apt-get update && apt-get install --simulate {' '.join(_DEBIAN_PACKAGES)}"
    for program in ("apt-get", "dpkg"):
        if shutil.which(program) is None:
            raise NotInstallable(f"ejabberd comes from Debian, and {program} is not on the PATH")

    def fill(place: Path) -> None:
        plan = ["apt-get", "install", "--simulate", "--no-install-recommends", "--quiet"]
        said = _run("ejabberd", [*plan, *_DEBIAN_PACKAGES], mend=mend)
        names = [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]
        if not names:
            raise NotInstallable("ejabberd is installed on this system; apt-get remove ejabberd")
        packages = place.with_name(f"{place.name}-packages")
        packages.mkdir()
        _run("ejabberd", ["apt-get", "download", "--quiet", *names], cwd=packages, mend=mend)
        place.mkdir()
        for package in sorted(packages.glob("*.deb")):
            _run("ejabberd", ["dpkg", "-x", str(package), str(place)])
        shutil.rmtree(packages)

    return _once(home / "debian", [], fill)


def _once(place: Path, pins: Sequence[Path], fill: Callable[[Path], None]) -> Path:
    """Fill a directory unless it is complete and of these pins; the last file says that it is."""
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in pins)).hexdigest()
    complete = place / ".complete"
    if complete.exists() and complete.read_text() == digest:
        return place
    print(f"installing into {place}", file=sys.stderr, flush=True)
    for remains in (place, place.with_name(f"{place.name}-packages")):
        shutil.rmtree(remains, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    fill(place)
    complete.write_text(digest)
    return place


def _run(what: str, command: Sequence[str], *, cwd: Path | None = None, mend: str = "") -> str:
    """Run a command to its end; what it wrote to stdout."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotInstallable(f"{what} can't be installed: {error}") from error
    if done.returncode:
        why = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        advice = mend or f"try: {' '.join(command)}"
        raise NotInstallable(f"{what} can't be installed: {''.join(why)}; {advice}")
    return done.stdout
