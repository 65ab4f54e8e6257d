"""Speed of the functional and cycle simulators against Lava's own CPU simulation.

    python benchmarks/lava_speed.py [--only mlp,conv,pilotnet] [--without-cycle]

One run prints everything its ratios use.  All run the same integer network on the same input, one
sample, one thread; Lava without recorders, so that it does nothing but simulate.  Steps per second
leave out starting; what starting takes stands beside it.  Ratios are printed by the clock and in
CPU seconds of all processes; the latter decide, for other work on the machine leaves them alone.
The cycle simulator emulates packets and
cores on a machine with room for everything, with timing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.lava import run_on_lava
from snnc.backends.lava.jobs import Job
from snnc.backends.lava.lower import lower
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Index, Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense, Weights
from snnc.simulators import cycle, functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from measuring import Time, measure
from support.lava_zoo import pilotnet
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

M = 1 << 23
RATE = 0.1
NEURONS_PER_CORE = 1024


@dataclass(frozen=True, eq=False)
class Subject:
    """What is measured: a network, its input for our simulators and a shorter one for Lava."""

    name: str
    network: IntegerNetwork
    x: Any
    lava_steps: int
    wanted: float


def lif(name: str, source: str, shape: tuple[int, ...], vth: int) -> Neuron:
    """Lava's LIF."""
    leak = Leak(np.array(3686), 12, "toward_zero")
    return Neuron(
        name, (source,), shape, np.array([(vth << 6) + 1]), Reset("value"), leak, leak, 6,
        state_range=StateRange(-M + 1, M - 1), current_range=StateRange(-M + 1, M, "wrap"),
    )  # fmt: skip


def mlp() -> IntegerNetwork:
    """784-512-256-10, dense."""
    rng = np.random.default_rng(0)
    nodes: list[Any] = [Input("x", (784,), BIN)]
    source = "x"
    for i, (into, out, vth) in enumerate(((784, 512, 9000), (512, 256, 6700), (256, 10, 2000))):
        weights = Dense(2 * rng.integers(-50, 51, (out, into)))
        nodes += [Linear(f"w{i}", (source,), weights), lif(f"n{i}", f"w{i}", (out,), vth)]
        source = f"n{i}"
    return IntegerNetwork("784-512-256-10", (*nodes, Output("out", (source,))))


def conv() -> IntegerNetwork:
    """28x28-16c5-32c5-10, stride 1, no pool."""
    rng = np.random.default_rng(0)

    def kernel(*shape: int) -> Conv:
        return Conv(2 * rng.integers(-40, 41, shape), (1, 1), ((0, 0),) * 2, (1, 1))

    weights: list[Weights] = [kernel(16, 1, 5, 5), kernel(32, 16, 5, 5)]
    nodes = (
        Input("x", (1, 28, 28), BIN),
        Linear("w0", ("x",), weights[0]), lif("n0", "w0", (16, 24, 24), 1300),
        Linear("w1", ("n0",), weights[1]), lif("n1", "w1", (32, 20, 20), 4700),
        Index("flat", ("n1",), (12800,)),
        Linear("w2", ("flat",), Dense(2 * rng.integers(-40, 41, (10, 12800)))),
        lif("n2", "w2", (10,), 11000), Output("out", ("n2",)),
    )  # fmt: skip
    return IntegerNetwork("28x28-16c5-32c5-10", nodes)


def subjects(names: list[str]) -> Iterator[Subject]:
    """The networks asked for; PilotNet only where its file is."""
    rng = np.random.default_rng(1)
    if "mlp" in names:
        x = (rng.random((1, 1000, 784)) < RATE).astype(np.int64)
        yield Subject("mlp", mlp(), x, 1000, 20)
    if "conv" in names:
        x = (rng.random((1, 200, 1, 28, 28)) < RATE).astype(np.int64)
        yield Subject("conv", conv(), x, 60, 100)
    found = pilotnet() if "pilotnet" in names else None
    if found is not None:
        case = found[1]
        yield Subject("pilotnet", case.network, case.inputs["input"], 17, 100)


