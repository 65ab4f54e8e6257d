"""``snnc compare``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal

_KEYS = (
    "reading (dialect, dt, reset, threshold, loop-delay, ...), integers, target, weight-bits, "
    "backend, precision"
)
SideA = Annotated[
    Path, typer.Argument(metavar="A", help="Model, compiled network (.snnc) or recording (.npz).")
]
SideB = Annotated[
    Path | None, typer.Argument(metavar="[B]", help="The other one.", show_default="A")
]
OptionsA = Annotated[
    list[str] | None, typer.Option("--a", metavar="KEY=VALUE", help=f"Option of A: {_KEYS}.")
]
OptionsB = Annotated[
    list[str] | None, typer.Option("--b", metavar="KEY=VALUE", help="Option of B, the same.")
]
CompareData = Annotated[
    Path | None,
    typer.Option(
        "--input", help=f"Data both run on: {opt.RECORDINGS}", show_default="random spikes"
    ),
]
CompareSteps = Annotated[
    int | None,
    typer.Option(
        "--timesteps", help="Time steps per sample.", show_default="as in the data, or 32"
    ),
]
Tolerance = Annotated[
    float, typer.Option(help="Difference of an output value that counts as equal.")
]


def compare_command(
    a: SideA,
    b: SideB = None,
    input: CompareData = None,
    a_options: OptionsA = None,
    b_options: OptionsB = None,
    samples: opt.Samples = None,
    tolerance: Tolerance = 0.0,
    timesteps: CompareSteps = None,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    labels: opt.Labels = None,
    seed: opt.RandomSeed = 0,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Find where two networks, or two readings of one, first differ.

    Exit code 0: every spike and output is the same; 1: they differ.
    """
    from snnc.cli.views import comparing, running

    inputs = replace(opt.input_options(encode, bin_us, labels, seed), timesteps=timesteps)
    with running.progress(show=not as_json) as on_progress:
        result = api.compare(
            a,
            b,
            input,
            a_options=a_options or (),
            b_options=b_options or (),
            samples=samples,
            inputs=inputs,
            tolerance=tolerance,
            on_progress=on_progress,
        )
    terminal.present(result, comparing.show, as_json=as_json)
    if not result.equal:
        raise typer.Exit(terminal.NO)
