"""Draw the spikes of one sample of a recorded trace (extra ``[viz]``).

::

    snnc run out.snnc --input D.npz --trace trace.npz
    python examples/plot_trace.py trace.npz raster.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt


def main() -> None:
    """Read a trace, draw one row of axes per population, write the picture."""
    parser = argparse.ArgumentParser(description="raster plot of a trace of snnc run")
    parser.add_argument("trace", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--sample", type=int, default=0)
    options = parser.parse_args()
    with np.load(options.trace) as trace:
        names = [key.removesuffix(".step") for key in trace.files if key.endswith(".step")]
        figure, rows = plt.subplots(len(names), squeeze=False, sharex=True, layout="constrained")
        for axis, name in zip(rows[:, 0], names, strict=True):
            chosen = trace[f"{name}.sample"] == options.sample
            axis.plot(trace[f"{name}.step"][chosen], trace[f"{name}.index"][chosen], "|k")
            axis.set_ylabel(name)
    rows[-1, 0].set_xlabel("logical step")
    figure.savefig(options.picture, dpi=150)


if __name__ == "__main__":
    main()
