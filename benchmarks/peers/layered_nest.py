"""The networks of ``synthetic_speed.py`` in NEST; runs where NEST is, without snnc.

python layered_nest.py NETWORK.npz STEPS   prints one JSON object
"""

import json
import resource
import sys
import time

import nest
import numpy as np


def main(path: str, steps: int) -> None:
    """Build, simulate, print; the processor time is that of the simulation alone."""
    net = np.load(path)
    sources, weights = net["sources"], net["weights"]  # [layers, size, fan_in]
    layers, size, fan_in = sources.shape
    begin = time.process_time()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": 1.0, "local_num_threads": 1})
    decay = float(net["decay"])
    tau = -1.0 / np.log(decay)
    neurons = nest.Create(
        "iaf_psc_delta", layers * size,
        params={"tau_m": tau, "C_m": 1.0, "E_L": 0.0, "V_th": float(net["threshold"]),
                "V_reset": 0.0, "t_ref": 0.0, "V_min": -1e9},
    )  # fmt: skip
    neurons.set({"V_m": net["initial"].reshape(-1).astype(float),
                 "I_e": net["bias"].reshape(-1) / (tau * (1 - decay))})  # fmt: skip
    first = neurons[0].global_id
    for k in range(layers):
        before, here = (k - 1) % layers * size, k * size
        nest.Connect(
            (sources[k].reshape(-1) + before + first).astype(np.uint64),
            np.repeat(np.arange(here, here + size, dtype=np.uint64) + first, fan_in),
            "one_to_one",
            {"weight": weights[k].reshape(-1).astype(float),
             "delay": np.ones(size * fan_in), "synapse_model": "static_synapse"},
        )  # fmt: skip
    nest.Prepare()
    nest.Run(5.0)
    built = time.process_time() - begin
    before_run = nest.GetKernelStatus("local_spike_counter")
    begin = time.process_time()
    nest.Run(float(steps))
    used = time.process_time() - begin
    spikes = nest.GetKernelStatus("local_spike_counter") - before_run
    nest.Cleanup()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu": used, "built": built, "memory": memory / 1e6, "spikes": int(spikes)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
