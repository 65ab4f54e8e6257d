"""What fewer chips cost: the same network on 1, 2, 4 ... chips, in as many phases as it takes.

Two networks on the toy mesh (16 cores of 64 neurons per chip): the shipped digits network with its
test images, and one of the published N-MNIST network's shape with random weights and events.  Then
plans alone, for random networks of up to 24 layers with branches, skips, delays and loops on a
machine of 12 small cores::

    python benchmarks/phases.py [--samples 4] [--random 8]
    python benchmarks/phases.py --loops 600 1200 2600

The second plans, and nothing else, loops of so many neurons, all to all, on a machine of 24: the
number of phases that take turns and CPU-seconds.

Beside our plan stands *first fit*: populations in order, a new phase when the next does not fit by
the cores that each takes alone, those larger than the machine cut into equal parts.  "moved" are
the bytes that cross between host and machine because of the cuts (spikes kept and played in, inputs
read again, synapses loaded again), by the same measure for both plans.  Every run of the first two
is compared with the reference, spike by spike.  Times of compiling are CPU-seconds of this process;
loading has no price on this machine, so the chip's time is that of the ticks.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support import nets
from support.cli import DIGITS
from support.phase_networks import phase_network, tiny_machine

from snnc.backends.targets import load
from snnc.calibrating import CalibrationSource
from snnc.compiler import phases
from snnc.compiler.legalize import legalize
from snnc.compiler.options import CompileOptions
from snnc.compiler.phases.choose import first_fit
from snnc.compiler.phases.plan import Planner
from snnc.compiler.pipeline import Compilation
from snnc.equality import differences
from snnc.inputs import InputOptions
from snnc.ir.deployment import Deployment
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.phased import PhasedDeployment, Program
from snnc.ir.types import BIN
from snnc.running import Simulator
from snnc.simulators import reference

CHIPS = (1, 2, 3, 4, 6, 8, 12, 16)
STEPS = 10
IMAGES = DIGITS.with_name("digits_test.npz")
COLUMNS = (
    "chips", "cores", "phases", "at least", "first fit", "moved B", "first fit moved B", "ticks",
    "load kB", "buffer B", "chip s per sample", "compile CPU-s", "spikes", "mismatches",
)  # fmt: skip


def main() -> None:
    """Print one table per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--random", type=int, default=8)
    parser.add_argument("--loops", type=int, nargs="+", help="neurons of loops to plan")
    arguments = parser.parse_args()
    if arguments.loops:
        looped(arguments.loops)
        return
    for title, build in NETWORKS.items():
        print(f"\n{title}\n\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
        for chips in CHIPS:
            job = build(chips)
            started = time.process_time()
            program = job.run()
            seconds = time.process_time() - started
            assert program is not None  # no stage to stop after
            cells = [chips, *facts(job, program), *measured(program, seconds, arguments.samples)]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            if isinstance(program, Deployment):
                break
    branched(arguments.random)


def digits(chips: int) -> Compilation:
    """The shipped network, calibrated on its test images."""
    options = CompileOptions("toy-mesh", timesteps=STEPS, chips=chips, phases="auto")
    source = CalibrationSource(IMAGES, InputOptions(encode="direct"), options)
    return Compilation(DIGITS, options, source, source.static)


def nmnist(chips: int) -> Compilation:
    """The shape of the published N-MNIST network; nothing is known of its spikes."""
    options = CompileOptions("toy-mesh", timesteps=STEPS, chips=chips, phases="auto")
    return Compilation(nets.cnn_sinabs(), options)


NETWORKS = {"digits_cnn": digits, "N-MNIST network, random weights": nmnist}


def inputs(program: Program, samples: int) -> dict[str, Any]:
    """Test images for the digits, random events for others."""
    random, result = np.random.default_rng(0), {}
    for node in program.network.of_type(Input):
        if node.shape == (1, 8, 8):
            with np.load(IMAGES) as data:
                images = data["x"][:samples].astype(np.int64).reshape(samples, 1, *node.shape)
            result[node.name] = np.repeat(images, STEPS, axis=1)
        else:
            raster = random.random((samples, STEPS, *node.shape)) < 0.1
            result[node.name] = raster.astype(np.int64)
    return result


def facts(job: Compilation, program: Program) -> Iterator[Any]:
    """Cores to buffer: what the plan says, beside first fit."""
    if not isinstance(program, PhasedDeployment):
        yield from (program.cores.count, 1, 1, 1, 0, 0, program.ticks, "-", 0)
        return
    plan, cost = program.report["plan"], program.report["cost"]
    machine = phases.Machine(load("toy-mesh"), program.chips, program.timesteps)
    count, moved = baseline(Planner(program.network, machine, job.rates, None))
    yield sum(phase.cores.count for phase in program.phases)
    yield from (plan["phases"], plan["phases_lower_bound"], count)
    yield from (f"{plan['moved_bytes']:,}", f"{moved:,}", program.ticks)
    yield f"{cost['reload']['bytes'] / 1e3:.0f}"
    yield f"{cost['buffer_bytes_per_sample']['any_spikes']:,}"


def baseline(planner: Planner) -> tuple[int, int]:
    """Phases and bytes moved of first fit in order, by the cores each population takes alone."""
    cores = planner.machine.cores
    whole = {block.name: math.ceil(planner.alone(block) / cores) for block in planner.blocks}
    planner.cut(whole)
    sizes = [planner.alone(planner.blocks[unit.block]) * unit.share for unit in planner.units]
    choice = first_fit(planner.task(sizes))
    return len(planner.phases_of(choice)), choice.moved


def branched(count: int) -> None:
    """Plans of random networks, and the sums over all of them."""
    names = "seed", "populations", "phases", "at least", "first fit", "moved B", "first fit moved B"
    print(f"\nrandom networks on 12 small cores\n\n| {' | '.join(names)} |\n{'|---' * len(names)}|")
    target, total = tiny_machine(12, neurons=16, axons=192, bits=16384), np.zeros(4, np.int64)
    for seed in range(count):
        network = legalize(phase_network(seed, layers=24), target, "auto")
        machine = phases.Machine(target, 1, STEPS)
        plan = Planner(network, machine, None, None).find().report
        first, moved = baseline(Planner(network, machine, None, None))
        found = plan["phases"], first, plan["moved_bytes"], moved
        total += found
        cells = (seed, len(network.populations), found[0], plan["phases_lower_bound"], *found[1:])
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(
        f"\nphases: {total[0]} beside {total[1]} of first fit; bytes moved: first fit takes "
        f"{total[3] / total[2]:.2f} times as many"
    )


def looped(sizes: list[int]) -> None:
    """Plans of loops in very many phases."""
    target = tiny_machine(2, neurons=12, axons=100_000, bits=10**8)
    print("| neurons | synapses | phases | CPU s | CPU ms per phase |\n|---|---|---|---|---|")
    for size in [60, *sizes]:  # the first compiles the kernels
        random = np.random.default_rng(0)
        nodes = (
            Input("x", (8,), BIN), Linear("w", ("x",), nets.dense(random, size, 8)),
            Delay("late", ("a",), 1),
            Linear("self", ("late",), nets.dense(random, size, size, 0.3)),
            Add("sum", ("w", "self")), nets.fire("a", "sum", (size,)), Output("out", ("a",)),
        )  # fmt: skip
        network = legalize(IntegerNetwork("loop", nodes), target, "auto")
        started = time.process_time()
        planner = Planner(network, phases.Machine(target, 1, STEPS), None, None)
        count = len(planner.find().phases)
        seconds = time.process_time() - started
        if size > 60:
            synapses = sum(p.synapses for p in expand(network).projections)
            each = 1e3 * seconds / count
            print(f"| {size} | {synapses:,} | {count} | {seconds:.2f} | {each:.0f} |", flush=True)


def measured(program: Program, seconds: float, samples: int) -> Iterator[Any]:
    """Time on the chip, time of compiling, and equality with the reference."""
    data = inputs(program, samples)
    truth = reference.run(program.network, data)
    found, chip = Simulator(program, "cycle").run(data, None)
    assert chip is not None
    assert chip.timing is not None
    yield f"{float(chip.timing.seconds.mean()):.3g}"
    yield f"{seconds:.1f}"
    yield f"{sum(int(counts.sum()) for counts in truth.spike_counts.values()):,}"
    yield differences(truth, found)


if __name__ == "__main__":
    main()
