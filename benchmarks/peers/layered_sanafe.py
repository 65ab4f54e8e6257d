"""The networks of ``synthetic_speed.py`` in SANA-FE; runs where SANA-FE is, without snnc.

    python layered_sanafe.py NETWORK.npz STEPS   prints one JSON object

Its Loihi description, "simple" timing, at most 1000 neurons per core.
"""

import json
import os
import resource
import sys
import time

import numpy as np
import sanafe

NEURONS_PER_CORE = 1000


def main(path: str, steps: int) -> None:
    """Build, simulate, print; the processor time is that of the simulation alone."""
    net = np.load(path)
    sources, weights = net["sources"], net["weights"]  # [layers, size, fan_in]
    layers, size, fan_in = sources.shape
    begin = time.process_time()
    architecture, network = sanafe.load_loihi(), sanafe.Network()
    attributes = {"threshold": float(net["threshold"]), "leak_decay": float(net["decay"]),
                  "reset": 0.0, "reset_mode": "hard"}  # fmt: skip
    groups = [
        network.create_neuron_group(
            f"l{k}", size, model_attributes=attributes,
            default_synapse_hw_name="loihi_dense_synapse", soma_hw_name="loihi_lif",
        )
        for k in range(layers)
    ]  # fmt: skip
    cores = architecture.cores()
    parts = -(-size // NEURONS_PER_CORE)
    if parts * layers > len(cores):
        sys.exit(f"its chip has {len(cores)} cores, {parts * layers} are needed")
    for k, group in enumerate(groups):
        for i, neuron in enumerate(group.neurons):
            neuron.set_attributes(model_attributes={"bias": float(net["bias"][k, i])})
            neuron.map_to_core(cores[k * parts + i // NEURONS_PER_CORE])
        pairs = np.stack([sources[k].reshape(-1), np.repeat(np.arange(size), fan_in)], axis=1)
        groups[k - 1].connect_neurons_sparse(
            group,
            {"weight": weights[k].reshape(-1).astype(float).tolist()},
            [tuple(pair) for pair in pairs.tolist()],
        )
    chip = sanafe.SpikingChip(architecture)
    chip.load(network)
    silent, output = os.open(os.devnull, os.O_WRONLY), os.dup(1)
    os.dup2(silent, 1)  # it prints its progress
    options = {"timing_model": "simple", "processing_threads": 1, "scheduler_threads": 0}
    chip.sim(30, **options)  # no first membranes can be given: the biases spread the phases
    built = time.process_time() - begin
    begin = time.process_time()
    result = chip.sim(steps, **options)
    used = time.process_time() - begin
    os.dup2(output, 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu": used, "built": built, "memory": memory / 1e6,
                      "spikes": int(result["neurons_fired"])}))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
