"""Runs layers of integer LIF neurons on nengo-loihi's emulator; in its own environment.

argv: input .npz (weights per layer as CSR, decays, threshold, events), output .npz.  nengo-loihi is
given integers directly: its own discretisation of real parameters is not what is compared.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from nengo_loihi.block import Axon, LoihiBlock, Synapse
from nengo_loihi.emulator import EmulatorInterface
from nengo_loihi.inputs import SpikeInput
from nengo_loihi.probe import LoihiProbe


def block_of(size: int, job: Any) -> LoihiBlock:
    """Current-based leaky neurons with the job's decays and threshold, reset to zero."""
    block = LoihiBlock(size)
    neurons = block.compartment
    neurons.bias = np.zeros(size, np.int32)
    neurons.vth = np.full(size, int(job["threshold"]), np.int32)
    neurons.decay_u = np.full(size, int(job["decay_u"]), np.int32)
    neurons.decay_v = np.full(size, int(job["decay_v"]), np.int32)
    neurons.scale_u = neurons.scale_v = False
    neurons.vmin, neurons.vmax = -(2**23) + 1, 2**23 - 1
    return block


def main() -> None:
    """One job."""
    job = np.load(sys.argv[1])
    layers, steps = int(job["layers"]), int(job["steps"])
    blocks = [block_of(int(job["size"]), job) for _ in range(layers)]
    source: Any = SpikeInput(int(job["inputs"]))
    for t in range(steps):
        source.add_spikes(t + 1, job["index"][job["step"] == t])
    senders = [source, *blocks[:-1]]
    for k, (sender, block) in enumerate(zip(senders, blocks, strict=True)):
        ptr, target, weight = (job[f"{name}{k}"] for name in ("ptr", "target", "weight"))
        synapse = Synapse(ptr.size - 1)
        rows = [slice(a, b) for a, b in pairwise(ptr)]
        synapse._set_weights_indices(
            [weight[r].astype(np.int32) for r in rows],
            [target[r].astype(np.int32) for r in rows],
            weight_dtype=np.int32,
        )
        block.add_synapse(synapse)
        axon = Axon(ptr.size - 1)
        axon.target = synapse
        axon.set_compartment_axon_map(np.arange(ptr.size - 1))
        sender.add_axon(axon)
    probes = [LoihiProbe(target=[b], key="spiked", slice=[slice(None)]) for b in blocks]
    model = SimpleNamespace(blocks=blocks, inputs=[source], probes=probes, dt=0.001)
    emulator = EmulatorInterface(model, seed=0)
    started = time.process_time()
    emulator.run_steps(steps + layers)
    seconds = time.process_time() - started
    spikes = {}
    for k in range(layers):
        # A spike of logical step s is seen s + k + 1 steps after the first, one more for the host.
        raster = np.array(emulator.probes.outputs[probes[k]][0])
        spikes[f"spikes{k}"] = raster[k + 1 : k + 1 + steps]
    np.savez(sys.argv[2], seconds=seconds, **spikes)


main()
