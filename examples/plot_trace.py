"""Draw the spikes of one sample of a recorded trace (extra ``[viz]``).

::

    snnc run out.snnc --input D.npz --trace trace.h5
    python examples/plot_trace.py trace.h5 raster.png
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import h5py
import matplotlib as mpl
import numpy as np

from snnc.ir.arrays import AnyArray

mpl.use("Agg")
from matplotlib import pyplot as plt


def read_spikes(trace: Path, sample: int) -> Iterator[tuple[str, AnyArray, AnyArray]]:
    """Population, steps and neurons of one sample, from a ``.h5`` or ``.npz`` trace."""
    if trace.suffix == ".npz":
        with np.load(trace) as file:
            for name in [key.removesuffix(".step") for key in file.files if key.endswith(".step")]:
                chosen = file[f"{name}.sample"] == sample
                yield name, file[f"{name}.step"][chosen], file[f"{name}.index"][chosen]
        return
    with h5py.File(trace) as file:
        for table in file["spikes"].values():
            first, last = np.searchsorted(table["sample"][:], (sample, sample + 1))
            yield table.attrs["name"], table["step"][first:last], table["index"][first:last]


def main() -> None:
    """Read a trace, draw one row of axes per population, write the picture."""
    parser = argparse.ArgumentParser(description="raster plot of a trace of snnc run")
    parser.add_argument("trace", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--sample", type=int, default=0)
    options = parser.parse_args()
    populations = list(read_spikes(options.trace, options.sample))
    figure, rows = plt.subplots(len(populations), squeeze=False, sharex=True, layout="constrained")
    for axis, (name, steps, neurons) in zip(rows[:, 0], populations, strict=True):
        axis.plot(steps, neurons, "|k")
        axis.set_ylabel(name)
    rows[-1, 0].set_xlabel("logical step")
    figure.savefig(options.picture, dpi=150)


if __name__ == "__main__":
    main()
