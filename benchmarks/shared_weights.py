"""Compile large convolutional networks whose weights are shared, not expanded, stage by stage.

A network of eleven layers (5x5 and 3x3 kernels, strides, a dense head; random int8 weights without
zeros, integrate-and-fire neurons) becomes a checked deployment on Loihi 2, as ``snnc compile``
does it:

    python benchmarks/shared_weights.py [--sizes small,medium,large] [--verify]
    python benchmarks/shared_weights.py --sizes mobilenet,sew
    python benchmarks/shared_weights.py --file ARTIFACT

- small: 13 thousand neurons, 1.3 million synapses; medium: 1 million and 0.1 billion; large: 10
  million and 1.1 billion.  Every size runs in a process of its own.
- mobilenet, sew: networks of ImageNet shape at full width (``real_network_shapes.py``); 5 million
  neurons and 0.6 billion synapses, 2.7 million and 2.5 billion.
- write, read: the artifact, which has to be the same afterwards; of the total they are a part.
- s, CPU s: wall-clock and processor seconds of a stage; GB: its peak of resident memory (Linux).
  A stage of the mapper is listed before the stage that it is a part of.
- small is also compiled with every row written out: equal tables, routes and reports, or the script
  ends with an error.
- --verify: what ``snnc verify --samples 1`` does with the artifact, in another process: the
  checker, then reference, functional and cycle simulator on random input, spike by spike.  The
  last line is a row of the table in docs/mapping-measured.md: CPU s (peak GB) of the stages.
- --file PATH: only that, with an artifact that is there already.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from real_network_shapes import build

from snnc import execution
from snnc.compiler import map as mapper
from snnc.compiler import pipeline
from snnc.compiler import verify as checker
from snnc.compiler.options import CompileOptions
from snnc.ir import artifact, shared_expansion
from snnc.ir.arrays import Shape
from snnc.ir.deployment import CoreTables, Deployment, RouteTables, SharedCoreTables
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Index, Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense
from snnc.simulators import cycle, functional, reference

SIZES = {"small": (40, 1), "medium": (352, 8), "large": (1120, 80)}
"""Pixels along an edge, chips."""
LAYERS = (
    (8, 5, 2), (8, 3, 1), (16, 3, 2), (16, 3, 1), (16, 3, 1), (32, 3, 2), (32, 3, 1), (32, 5, 4),
    (32, 5, 5),
)  # fmt: skip
"""Channels, kernel, stride."""
REAL = {"mobilenet": 38, "sew": 174}
"""Networks of ``real_network_shapes.py`` for images of 224 pixels, and their chips."""
TIMESTEPS = 4
SHIFT = 6
PARTS = {
    mapper: (
        "wire", "partition", "assemble_shared", "assemble", "encode", "_flow", "place",
        "place_for_routes", "mapping_report",
    ),
    pipeline: ("verify", "summarize"),
}  # fmt: skip
"""Functions that are timed, by the module that calls them."""
SIMULATORS = (
    (checker, "examine", "check"),
    (reference, "run", "reference"),
    (functional.Functional, "__init__", "functional: build"),
    (functional.Functional, "run", "functional: run"),
    (cycle, "load", "cycle: load"),
    (cycle, "run", "cycle: run"),
)
"""What ``snnc verify`` does: owner, function, and what the stage is called."""
VERIFIED = {
    "read": ("read",),
    "check": ("check",),
    "reference": ("reference",),
    "functional: build, run": ("functional: build", "functional: run"),
    "cycle: load, run": ("cycle: load", "cycle: run"),
    "all": ("total",),
}
"""Columns of the table of ``--verify``, processor seconds and peak GB: the stages in each."""


def network(pixels: int) -> IntegerNetwork:
    """The network for images of so many pixels along an edge."""
    rng = np.random.default_rng(0)
    nodes: list[Any] = [Input("image", (3, pixels, pixels), BIN)]
    x, shape = "image", (3, pixels, pixels)

    def weights(*extent: int, most: int = 127) -> Any:
        return rng.integers(1, most + 1, extent) * rng.choice([-1, 1], extent)

    def fire(name: str, source: str, extent: Shape) -> str:
        nodes.append(
            Neuron(name, (source,), extent, np.array([641]), Reset("value"), input_shift=SHIFT)
        )
        return name

    for number, (channels, kernel, stride) in enumerate(LAYERS):
        pad = (kernel // 2, kernel // 2)
        values = weights(channels, shape[0], kernel, kernel)
        conv = Conv(values, (stride, stride), (pad, pad), (1, 1))
        nodes.append(Linear(f"conv{number}", (x,), conv))
        shape = (channels, *((n + 2 * pad[0] - kernel) // stride + 1 for n in shape[1:]))
        x = fire(f"n{number}", f"conv{number}", shape)
    count = math.prod(shape)
    nodes.append(Index("flat", (x,), (count,)))
    nodes.append(
        Linear("dense", ("flat",), Dense(weights(10, count, most=31)))
    )  # 24 bits hold them
    x = fire("classes", "dense", (10,))
    return IntegerNetwork(f"{pixels} pixels", (*nodes, Output("out", (x,))))


class Stages:
    """A line per stage: seconds, processor seconds, peak memory."""

    def __init__(self) -> None:
        self.begun, self.cpu = time.perf_counter(), time.process_time()
        self.peak, self.inner = 0.0, 0.0
        self.found: dict[str, str] = {}
        print(f"| {'stage':20} | {'s':>7} | {'CPU s':>7} | {'peak GB':>7} |")
        print(f"|{'-' * 22}|{'-' * 9}|{'-' * 9}|{'-' * 9}|", flush=True)
        parts: list[tuple[Any, str, str]] = [
            (module, name, name.strip("_")) for module, names in PARTS.items() for name in names
        ]
        for owner, name, title in (*parts, *SIMULATORS):
            setattr(owner, name, self.timed(title, getattr(owner, name)))

    @contextmanager
    def __call__(self, name: str, inner: bool = False) -> Iterator[None]:
        """Measure what happens inside."""
        begun, cpu = time.perf_counter(), time.process_time()
        self.inner = max(self.inner, peak()) if inner else 0.0
        reset_peak()
        yield
        most = peak()
        self.inner = max(self.inner, most)
        self.line(name, time.perf_counter() - begun, time.process_time() - cpu,
                  most if inner else self.inner)  # fmt: skip

    def line(self, name: str, seconds: float, cpu: float, most: float) -> None:
        """Print one."""
        self.peak = max(self.peak, most)
        self.found[name.strip()] = f"{cpu:.1f} ({most:.2f})"
        print(f"| {name:20} | {seconds:7.1f} | {cpu:7.1f} | {most:7.2f} |", flush=True)

    def total(self) -> None:
        """The last line."""
        seconds, cpu = time.perf_counter() - self.begun, time.process_time() - self.cpu
        self.line("total", seconds, cpu, self.peak)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, measured whenever it is called."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self(f"  {name}", inner=True):
                return function(*args, **kwargs)

        return wrapper


def reset_peak() -> None:
    """Begin a new peak of resident memory."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """GB at most since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (most,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return most * 1024 / 1e9


def compiled(given: IntegerNetwork, chips: int, stages: Stages | None = None) -> Deployment:
    """Through the pipeline, all stages."""
    running: list[Any] = []

    def on_stage(stage: str, seconds: float | None) -> None:
        if stages is None:
            return
        if seconds is None:
            running.append(stages(stage))
            running[-1].__enter__()
        else:
            running.pop().__exit__(None, None, None)

    options = CompileOptions(target="loihi2", chips=chips, timesteps=TIMESTEPS, time_limit_s=600.0)
    done = pipeline.Compilation(given, options, on_stage=on_stage).run()
    assert isinstance(done, Deployment)
    return done


def fingerprint(done: Deployment) -> str:
    """A checksum over the tables."""
    assert isinstance(done.cores, SharedCoreTables), "the network was written out"
    digest = hashlib.sha256()
    for record in (done.cores, done.cores.rows, done.routes):
        for name in record.__dataclass_fields__:
            value = getattr(record, name)
            if isinstance(value, np.ndarray):
                digest.update(f"{name} {value.dtype}".encode() + b"\n")
                digest.update(value)
    return digest.hexdigest()


def stored(done: list[Deployment], path: Path, stages: Stages) -> Deployment:
    """Written and read again; takes the deployment out of the list, to hold one at a time."""
    expected = fingerprint(done[0])
    with stages("write"):
        artifact.write(done.pop(), path)
    print(f"the artifact has {path.stat().st_size / 1e9:.2f} GB")
    with stages("read"):
        again = artifact.read(path)
    assert fingerprint(again) == expected, "the artifact holds something else"
    return again


def assert_equal(shared: Deployment, plain: Deployment) -> None:
    """Every table, and what the mapper reports but for its seconds."""
    assert isinstance(shared.cores, SharedCoreTables), "the network was written out"
    assert isinstance(plain.cores, CoreTables), "the network was not written out"
    written = shared.cores.plain()
    for name in CoreTables.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(written, name), getattr(plain.cores, name), name)
    for name in RouteTables.__dataclass_fields__:
        ours, theirs = getattr(shared.routes, name), getattr(plain.routes, name)
        assert (ours is None) == (theirs is None)
        np.testing.assert_array_equal(ours, theirs, name)
    for name in ("partition", "traffic", "placement"):
        assert shared.report["map"][name] == plain.report["map"][name], name


