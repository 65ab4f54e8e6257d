"""Which interpreter has Lava, and making one that does."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnc.backends.lava.errors import LavaError

STANDALONE = Path(__file__).resolve().parent / "standalone"
VARIABLE = "SNNC_LAVA_PYTHON"
REQUIREMENTS = ("numpy>=1.24,<2.4", "scipy>=1.10", "networkx>=2.8", "asteval>=0.9.31")
LAVA = "lava-nc==0.10.0"
PROBE_SECONDS = 120.0
_SETUP_SECONDS = 900.0


def default_environment() -> Path:
    """Where ``snnc setup lava`` puts its environment."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "snnc" / "lava"


def candidates() -> list[tuple[str, Path]]:
    """Interpreters in the order they are tried, with who named them."""
    found = []
    named = os.environ.get(VARIABLE)
    if named:
        found.append((VARIABLE, Path(named)))
    if importlib.util.find_spec("lava") is not None:
        found.append(("this interpreter", Path(sys.executable)))
    prepared = default_environment() / "bin" / "python"
    if prepared.exists():
        found.append(("snnc setup lava", prepared))
    return found


def python_for_lava(chosen: Path | None = None) -> Path:
    """The interpreter to run Lava with: the one given, $SNNC_LAVA_PYTHON, this, or the set-up one.

    Raises:
        LavaError: there is none, or the one named does not exist.
    """
    if chosen is not None:
        return _existing(chosen, "--lava-python")
    found = candidates()
    if not found:
        raise LavaError(
            "Lava is not installed",
            where="--backend lava",
            found=f"no lava-nc in {sys.executable}, {VARIABLE} is not set",
            allowed="lava-nc 0.10.0",
            remedy="snnc setup lava",
        )
    by, path = found[0]
    return _existing(path, by)


def _existing(path: Path, by: str) -> Path:
    if not path.is_file():
        raise LavaError("no such interpreter", where=by, found=str(path), remedy="snnc setup lava")
    return path


def _finished(command: list[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False
    )


def probe(python: Path) -> Mapping[str, Any]:
    """Versions of Python, Lava, NumPy and SciPy there, or "error" with "problem" and "found"."""
    command = [str(python), str(STANDALONE / "snnc_worker.py"), "--probe"]
    try:
        done = _finished(command, PROBE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": "start", "problem": "cannot be started", "found": str(error)}
    for line in reversed(done.stdout.decode(errors="replace").splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    text = done.stderr.decode(errors="replace").strip().splitlines()
    return {"error": "start", "problem": "gives no answer", "found": text[-1] if text else ""}


@dataclass(frozen=True)
class Setup:
    """What ``snnc setup lava`` did.

    Attributes:
        python: the interpreter of the new environment.
        facts: as ``probe``.
        commands: what was run, as a shell would take it.
    """

    python: Path
    facts: Mapping[str, Any]
    commands: tuple[str, ...]


def set_up(folder: Path | None = None, on_command: Callable[[str], None] = lambda _: None) -> Setup:
    """Make a virtual environment in which Lava works, and try it.

    Args:
        folder: of the environment; None takes ``default_environment()``.
        on_command: called with every command before it runs.

    Raises:
        LavaError: a command failed, or Lava does not work in the result.
    """
    folder = (folder or default_environment()).absolute()
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    commands = [
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, *REQUIREMENTS],
        # Its metadata refuses Python > 3.10 and NumPy 2; the import shim makes both work.
        [*pip, "--ignore-requires-python", "--no-deps", LAVA],
    ]
    shown = tuple(_quoted(command) for command in commands)
    for command, text in zip(commands, shown, strict=True):
        on_command(text)
        _run(command, text)
    facts = probe(python)
    if "error" in facts:
        raise LavaError(
            f"Lava was installed but does not work: {facts['problem']}",
            where=str(python),
            found=facts["found"],
        )
    return Setup(python, facts, shown)


def _quoted(command: list[str]) -> str:
    import shlex

    return shlex.join(command)


def _run(command: list[str], text: str) -> None:
    try:
        done = _finished(command, _SETUP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LavaError("a command of the set-up failed", where=text, found=str(error)) from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()
        raise LavaError(
            "a command of the set-up failed",
            where=text,
            found=last[-1] if last else f"exit code {done.returncode}",
            remedy="run it by hand to see all of its output; it needs a package index",
        )
