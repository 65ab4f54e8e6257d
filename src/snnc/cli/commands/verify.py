"""``snnc verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnc import api
from snnc.choices import COMPARED
from snnc.cli import options as opt
from snnc.cli import terminal

VerifyData = Annotated[
    Path | None,
    typer.Option("--input", help=f"Data to compare on: {opt.RECORDINGS}", show_default="random"),
]
VerifySamples = Annotated[int, typer.Option("--samples", help="Samples to compare on.")]


def verify_command(
    artifact: opt.Artifact,
    input: VerifyData = None,
    samples: VerifySamples = COMPARED,
    seed: opt.RandomSeed = 0,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Check capacities, certificate and synapses independently, and that all simulators agree.

    Exit code 1 when anything fails.
    """
    from snnc.cli.views import verdicts

    inputs = opt.input_options(encode, bin_us, None, seed)
    result = api.verify(artifact, input, samples=samples, seed=seed, inputs=inputs)
    terminal.present(result, verdicts.show_verification, as_json=as_json)
    if not result.ok:
        raise typer.Exit(terminal.NO)