def measure(size: str, path: Path) -> None:
    """Compile one size in this process to a file."""
    stages = Stages()
    with stages("network"):
        if size in REAL:
            given, chips = build(size, 224, 1.0, 1000), REAL[size]
        else:
            pixels, chips = SIZES[size]
            given = network(pixels)
    if size == "small":
        shared_expansion.SHARED_FROM = 0
    done = stored([compiled(given, chips, stages)], path, stages)
    stages.total()
    print({name: done.report["map"]["traffic"][name] for name in ("weighted_hops", "nets")})
    cores = done.cores
    assert isinstance(cores, SharedCoreTables), "the network was written out"
    print(
        f"{size}: {cores.neuron_source.size:,} neurons, {cores.rows.synapses:,} synapses on "
        f"{cores.count:,} cores of {chips} chips; {cores.axon_source.size:,} axons, "
        f"{cores.rows.shape_ptr.size - 1:,} shapes of {cores.rows.offset.size:,} entries"
    )
    if size == "small":
        shared_expansion.SHARED_FROM = 10**9
        assert_equal(done, compiled(given, chips))
        print("small: the same tables, routes and figures as with every row written out")


def verify(path: Path) -> None:
    """Check a file and compare all simulators on one sample, in this process."""
    stages = Stages()
    with stages("read"):
        program = artifact.read_program(path)
    with stages("verify"):
        found = execution.verification(program, None, 1, 0)
    stages.total()
    equal = found.equality
    assert found.ok, "the deployment is not what the network says"
    assert equal is not None
    assert equal.spikes > 0, "nothing was compared"
    print(f"{path.stem}: verified; {equal.spikes:,} spikes in {equal.steps} steps, all equal\n")
    print("| " + " | ".join(("network", "spikes", *VERIFIED)) + " |")
    row = (", ".join(stages.found[stage] for stage in each) for each in VERIFIED.values())
    print("| " + " | ".join((path.stem, f"{equal.spikes:,}", *row)) + " |")


def main() -> None:
    """One table per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--verify", action="store_true", help="compare the simulators, too")
    parser.add_argument("--file", type=Path, help="verify this artifact, compile nothing")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        path = Path(arguments.child[1])
        verify(path) if arguments.child[0] == "verify" else measure(path.stem, path)
        return
    if arguments.file is not None:
        verify(arguments.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes.split(","):
            path = Path(folder) / f"{size}.snnc"
            for what in ("compile", "verify") if arguments.verify else ("compile",):
                print(f"\n{size}: {what}\n", flush=True)
                command = [sys.executable, __file__, "--child", what, str(path)]
                if subprocess.run(command, check=False).returncode:
                    sys.exit(f"{size} failed")


if __name__ == "__main__":
    main()
