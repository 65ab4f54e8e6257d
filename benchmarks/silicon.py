"""Our numbers against published measurements of chips: ``python benchmarks/silicon.py``.

1. TrueNorth: chip power, from a simulated core and the target's costs, and from an affine model
   that is fitted to two published operating points and tested on a third.
2. Loihi 1: energy of a k-nearest-neighbour query, from published event counts and the target's
   costs.
3. Loihi 2: synaptic operations of PilotNet on the 74 cores of the vendor's partition, core by core,
   and time per frame.  The operations have no coefficient.  That of time, seconds per operation of
   the busiest core, is fitted on one board and tested on the other; beside it stands one that is
   not fitted at all.  The vendor's plot is of a network without a picture: the 25 cores of its
   second layer, which alone hear the first one, do nothing that can be seen in it, while deeper
   layers fire by their biases.  (We did not know that before we saw it; a picture stands beside.)

No coefficient is tested on the number it was fitted to.  What the literature reports for its own
models stands beside each error.  The third part needs lava-dl's files and measurements (see
``SNNC_SHARED_DATA``); without them it is skipped.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.paths import shared_data
from support.simple_mapping import Options, simple_mapping

from snnc.backends import targets
from snnc.compiler.frontends import netx
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.target import Cost, CostTable, Quantity, Target
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import cycle, functional
from snnc.simulators.cycle.energy import KINDS, prices

# TrueNorth at 0.8 V, mean rate in Hz -> W, 128 active synapses per neuron (Merolla et al., Science
# 2014, supplement); the third one is held out.
POINTS = ((11.58, 0.068), (95.93, 0.094))
HELD_OUT = (20.07, 0.071)
NEURONS, SYNAPSES, CORES = 1 << 20, 128, 4096

# Frady et al., NICE 2020: one query of 76,800 patterns on Loihi 1, J, and the published range of
# its events.
QUERY_J = 1.33e-3
EVENTS, UPDATES = (5.1e7, 5.8e7), 4.6e6

# PilotNet SNN on Loihi 2: neurons are divided evenly among so many cores per layer (lava-dl's
# compiler); the boards of the measurements.
PARTITION = (13, 25, 13, 3, 3, 2, 12, 1, 1, 1)
FITTED_ON, TESTED_ON = "kp_build", "oheogulch"
STEPS_PER_FRAME = 16
ACTIVITY = "lava_dl_pilotnet_snn_loihi2_per_core_activity_digitized.csv"
RUN_STEPS = 10_000  # of the profiled run
LEGEND = (66, 67)  # digitised points that lie in the plot's legend
LOIHI1_SYNOP_S, SYNOP_SPEEDUP = 3.5e-9, 5.0  # Davies et al. 2018; Intel's Loihi 2 brief


def line(name: str, found: float, measured: float, unit: str, other: str) -> None:
    """One row of the table."""
    print(
        f"  {name:58} {found:9.4g} {unit:3} measured {measured:9.4g}  "
        f"error {found / measured - 1:+7.1%}   {other}"
    )


def crossbar(rate: float, seconds: int) -> tuple[IntegerNetwork, dict[str, np.ndarray]]:
    """One core: 256 axons that fire at this rate in ticks of 1 ms, 128 synapses each."""
    rng = np.random.default_rng(0)
    weights = np.zeros((256, 256), np.int64)
    for axon in range(256):
        weights[rng.permutation(256)[:SYNAPSES], axon] = 1
    nodes = (
        Input("x", (256,), BIN),
        Linear("w", ("x",), Dense(weights)),
        Neuron("n", ("w",), (256,), np.array([100]), Reset("value")),
        Output("out", ("n",)),
    )
    spikes = rng.random((1, 1000 * seconds, 256)) < rate * 1e-3
    return IntegerNetwork("crossbar", nodes), {"x": spikes.astype(np.int64)}


def watts(target: Target, rate: float) -> float:
    """Power of a chip full of such cores: dynamic, and static where the target has a figure."""
    network, inputs = crossbar(rate, 2)
    steps = inputs["x"].shape[1]
    deployment = simple_mapping(network, target, steps, options=Options(neurons_per_core=256))
    result = cycle.run(deployment, inputs, (), timing=False)
    # The rate that was drawn, brought to the rate that is meant.
    drawn = inputs["x"].mean() * 1e3
    dynamic = float(result.energy.dynamic[0]) / (steps * 1e-3) * CORES * rate / drawn
    scope, static = target.costs.scope, target.static_w_per_chip.v
    return dynamic if scope == "all_in" else dynamic + float(static or 0.0)


def truenorth() -> None:
    """Power at 20.07 Hz."""
    print("TrueNorth, 4096 cores, 128 synapses per neuron, 20.07 Hz:")
    shipped = targets.load("truenorth")
    rate, measured = HELD_OUT
    name = "target's all-in 26 pJ per synaptic event (0.775 V)"
    line(name, watts(shipped, rate) * 1e3, measured * 1e3, "mW", "46 GSOPS/W: 21.7 pJ, -18 %")
    (low, low_w), (high, high_w) = POINTS
    joule = (high_w - low_w) / ((high - low) * NEURONS * SYNAPSES)
    static = low_w - joule * low * NEURONS * SYNAPSES
    event = Cost(energy=joule, src="merolla", ev="fitted")
    table = CostTable(scope="per_term", events={"synapse_op_dense": event})
    affine = shipped.model_copy(
        update={
            "cost_sets": {"affine": table},
            "default_cost": "affine",
            "static_w_per_chip": Quantity(v=static, u="W", ev="fitted"),
        }
    )
    name = f"affine {static * 1e3:.1f} mW + {joule * 1e12:.3f} pJ, fitted to 11.58 and 95.93 Hz"
    line(name, watts(affine, rate) * 1e3, measured * 1e3, "mW", "literature: 70.62 mW, -0.5 %")


def loihi1() -> None:
    """A query of the k-nearest-neighbour search."""
    print("Loihi 1, k-NN query over 76,800 patterns, dynamic energy:")
    shipped = targets.load("loihi1")
    for name, other in (
        ("presilicon", "literature: +9 to +20 % (Davies 2018, its counts)"),
        ("fitted", "literature: +55 to +71 % (SANA-FE's constants)"),
    ):
        price = dict(zip(KINDS, prices(shipped.cost_sets[name]), strict=True))
        for events in EVENTS:
            joule = events * price["synapse_op_dense"] + UPDATES * price["neuron_access"]
            line(
                f"{name} costs, {events:.2g} events, neurons looked at",
                joule * 1e3, QUERY_J * 1e3, "mJ", other,
            )  # fmt: skip
        joule += UPDATES * price["neuron_update"]
        line(
            f"{name} costs, {EVENTS[1]:.2g} events, all updated",
            joule * 1e3,
            QUERY_J * 1e3,
            "mJ",
            "",
        )


def core_loads(network: IntegerNetwork, frame: np.ndarray, frames: int) -> list[np.ndarray]:
    """By layer, [cores] synaptic operations per step; a layer is divided evenly among its cores."""
    steps = STEPS_PER_FRAME * frames
    name = network.of_type(Input)[0].name
    still = np.broadcast_to(frame, (1, steps, *frame.shape))
    result = functional.run(network, {name: still})
    layers = [population.name for population in network.populations]
    loads = {layer: np.zeros(population.size) for layer, population in
             zip(layers, network.populations, strict=True)}  # fmt: skip
    for projection in expand(network).projections:
        if projection.source not in result.spikes:
            continue  # pixels enter the first layer as biases
        sent = np.bincount(
            result.spikes[projection.source].index, minlength=projection.row_ptr.size - 1
        )
        heard = np.repeat(sent, np.diff(projection.row_ptr))
        loads[projection.population] += np.bincount(
            projection.target, heard, minlength=projection.targets
        )
    return [
        np.array([part.sum() for part in np.array_split(loads[layer], cores)]) / steps
        for layer, cores in zip(layers, PARTITION, strict=True)
    ]


def plotted(base: Path) -> tuple[np.ndarray, np.ndarray]:
    """[cores] operations per step in the vendor's plot, and which cores it really shows.

    Hidden points lie below other curves, at most 5 % of the busiest core, and count as 0.
    """
    with (base / "hardware" / ACTIVITY).open() as file:
        each = np.array([float(row["syn_ops"] or 0) for row in csv.DictReader(file)])
    shown = ~np.isin(np.arange(each.size), LEGEND)
    return each / RUN_STEPS, shown


def measured_rows(base: Path) -> Iterator[dict[str, str]]:
    """The measurements of the spiking PilotNet."""
    with (base / "hardware" / "lava_dl_loihi2_pilotnet.csv").open() as file:
        yield from (row for row in csv.DictReader(file) if row["workload"] == "pilotnet_snn")


def loihi2() -> None:
    """PilotNet."""
    base = shared_data()
    model = base and base / "hardware" / "lava_dl_pilotnet" / "pilotnet_snn_network.net"
    image = base and base / "lava_dl" / "pilotnet_lif" / "image.npy"
    if base is None or not (model and model.exists() and image and image.exists()):
        print("Loihi 2, PilotNet: skipped, its files are not here (set SNNC_SHARED_DATA)")
        return
    print("Loihi 2, PilotNet SNN on the vendor's 74 cores, 4 frames:")
    network, picture = netx.read(model), np.load(image).T.astype(np.int64)
    chip, shown = plotted(base)
    for name, frame in (("a picture", picture), ("no picture", np.zeros_like(picture))):
        layers = core_loads(network, frame, frames=4)
        loads = np.concatenate(layers[::-1])  # the plot begins with the last layer
        r = np.corrcoef(loads[shown], chip[shown])[0, 1]
        print(f"  {name}: {shown.sum()} cores in order, correlation {r:.3f}"
              "   literature: r >= 0.97 (Intel, max-affine, of runtime)")  # fmt: skip
        if name == "a picture":
            continue
        edges = np.cumsum([0, *PARTITION[::-1]])
        for layer in range(2, 6):
            part = slice(*edges[len(PARTITION) - 1 - layer : len(PARTITION) + 1 - layer])
            line(f"operations per step, layer {layer + 1}", loads[part].sum(), chip[part].sum(),
                 "", f"{PARTITION[layer]} cores")  # fmt: skip
        line("operations per step of the busiest core", loads.max(), chip[shown].max(), "",
             "digitised to +-400")  # fmt: skip
    times: dict[str, list[float]] = {}
    for row in measured_rows(base):
        times.setdefault(row["partition"], []).append(float(row["time_per_step_us"]) * 1e-6)
    busiest = float(loads.max())
    tested = STEPS_PER_FRAME * float(np.mean(times[TESTED_ON])) * 1e3
    other = "literature: 24.3 % (SANA-FE on Loihi 1)"
    nominal = LOIHI1_SYNOP_S / SYNOP_SPEEDUP
    fitted = float(np.mean(times[FITTED_ON])) / busiest
    for name, each in (
        (f"{nominal * 1e9:.2f} ns per operation, not fitted", nominal),
        (f"{fitted * 1e9:.3f} ns per operation, fitted on {FITTED_ON}", fitted),
    ):
        line(f"time per frame on {TESTED_ON}: {name}", each * busiest * 16e3, tested, "ms", other)


if __name__ == "__main__":
    truenorth()
    loihi1()
    loihi2()
