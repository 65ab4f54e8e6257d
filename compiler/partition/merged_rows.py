"""What the rows of a core cost when those of one source merge, thousands of times a second.

The meter evaluates formulas for all cores at once.  A search measures one core after the other;
here formulas are evaluated once per table of all rows that a core can have.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from snnc.backends.targets.capacity import delay_bits, index_bits
from snnc.backends.targets.expression import evaluate, names_in
from snnc.compiler.partition.limits import Limit
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import lean_kernel

if TYPE_CHECKING:
    from snnc.compiler.partition.meter import Meter

LARGEST_TABLE = 1 << 20


class RowPrices:
    """Cost of every row by its entries and span, in every encoding."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        walls = meter.limits.walls
        self._memory = [wall for wall in walls if wall.per_axon]
        self._formats = [wall for wall in walls if wall.table and wall.per_row]
        self._tables: dict[tuple[int, int, int], tuple[IntArray, IntArray, IntArray]] = {}

    @cached_property
    def covers(self) -> bool:
        """Whether cores of this machine are measured here: one memory, short tables."""
        core = self._meter.limits.target.core
        if core.stores_kernels or len(self._memory) > 1 or "crossbar" in core.encodings:
            return False
        texts = [text for wall in self._memory for text in wall.per_axon.values()]
        most = self._most_neurons()
        each = most**2 if any({"f", "span"} <= names_in(text) for text in texts) else most
        return each * self._meter.wiring.delays <= LARGEST_TABLE

    def _most_neurons(self) -> int:
        """A power of two above the neurons of any core that fits."""
        low = 1
        while low <= self._meter.wiring.neurons and self._hold(low):
            low *= 2
        return low

    def _hold(self, neurons: int) -> bool:
        """Whether a core holds so many, were they all free."""
        number = np.array([neurons])
        states = self._meter.limits.target.core.state_bytes
        counts = {"n_neurons": number, "n_compartments": number, "state_bytes": number * states}
        return all(
            self._meter.limits.use(wall, counts)[0] <= wall.capacity
            for wall in self._meter.limits.walls
            if wall.expression and wall.names <= set(counts)
        )

    def add(
        self, counts: dict[str, IntArray], key: IntArray, count: IntArray, low: IntArray,
        high: IntArray,
    ) -> None:  # fmt: skip
        """Add axons, memory and formats of one core to its counts.

        Args:
            counts: neurons and weight bits of the core.
            key: [rows] ``Wiring.axon_key``, rising; rows of equal keys merge.
            count, low, high: [rows] synapses, first and last slot.
        """
        neurons, bits = (int(counts[name][0]) for name in ("n_neurons", "weight_bits"))
        price, by_count, by_span = self._prices(neurons, bits)
        present = np.zeros((max(len(by_count), 1), self._meter.wiring.delays), np.bool_)
        totals = np.zeros(2, np.int64)
        _merge(key, count, low, high, price, by_count, by_span, present, totals)
        counts["n_axons_in"] = totals[:1]
        for wall in self._memory:
            counts[wall.name] = totals[1:]
        for wall in self._formats:
            counts[wall.name] = np.array([self._kinds(wall, present)])

    def _kinds(self, wall: Limit, present: AnyArray) -> int:
        """Row formats: exponent and width are the same for all rows of a core."""
        encoding, delay = np.nonzero(present)
        encoding = encoding * ("encoding" in wall.table)
        late = delay_bits(delay) * ("delay_bits" in wall.table)
        return int(np.unique(encoding * 64 + late).size)

    def _prices(self, neurons: int, bits: int) -> tuple[IntArray, IntArray, IntArray]:
        """[encodings, delays, rows] cost, and by what entries and span count in a row's number."""
        index = int(index_bits(self._meter.limits.target, np.array([neurons]))[0])
        size = 1 << max(neurons, 1).bit_length()
        if (size, bits, index) not in self._tables:
            self._tables[size, bits, index] = self._evaluated(size, bits, index)
        return self._tables[size, bits, index]

    def _evaluated(self, size: int, bits: int, index: int) -> tuple[IntArray, IntArray, IntArray]:
        delays = np.arange(self._meter.wiring.delays)
        costs, by_count, by_span = [], [], []
        for wall in self._memory:
            for encoding in self._meter.limits.target.core.encodings:
                text = wall.per_axon.get(encoding)
                if text is None:
                    continue
                wide = "span" in names_in(text) and encoding != "dense"
                number = np.arange(size * size if wide else size)
                f, span = np.divmod(number, size) if wide else (number, number)
                shape = (delays.size, number.size)
                variables = {
                    "f": np.tile(np.maximum(f, 1), delays.size),
                    "span": np.tile(np.maximum(span, 1), delays.size),
                    "weight_bits": np.full(delays.size * number.size, bits),
                    "index_bits": np.full(delays.size * number.size, index),
                    "delay_bits": np.repeat(delay_bits(delays), number.size),
                }
                cost = np.asarray(evaluate(text, variables), np.int64)
                costs.append(np.broadcast_to(cost, (shape[0] * shape[1],)).reshape(shape))
                by_count.append(size if wide else int(encoding != "dense"))
                by_span.append(int(wide or encoding == "dense"))
        longest = max((c.shape[1] for c in costs), default=1)
        table = np.zeros((len(costs), delays.size, longest), np.int64)
        for place, cost in enumerate(costs):
            table[place, :, : cost.shape[1]] = cost
        return table, np.array(by_count, np.int64), np.array(by_span, np.int64)


@lean_kernel
def _merge(
    key: IntArray, count: IntArray, low: IntArray, high: IntArray, price: IntArray,
    by_count: IntArray, by_span: IntArray, present: AnyArray, totals: IntArray,
) -> None:  # fmt: skip
    """Rows, and what they cost in their cheapest encodings, of ascending keys."""
    i = 0
    while i < key.size:
        first, last, entries, j = low[i], high[i], count[i], i + 1
        while j < key.size and key[j] == key[i]:
            first, last = min(first, low[j]), max(last, high[j])
            entries += count[j]
            j += 1
        delay = key[i] % present.shape[1]
        best, choice = 0, 0
        for e in range(price.shape[0]):
            cost = price[e, delay, entries * by_count[e] + (last - first + 1) * by_span[e]]
            if e == 0 or cost < best:
                best, choice = cost, e
        present[choice, delay] = True
        totals[0] += 1
        totals[1] += best
        i = j
