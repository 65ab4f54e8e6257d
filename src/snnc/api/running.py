"""Programs on data: run, stream, verify; and two networks compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snnc.api.arguments import AnyPath, as_compiled, check_output, loaded, one_phase, opened, silent
from snnc.choices import COMPARED, Backend
from snnc.ir.errors import OptionError
from snnc.results import CompareReport, RunReport, Verification

if TYPE_CHECKING:
    from snnc.backends.lava import LavaOptions
    from snnc.inputs import InputOptions
    from snnc.ir.deployment import Deployment
    from snnc.ir.phased import Program
    from snnc.resuming import SaveOptions
    from snnc.running import Progress
    from snnc.simulators.cycle.timing import Fidelity
    from snnc.streaming import StreamOptions, StreamReport


def run(
    deployment: AnyPath | Program,
    input: AnyPath,
    *,
    backend: Backend = "cycle",
    samples: int | None = None,
    inputs: InputOptions | None = None,
    compare: int = COMPARED,
    trace: AnyPath | None = None,
    decode: str | None = None,
    early_stop: float | None = None,
    deadline: float | None = None,
    threads: int = 1,
    lava: LavaOptions | None = None,
    noc: Fidelity = "transaction",
    saving: SaveOptions | None = None,
    device: str | None = None,
    on_progress: Progress = silent,
) -> RunReport:
    """Run an artifact on data.

    Args:
        deployment: ``.snnc`` file, or a program in memory.
        input: ``.npz``, N-MNIST recording, or a folder or zip of recordings.
        backend: "cycle" (time and energy), "functional" (fast), "reference" (the definition) or
            "lava" (Intel's framework, in a process of its own; see docs/lava.md).
        samples: run only the first so many.
        inputs: how data becomes time steps; what it leaves open is as the network was compiled.
        compare: compare the backend with the reference on the first so many samples.
        trace: file that receives the spikes of every population, and the chip's time series:
            ``.h5``, ``.npz``, or ``.json`` to look at in a browser.
        decode: how outputs become classes, see ``snnc.simulators.decoding``; None as the model.
        early_stop: end a sample when the best class leads the second by this much.
        deadline: seconds that a sample may take on the chip; ``deadline`` of the report says
            whether they sufficed.
        threads: samples run at the same time, by the cycle or functional simulator.
        lava: interpreter and patience of the Lava backend.
        noc: network-on-chip of the cycle simulator: "transaction" (event-driven), "flit" (cycle by
            cycle, slower) or "none" (takes no time).
        saving: file that receives what was found every so many samples, and whether to go on from
            it; with ``trace`` the samples' traces are kept beside it.
        device: "cuda" or "cpu-torch": the functional simulator on PyTorch, many samples at once;
            None is the compiled one.
        on_progress: called as (samples done, samples in total).

    Raises:
        SnncError: what is wrong with artifact, data or options, and what to do.
    """
    from snnc.deadline import Deadline
    from snnc.deciding import Rules
    from snnc.execution import execute
    from snnc.in_phases import check_run
    from snnc.inputs import InputOptions
    from snnc.parallel import check_threads

    check_threads(threads, backend)
    if device is not None and threads > 1:
        raise OptionError(
            "a device runs all samples at once", where="--threads", found=f"{threads}, {device}",
            remedy="leave one of the two out",
        )  # fmt: skip
    if compare < 0:
        raise OptionError("must not be negative", where="--compare", found=compare)
    _check_files(trace, saving, backend, input, deployment)
    limit = Deadline.of(deadline, backend)
    program = opened(deployment)
    check_run(
        program,
        backend,
        early_stop=early_stop,
        deadline=deadline,
        trace_suffix=None if trace is None else Path(trace).suffix.lower(),
    )
    rules = Rules.of(program, decode, early_stop)
    data = loaded(program, input, inputs or InputOptions(), samples)
    path = None if trace is None else Path(trace)
    return execute(
        program, data, backend, compare, path, on_progress, rules, lava, noc, limit, threads,
        saving, device,
    )  # fmt: skip


def _check_files(
    trace: AnyPath | None, saving: SaveOptions | None, backend: Backend, *sources: object
) -> None:
    """Raise where a run could not write its trace or checkpoint, or would write over its inputs."""
    from snnc.traces import check_format

    if trace is not None:
        check_output(Path(trace), *sources)
        check_format(Path(trace), backend)
    if saving is not None and saving.checkpoint is not None:
        check_output(saving.checkpoint, *sources)
        if trace is not None and Path(trace).resolve() == saving.checkpoint.resolve():
            raise OptionError(
                "trace and checkpoint are two files",
                where="--checkpoint", found=f"{trace} for both", remedy="choose another path",
            )  # fmt: skip


def stream(
    deployment: AnyPath | Deployment,
    input: AnyPath,
    *,
    options: StreamOptions | None = None,
    inputs: InputOptions | None = None,
    on_window: Callable[[int], None] = silent,
) -> StreamReport:
    """Run an artifact on an endless event recording in bounded memory; see docs/streaming.md.

    Args:
        deployment: ``.snnc`` file, or a deployment in memory.
        input: ``.bin``, ``.bs2``, ``.dat``, or ``.npy`` with the fields t, x, y, p.
        options: windows, checkpoints, where to end; simulator, and network-on-chip of a chip.
        inputs: width of a time step and encoding; what it leaves open is as compiled.
        on_window: called with the steps run after every window.

    Raises:
        SnncError: what is wrong with artifact, recording, options or checkpoint.
    """
    from snnc.inputs import InputOptions
    from snnc.streaming import StreamOptions, run_stream

    chosen = options or StreamOptions()
    if chosen.checkpoint is not None:
        check_output(chosen.checkpoint, input, deployment)
    program = one_phase(deployment)
    bins = as_compiled(program, inputs or InputOptions())
    return run_stream(program, Path(input), chosen, bins, on_window)


def verify(
    deployment: AnyPath | Program,
    input: AnyPath | None = None,
    *,
    samples: int = COMPARED,
    seed: int = 0,
    inputs: InputOptions | None = None,
) -> Verification:
    """Check a deployment independently of how it was made.

    Structure: capacities, routes, certificate, synapses, schedule.  Equality: reference,
    functional and cycle simulators on the given data, or on random legal input.

    Raises:
        SnncError: the artifact or data cannot be read; broken rules do not raise.
    """
    from snnc.execution import verification
    from snnc.inputs import InputOptions

    if samples < 1:
        raise OptionError("must be at least 1", where="--samples", found=samples)
    if seed < 0:
        raise OptionError("must not be negative", where="--seed", found=seed)
    program = opened(deployment)
    data = None
    if input is not None:
        data = loaded(program, input, inputs or InputOptions(), samples)
    return verification(program, data, samples, seed)


def compare(
    a: AnyPath,
    b: AnyPath | None = None,
    input: AnyPath | None = None,
    *,
    a_options: Sequence[str] = (),
    b_options: Sequence[str] = (),
    samples: int | None = None,
    inputs: InputOptions | None = None,
    tolerance: float = 0.0,
    on_progress: Progress = silent,
) -> CompareReport:
    """Find where two readings of a network first differ: layer, step, neuron and both values.

    Args:
        a: model file, artifact, or recorded spikes (``.npz``).
        b: the other one; None is the same file as ``a``, read with other options.
        input: data both run on; None takes random spikes.
        a_options, b_options: ``"key=value"`` of a side, see docs/compare.md.
        samples: run only the first so many.
        inputs: how data becomes time steps.
        tolerance: difference of an output value that still counts as equal.
        on_progress: called as (samples done, samples in total).

    Raises:
        SnncError: what is wrong with files, data or options, and what to do.
    """
    from snnc import comparing, sides
    from snnc.inputs import InputOptions

    left = sides.opened(Path(a), a_options, "--a")
    right = sides.opened(Path(a if b is None else b), b_options, "--b")
    path = None if input is None else Path(input)
    return comparing.compared(
        left, right, path, inputs or InputOptions(), samples, tolerance, on_progress
    )