def compare(subject: Subject, with_cycle: bool) -> None:
    """Print one network's speeds and ratios."""
    network, name = subject.network, subject.network.of_type(Input)[0].name
    steps = subject.x.shape[1]
    begin = time.perf_counter()
    plan = lower(network, subject.lava_steps)
    job = Job(plan, {name: subject.x[:, : subject.lava_steps]}, record=False)
    (run,) = run_on_lava([job])
    whole = time.perf_counter() - begin
    (short,) = run_on_lava([Job(lower(network, 1), {name: subject.x[:, :1]}, record=False)])
    steps_more = run.time_steps - short.time_steps
    lava = Speed((run.time_steps - 1) / run.run_seconds,
                 steps_more / max(run.cpu_seconds - short.cpu_seconds, 1e-3))  # fmt: skip
    own = sum(p.name not in plan.notes for p in network.populations)
    print(f"\n{subject.name}: {network.name}, {own} of {len(network.populations)} populations "
          f"Lava's own")  # fmt: skip
    show("Lava", lava, lava, f"start {run.start_seconds:.2f} s, whole call {whole:.2f} s")
    begin = time.perf_counter()
    simulator = functional.Functional(network)
    start = time.perf_counter() - begin
    inputs = {name: subject.x}
    fast = Speed.of(steps, measure(lambda: simulator.run(inputs, (), threads=1), 5))
    enough = fast.cpu >= subject.wanted * lava.cpu
    show("functional", fast, lava, f"start {start:.2f} s" + (
        "" if enough else f", below {subject.wanted:g} x"))  # fmt: skip
    counts = simulator.run(inputs, (), threads=1).spike_counts
    active = [f"{int(counts[p.name][0]) / steps / p.size:.1%}" for p in network.populations
              if p.emit == "count"]  # fmt: skip
    print(f"  active neurons per step: {', '.join(active)}")
    if not with_cycle:
        return
    begin = time.perf_counter()
    neurons = sum(p.size for p in network.populations)
    target = small_target(16, 8, max(1, -(-neurons // NEURONS_PER_CORE // 100)))
    target = target.model_copy(update={"spike": replace_payload(target.spike)})
    deployment = simple_mapping(network, target, steps, options=Options(NEURONS_PER_CORE))
    start = time.perf_counter() - begin
    for timing in (True, False):
        took = measure(lambda t=timing: cycle.run(deployment, inputs, (), timing=t), 1)  # type: ignore[misc]
        label = "cycle" if timing else "cycle without timing"
        show(label, Speed.of(steps, took), lava, f"start {start:.2f} s")


@dataclass(frozen=True)
class Speed:
    """Time steps per second of the clock, and per second of all processors used."""

    wall: float
    cpu: float

    @staticmethod
    def of(steps: int, took: Time) -> Speed:
        """From what so many steps took."""
        return Speed(steps / took.wall, steps / took.cpu)


def show(label: str, speed: Speed, lava: Speed, more: str) -> None:
    """One line of the table."""
    print(
        f"  {label:<22}{speed.wall:>9.1f} steps/s {speed.wall / lava.wall:>7.1f} x   "
        f"{1e3 / speed.cpu:>9.2f} ms CPU per step {speed.cpu / lava.cpu:>7.1f} x   {more}",
        flush=True,
    )


def replace_payload(spike: Any) -> Any:
    """Packets that hold any input value."""
    return spike.model_copy(update={"payload_bits": 16, "signed": True})


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="mlp,conv,pilotnet")
    parser.add_argument("--without-cycle", action="store_true")
    options = parser.parse_args()
    for subject in subjects(options.only.split(",")):
        compare(subject, not options.without_cycle)


if __name__ == "__main__":
    main()
