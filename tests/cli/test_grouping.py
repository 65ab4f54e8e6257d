"""Groups of options: what Typer sees of them, and what a command gets."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from support.cli import DIGITS, Snnc

from snnc.cli.commands.compile import Conversion, Wanted
from snnc.cli.grouping import grouped
from snnc.cli.options import Reading, given
from snnc.compiler.options import CompileOptions


@dataclasses.dataclass(frozen=True)
class Pair:
    left: Annotated[int | None, typer.Option(help="Left.")] = None
    right: Annotated[bool, typer.Option("--right")] = False


def test_a_group_takes_its_place_among_the_options_and_arrives_whole() -> None:
    seen: dict[str, Any] = {}

    @grouped
    def command(first: str, *, pair: Pair, last: int = 3) -> None:
        """What it does."""
        seen.update(first=first, pair=pair, last=last)

    options = inspect.signature(command).parameters
    assert list(options) == ["first", "left", "right", "last"]
    assert [o.default for o in options.values()] == [inspect.Parameter.empty, None, False, 3]
    assert command.__doc__ == "What it does."
    command(first="a", left=0, right=True, last=4)
    assert seen == {"first": "a", "pair": Pair(0, True), "last": 4}


def test_a_zero_is_given_and_an_absent_option_is_not() -> None:
    assert given(Pair(0)) == {"left": 0}
    assert given(Pair(None, True)) == {"right": True}
    assert given(Pair()) == {}


@pytest.mark.parametrize("group", [Wanted, Reading, Conversion])
def test_every_option_of_a_group_shapes_the_compilation(group: type[Any]) -> None:
    known = {field.name for field in dataclasses.fields(CompileOptions)}
    assert {field.name for field in dataclasses.fields(group)} - {"pins"} <= known


def test_a_zero_on_the_command_line_overrides_a_configuration(snnc: Snnc, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"schema": "snnc-config/1", "options": {"seed": 7, "chips": 2}}))
    build = tmp_path / "build"
    found = snnc(
        "compile", DIGITS, "--config", config, "--timesteps", 2, "--seed", 0, "--stop-after",
        "frontend", "--build-dir", build,
    )  # fmt: skip
    assert found.code == 0
    options = json.loads((build / "config.json").read_text(encoding="utf-8"))["options"]
    assert (options["seed"], options["chips"]) == (0, 2)
