"""The root folders, the links, pyproject.toml, the wheel and the public API must agree."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import snnc

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOOL = PROJECT["tool"]
HATCH = TOOL["hatch"]["build"]
WHEEL = HATCH["targets"]["wheel"]
FOLDERS = ("backends", "compiler", "ir", "simulators")
LINKS = sorted(p.name for p in (ROOT / "src" / "snnc").iterdir() if p.is_symlink())
SUFFIXES = (".py", ".yaml", ".j2", ".nir", ".npz", ".json", ".typed")

needs_links = pytest.mark.skipif(not LINKS, reason="an sdist has no links")


@needs_links
def test_every_link_is_in_the_wheel_mapping() -> None:
    assert tuple(LINKS) == FOLDERS
    assert WHEEL["only-include"] == ["src/snnc", *LINKS]
    assert WHEEL["sources"] == {"src/snnc": "snnc"} | {name: f"snnc/{name}" for name in LINKS}
    assert HATCH["exclude"] == [f"/src/snnc/{name}" for name in LINKS]
    assert TOOL["ruff"]["extend-exclude"] == [f"src/snnc/{name}" for name in LINKS]


@needs_links
@pytest.mark.parametrize("name", FOLDERS)
def test_link_is_relative_and_points_at_the_root_folder(name: str) -> None:
    link = ROOT / "src" / "snnc" / name
    assert link.readlink() == Path("..", "..", name)
    assert (ROOT / name / "__init__.py").is_file()


def test_no_folder_at_the_root_shadows_the_package() -> None:
    assert not (ROOT / "snnc").exists()


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without ``__init__.py`` would import from the tree and be missing in the wheel."""
    missing = [
        str(folder.relative_to(ROOT))
        for room in FOLDERS
        for folder in (ROOT / room).rglob("*")
        if folder.is_dir() and any(folder.glob("*.py")) and not (folder / "__init__.py").is_file()
    ]
    assert missing == []


def test_the_rooms_import_nothing_of_the_package_root() -> None:
    """The layers contract of import-linter names rooms; this covers every other root module."""
    outside = [
        f"{path.relative_to(ROOT)}: {module}"
        for room in FOLDERS
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (module := node.module or "").startswith("snnc")
        if module.split(".")[1:2] not in [[folder] for folder in FOLDERS]
    ]
    assert outside == []


def _shipped_files() -> set[str]:
    """Every file of the tree that a user must get, by its path inside the package."""
    roots = {ROOT / "src" / "snnc": "snnc"} | {ROOT / f: f"snnc/{f}" for f in FOLDERS}
    return {
        f"{package}/{path.relative_to(root).as_posix()}"
        for root, package in roots.items()
        for path in root.rglob("*")
        if path.suffix in SUFFIXES or path.name == "py.typed"
        if "__pycache__" not in path.parts
        if package != "snnc" or path.relative_to(root).parts[0] not in FOLDERS
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist of the checkout, built without network by the installed backend."""
    pytest.importorskip("hatchling", reason="building needs hatchling, part of the test extra")
    folder = tmp_path_factory.mktemp("dist")
    script = (
        "import hatchling.build as b, sys; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], cwd=ROOT, check=True, timeout=600)
    return folder


def test_the_wheel_holds_every_module_and_data_file(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert _shipped_files() - names == set()
    assert {name for name in names if not name.startswith(("snnc/", "snnc-"))} == set()


def test_the_sdist_holds_every_module_and_data_file(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    in_tree = {
        name.removeprefix("snnc/") if name.split("/")[1] in FOLDERS else f"src/{name}"
        for name in _shipped_files()
    }
    assert in_tree - names == set()


EXTRAS = {"torch", "spikingjelly", "onnx"}
"""Packages that a checkout need not have; only the modules that read their files import them."""


def test_every_public_name_exists_and_is_documented() -> None:
    modules = [snnc.__name__, *(m.name for m in pkgutil.walk_packages(snnc.__path__, "snnc."))]
    for name in modules:
        # What lies below "standalone" runs in Lava's interpreter and is never imported here.
        if name.endswith("__main__") or ".lava.standalone." in name:
            continue
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:  # CI runs this test where the extras are, too
                raise
            continue
        assert module.__doc__, name
        for public in getattr(module, "__all__", ()):
            value = getattr(module, public)
            if inspect.isclass(value) or inspect.isroutine(value):
                assert value.__doc__, f"{name}.{public}"


def test_the_version_is_written_once() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {snnc.__version__}" in changelog


def test_importing_snnc_and_its_command_line_stays_light() -> None:
    """Slow libraries load when a command needs them: ``snnc --help`` must answer at once."""
    script = "import json, sys, snnc, snnc.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600
    )
    heavy = {"numpy", "pydantic", "numba", "ortools", "scipy", "torch", "h5py", "jinja2"}
    assert heavy & set(json.loads(done.stdout)) == set()


def test_the_extras_are_the_documented_ones() -> None:
    assert set(PROJECT["project"]["optional-dependencies"]) == {
        "torch", "torch-test", "lava", "onnx", "events", "partition", "viz", "test", "dev",
    }  # fmt: skip
