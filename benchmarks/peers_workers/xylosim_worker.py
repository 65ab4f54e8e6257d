"""Runs a hidden and an output layer on xylosim (Xylo v2); in its own environment.

argv: input .npz (weights, thresholds, decays, events), output .npz.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from xylosim.v2 import XyloLayer, XyloSynapse


def synapses(weights: np.ndarray) -> list[list[XyloSynapse]]:
    """Rows by source of the synapses that are not zero."""
    return [[XyloSynapse(int(j), 0, int(row[j])) for j in np.flatnonzero(row)] for row in weights]


def main() -> None:
    """One job."""
    job = np.load(sys.argv[1])
    into, out = job["w_in"], job["w_out"]
    hidden, outputs = out.shape
    mem, syn = int(job["dash_mem"]), int(job["dash_syn"])
    # The layer keeps no references of its own: everything must live as long as it.
    parts = {
        "synapses_in": synapses(into),
        "synapses_rec": [[] for _ in range(hidden)],
        "synapses_out": synapses(out),
        "aliases": [[] for _ in range(hidden)],
        "threshold": [int(job["threshold"])] * hidden,
        "threshold_out": [int(job["threshold_out"])] * outputs,
        "has_bias": False, "bias": [0] * hidden, "bias_out": [0] * outputs,
        "weight_shift_inp": 0, "weight_shift_rec": 0, "weight_shift_out": 0,
        "dash_mem": [mem] * hidden, "dash_mem_out": [mem] * outputs,
        "dash_syns": [[syn, syn] for _ in range(hidden)],
        "dash_syns_out": [[syn] for _ in range(outputs)],
        "name": "peer",
    }  # fmt: skip
    layer = XyloLayer(**parts)
    raster = job["raster"].astype(int).tolist()
    started = time.process_time()
    spikes = layer.evolve(raster)
    seconds = time.process_time() - started
    currents = [np.abs(np.array(c)).max() for c in (layer.rec_i_syn, layer.rec_i_syn_out)]
    np.savez(
        sys.argv[2], seconds=seconds, hidden=np.array(layer.rec_recurrent_spikes),
        out=np.array(spikes), largest=max(currents),
    )  # fmt: skip


main()
