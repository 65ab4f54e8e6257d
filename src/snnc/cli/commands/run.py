"""``snnc run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snnc import api
from snnc.choices import BACKENDS, COMPARED, Backend
from snnc.cli import options as opt
from snnc.cli import terminal
from snnc.ir.errors import OptionError

if TYPE_CHECKING:
    from snnc.backends.lava import LavaOptions

Data = Annotated[Path, typer.Option("--input", help=opt.RECORDINGS)]
BackendName = Annotated[
    str, typer.Option(help="Simulator: cycle (time, energy), functional (fast), reference, lava.")
]
Compare = Annotated[
    int, typer.Option(help="Compare with the reference on the first so many samples.")
]
Trace = Annotated[
    Path | None,
    typer.Option(help="Write spikes and time series: .h5 or .npz, or .json for ui.perfetto.dev."),
]
Decode = Annotated[
    str | None,
    typer.Option(
        help="How outputs become classes: count, sum, last, max, first, leaky:tau=STEPS.",
        show_default="as the model says",
    ),
]
EarlyStop = Annotated[
    float | None,
    typer.Option(
        help="End a sample when the best class leads the second by so much.",
        show_default="run all steps",
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option(help="Seconds a sample may take on the chip; exit code 1 when one takes longer."),
]
Threads = Annotated[
    int, typer.Option(help="Samples run at the same time (cycle and functional simulator).")
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Functional simulator on PyTorch, same integers: cuda, cpu-torch.",
        show_default="compiled, without PyTorch",
    ),
]
SaveEvery = Annotated[
    int, typer.Option("--checkpoint-every", help="Samples between two checkpoints.")
]
LavaPython = Annotated[
    Path | None,
    typer.Option(
        help="Interpreter that has lava-nc, for --backend lava.",
        show_default="$SNNC_LAVA_PYTHON, this one, or that of `snnc setup lava`",
    ),
]
LavaTimeout = Annotated[
    float | None,
    typer.Option(help="Seconds without a time step after which Lava hangs.", show_default="120"),
]


def run_command(
    artifact: opt.Artifact,
    input: Data,
    backend: BackendName = "cycle",
    samples: opt.Samples = None,
    compare: Compare = COMPARED,
    trace: Trace = None,
    decode: Decode = None,
    early_stop: EarlyStop = None,
    noc: opt.Noc = "transaction",
    deadline: Deadline = None,
    threads: Threads = 1,
    device: Device = None,
    checkpoint: opt.Checkpoint = None,
    checkpoint_every: SaveEvery = 100,
    resume: opt.Resume = False,
    lava_python: LavaPython = None,
    lava_timeout: LavaTimeout = None,
    encode: opt.Encode = None,
    bin_us: opt.BinUs = None,
    labels: opt.Labels = None,
    seed: opt.EncoderSeed = 0,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Run a compiled network on the emulated chip.

    Exit code 1 when a sample misses the deadline.
    """
    from snnc.cli.views import running
    from snnc.resuming import SaveOptions

    saving = SaveOptions(checkpoint, checkpoint_every, resume)
    with running.progress(show=not as_json) as on_progress:
        result = api.run(
            artifact,
            input,
            backend=_backend(backend),
            samples=samples,
            inputs=opt.input_options(encode, bin_us, labels, seed),
            compare=compare,
            trace=trace,
            decode=decode,
            early_stop=early_stop,
            deadline=deadline,
            threads=threads,
            lava=_lava(backend, lava_python, lava_timeout),
            noc=opt.noc_model(noc),
            saving=saving,
            device=device,
            on_progress=on_progress,
        )
    terminal.present(result, running.show, as_json=as_json)
    if result.deadline is not None and not result.deadline["met"]:
        raise typer.Exit(terminal.NO)


def _backend(name: str) -> Backend:
    """The backend of this name.

    Raises:
        OptionError: there is none.
    """
    if name not in BACKENDS:
        raise OptionError(
            "unknown backend", where="--backend", found=name, allowed=", ".join(BACKENDS)
        )
    return name


def _lava(name: str, python: Path | None, timeout: float | None) -> LavaOptions | None:
    """Options of the Lava backend.

    Raises:
        OptionError: they are given for another backend, or the timeout is not positive.
    """
    if name != "lava":
        for flag, value in (("--lava-python", python), ("--lava-timeout", timeout)):
            if value is not None:
                raise OptionError(
                    "the option applies to --backend lava only", where=flag, found=value
                )
        return None
    from snnc.backends.lava import LavaOptions

    if timeout is None:
        return LavaOptions(python)
    if not 0 < timeout < float("inf"):
        raise OptionError("must be positive", where="--lava-timeout", found=timeout)
    return LavaOptions(python, timeout)
