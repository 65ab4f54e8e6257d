"""What is installed and what is missing; environments that pip alone cannot make."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from snnc.ir.errors import OptionError

State = Literal["present", "missing", "broken"]
REQUIRED = (
    "numpy", "scipy", "numba", "ortools", "h5py", "pydantic", "PyYAML", "typer", "rich", "Jinja2",
)  # fmt: skip
OPTIONAL = {
    "torch": "PyTorch models: pip install 'snnc[torch]'",
    "onnx": "models in ONNX: pip install 'snnc[onnx]'",
    "mtkahypar": "the stronger hypergraph partitioner: pip install 'snnc[partition]'",
    "matplotlib": "plots of traces: pip install 'snnc[viz]'",
}


@dataclass(frozen=True)
class Finding:
    """One thing that snnc needs or can use.

    Attributes:
        needed: whether snnc does not work without it.
        detail: version and place, or why it is missing and what to do.
    """

    name: str
    state: State
    needed: bool
    detail: str


@dataclass(frozen=True)
class Doctor:
    """The state of this installation."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Everything needed is there."""
        return all(f.state == "present" for f in self.findings if f.needed)

    def as_dict(self) -> dict[str, Any]:
        """The object printed under ``--json``."""
        rows = [
            {"name": f.name, "state": f.state, "needed": f.needed, "detail": f.detail}
            for f in self.findings
        ]
        return {"schema": "snnc-doctor/1", "ok": self.ok, "findings": rows}


@dataclass(frozen=True)
class SetupResult:
    """What ``snnc setup`` did: the interpreter it made, its versions, the commands it ran."""

    what: str
    python: str
    versions: dict[str, str]
    commands: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The object printed under ``--json``."""
        return {
            "schema": "snnc-setup/1",
            "what": self.what,
            "python": self.python,
            "versions": self.versions,
            "commands": list(self.commands),
        }


def doctor() -> Doctor:
    """Look at this installation and at every interpreter that might have Lava."""
    python = f"{platform.python_version()}, {sys.executable}"
    found = [Finding("Python", "present", True, python)]
    found += [_package(name, True, "pip install --force-reinstall snnc") for name in REQUIRED]
    found += [_package(name, False, why) for name, why in OPTIONAL.items()]
    return Doctor((*found, *_lava()))


def _package(name: str, needed: bool, remedy: str) -> Finding:
    try:
        return Finding(name, "present", needed, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", needed, remedy)


def _lava() -> Iterator[Finding]:
    from snnc.backends.lava.environment import VARIABLE, candidates, probe

    places = candidates()
    if not places:
        detail = f"for --backend lava: snnc setup lava, or set {VARIABLE}"
        yield Finding("Lava", "missing", False, detail)
    for rank, (by, path) in enumerate(places):
        facts = probe(path)
        name = f"Lava ({by})"
        if "error" in facts:
            detail = f"{path}: {facts['problem']}: {facts['found']}; snnc setup lava makes one"
            yield Finding(name, "broken", False, detail)
        else:
            used = "used" if rank == 0 else "not used"
            versions = f"lava-nc {facts['lava']}, Python {facts['python']}, NumPy {facts['numpy']}"
            yield Finding(name, "present", False, f"{versions}, {path} ({used})")


def setup(
    what: str, folder: Path | None = None, on_command: Callable[[str], None] = lambda _: None
) -> SetupResult:
    """Make an environment for something that cannot live in snnc's own.

    Args:
        what: "lava".
        folder: where; None takes the place where snnc looks for it.
        on_command: called with every command before it runs.

    Raises:
        OptionError: nothing else can be set up.
        LavaError: a command failed, or the result does not work.
    """
    if what != "lava":
        raise OptionError("nothing to set up by this name", where=what, allowed="lava")
    from snnc.backends.lava.environment import set_up

    done = set_up(folder, on_command)
    versions = {name: str(done.facts[name]) for name in ("python", "lava", "numpy", "scipy")}
    return SetupResult(what, str(done.python), versions, done.commands)
