"""What every partition stores of a population's synapses at least, where cores may store kernels.

Of one kernel (input channel, output channel) either all synapses are in rows, or at least one core
stores the kernel whole.  So each costs at least the smaller of the two, whatever sits together.
"""

from __future__ import annotations

import numpy as np

from snnc.backends.targets.capacity import kernel_cost
from snnc.compiler.partition.kernel_links import KernelLinks
from snnc.compiler.partition.limits import Limit
from snnc.compiler.partition.meter import Meter
from snnc.ir.arrays import IntArray
from snnc.ir.target import KERNEL_COUNTS


def least_counts(meter: Meter, wall: Limit, population: int) -> dict[str, int]:
    """``KERNEL_COUNTS`` of the choice for which a formula is smallest.

    Kernels are decided one by one, which is right for formulas that are sums of multiples.
    """
    links = meter.links(population)
    if links is None:
        return dict(
            zip(KERNEL_COUNTS, (0, 0, meter.wiring.fanin[population].synapses), strict=True)
        )
    connection, synapses, times = links.synapses
    taps = links.taps[connection]
    zero = np.zeros_like(times)
    kernels = _use(meter, wall, population, (times, times * taps, zero))
    rows = _use(meter, wall, population, (zero, zero, times * synapses))
    stored = kernels < rows
    counts = (
        int(times[stored].sum()),
        int((times * taps)[stored].sum()),
        int((times * synapses)[~stored].sum()) + _barred(links),
    )
    return dict(zip(KERNEL_COUNTS, counts, strict=True))


def _use(
    meter: Meter, wall: Limit, population: int, stored: tuple[IntArray, IntArray, IntArray]
) -> IntArray:
    counts = dict(zip(KERNEL_COUNTS, stored, strict=True))
    size = stored[0].size
    others = {name: np.zeros(size, np.int64) for name in wall.names - counts.keys()}
    others |= {"n_neurons": np.zeros(size, np.int64)}
    others |= {"weight_bits": np.full(size, meter.bits[population])}
    return meter.limits.use(wall, others | counts)


def least_memory(meter: Meter, wall: Limit, population: int) -> float:
    """Of a resource that is paid per axon and per kernel; a kernel's axons are left out."""
    each = meter.synapse_cost(wall, population)
    links = meter.links(population)
    if links is None:
        return each * meter.wiring.fanin[population].synapses
    connection, synapses, times = links.synapses
    resource, bits = meter.limits.target.core.resources[wall.name], meter.bits[population]
    kernel = kernel_cost(resource, links.taps[connection], np.full(times.size, bits))
    return float((times * np.minimum(kernel, each * synapses)).sum() + each * _barred(links))


def least_words(meter: Meter, population: int) -> int:
    """Weights that are stored at least, as rows or in kernels."""
    links = meter.links(population)
    if links is None:
        return meter.wiring.fanin[population].synapses
    connection, synapses, times = links.synapses
    return int((times * np.minimum(links.taps[connection], synapses)).sum()) + _barred(links)


def _barred(links: KernelLinks) -> int:
    """Synapses of connections that are no convolutions."""
    connection = np.repeat(
        np.arange(links.possible.size), [c.axons for c in links.fanin.connections]
    )
    return int(links.fanin.lengths[~links.possible[connection]].sum())
