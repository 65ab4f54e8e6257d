"""``snnc stream``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal

if TYPE_CHECKING:
    from snnc.streaming import Backend

Recording = Annotated[
    Path,
    typer.Option(
        "--input",
        help="Events: .bin, .bs2, .dat, .aedat, .aedat4, or .npy with the fields t, x, y, p.",
    ),
]
StreamBackend = Annotated[
    str, typer.Option(help="Simulator: functional (fast) or cycle (time and energy of the chip).")
]
Window = Annotated[
    int | None,
    typer.Option(help="Steps after which classes are decided.", show_default="of a sample"),
]
StreamSteps = Annotated[
    int | None, typer.Option("--steps", help="End after so many.", show_default="all")
]
CheckpointEvery = Annotated[
    int, typer.Option("--checkpoint-every", help="Steps between two checkpoints.")
]


def stream_command(
    artifact: opt.Artifact,
    input: Recording,
    backend: StreamBackend = "functional",
    noc: opt.Noc = "transaction",
    window: Window = None,
    steps: StreamSteps = None,
    checkpoint: opt.Checkpoint = None,
    checkpoint_every: CheckpointEvery = 10_000,
    resume: opt.Resume = False,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Run a compiled network on an endless recording, without resets, in bounded memory."""
    from snnc.cli.views import streaming
    from snnc.streaming import StreamOptions

    options = StreamOptions(
        window, steps, checkpoint, checkpoint_every, resume,
        cast("Backend", backend), opt.noc_model(noc),
    )  # fmt: skip
    inputs = opt.input_options(encode, bin_us, None)
    with streaming.progress(show=not as_json) as on_window:
        result = api.stream(artifact, input, options=options, inputs=inputs, on_window=on_window)
    terminal.present(result, streaming.show, as_json=as_json)
