"""The networks of ``synthetic_speed.py`` in brian2's compiled C++; runs without snnc.

python layered_brian2.py NETWORK.npz STEPS   prints one JSON object
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import brian2 as b
import numpy as np


def main(path: str, steps: int) -> None:
    """Compile, simulate, print; the processor time is that of the simulation loop alone."""
    net = np.load(path)
    sources, weights = net["sources"], net["weights"]  # [layers, size, fan_in]
    layers, size, fan_in = sources.shape
    begin = time.process_time() + children()
    with tempfile.TemporaryDirectory() as folder:
        b.set_device("cpp_standalone", build_on_run=False)
        b.prefs.codegen.cpp.extra_compile_args_gcc = ["-w", "-O3", "-march=native", "-ffast-math"]
        b.defaultclock.dt = 1 * b.ms
        tau = 1 * b.ms / (1 - float(net["decay"]))
        group = b.NeuronGroup(
            layers * size, "dv/dt = -v / tau + bias / ms : 1\nbias : 1 (constant)",
            threshold=f"v >= {int(net['threshold'])}", reset="v = 0", method="euler",
            namespace={"tau": tau},
        )  # fmt: skip
        group.bias, group.v = net["bias"].reshape(-1), net["initial"].reshape(-1)
        synapses = b.Synapses(group, group, "w : 1", on_pre="v_post += w")
        first = ((np.arange(layers) - 1) % layers * size)[:, None, None]
        synapses.connect(
            i=(sources + first).reshape(-1), j=np.repeat(np.arange(layers * size), fan_in)
        )
        synapses.w = weights.reshape(-1).astype(float)
        spikes = b.SpikeMonitor(group, record=False)
        network = b.Network(group, synapses, spikes)
        clock = Path(folder) / "clock"
        b.device.insert_code("before_network_run", "std::clock_t snnc_begin = std::clock();")
        b.device.insert_code(
            "after_network_run",
            f'{{ std::ofstream f("{clock}");'
            " f << double(std::clock() - snnc_begin) / CLOCKS_PER_SEC; }",
        )
        network.run(steps * b.ms)
        b.device.build(directory=f"{folder}/code", compile=True, run=False)
        built = time.process_time() + children() - begin
        b.device.run()
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        found = {"cpu": float(clock.read_text()), "built": built, "memory": memory / 1e6,
                 "spikes": int(np.sum(spikes.count[:]))}  # fmt: skip
        print(json.dumps(found))


def children() -> float:
    """Processor seconds of the processes started so far, such as the C++ compiler."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
