"""Packets between blocks (km1) of partitions of three networks into blocks of limited size.

A convolutional network (30,986 neurons and inputs), a local reservoir (16,384) and the cortical
microcircuit of Potjans and Diesmann at 5 % (3,858).  One net per sender, weight 1.  Random,
sequential (in the order of the numbers), greedy (a block takes the neuron that shares most nets
with it), the project's own multilevel partitioner, and Mt-KaHyPar where it is installed
(``pip install 'snnc[partition]'``).  Time is CPU time of this process, all threads together.  Then
the same reservoir as a network on a machine: cores, axons and packets of runs and of partitions,
measured exactly.

    python benchmarks/partition_quality.py [NAME ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support import irregular_networks as networks
from support import nets

from snnc.backends.targets import load
from snnc.compiler.hypergraph import Hypergraph, connectivity, divide, km1
from snnc.compiler.map import MapOptions, map_network
from snnc.ir.arrays import IntArray
from snnc.ir.errors import MissingPackageError
from snnc.ir.expand import expand
from snnc.ir.target import Target


def conv() -> tuple[Hypergraph, int, int]:
    """128 blocks of 250."""
    return networks.traffic_of(networks.conv_snn(np.random.default_rng(0))), 128, 250


def reservoir() -> tuple[Hypergraph, int, int]:
    """64 blocks of 264."""
    pairs = networks.local_pairs(np.random.default_rng(0), 128, 64, 6.0)
    return networks.hypergraph(*pairs, 128 * 128), 64, 264


def cortex() -> tuple[Hypergraph, int, int]:
    """64 blocks of 63."""
    return networks.hypergraph(*networks.cortical_pairs(np.random.default_rng(0), 0.05)), 64, 63


NETWORKS: dict[str, Callable[[], tuple[Hypergraph, int, int]]] = {
    "conv": conv, "reservoir": reservoir, "cortex": cortex,
}  # fmt: skip


@numba.njit(cache=True)
def _greedy(
    net_ptr: IntArray, pin: IntArray, vertex_ptr: IntArray, vertex_net: IntArray, capacity: int,
    block: IntArray, shared: IntArray, met: IntArray,
) -> None:  # fmt: skip
    n, number, load = block.size, 0, 0
    for _ in range(n):
        if load == capacity:
            number, load = number + 1, 0
            shared[:] = 0
            met[:] = 0
        best = -1
        for v in range(n):
            if block[v] < 0 and (best < 0 or shared[v] > shared[best]):
                best = v
        block[best] = number
        load += 1
        for j in range(vertex_ptr[best], vertex_ptr[best + 1]):
            e = vertex_net[j]
            if met[e] == 0:
                met[e] = 1
                for k in range(net_ptr[e], net_ptr[e + 1]):
                    shared[pin[k]] += 1


def greedy(graph: Hypergraph, capacity: int) -> IntArray:
    """Fill one block after the other with the vertex that shares most nets with it."""
    block = np.full(graph.vertices, -1, np.int64)
    work = np.zeros(graph.vertices, np.int64), np.zeros(graph.nets, np.int64)
    _greedy(graph.net_ptr, graph.pin, *graph.by_vertex, capacity, block, *work)
    return block


def quality(name: str) -> None:
    """One table."""
    graph, blocks, capacity = NETWORKS[name]()
    rng = np.random.default_rng(0)
    n = graph.vertices
    print(f"\n{name}: {n:,} neurons, {graph.pin.size:,} pins, {blocks} blocks of {capacity}")
    print("method       km1         x own  most nets into a block  blocks  CPU s")
    spread = -(-n // blocks)
    methods: dict[str, Callable[[], IntArray]] = {
        "own": lambda: divide(graph, blocks, capacity, 0, "own"),
        "random": lambda: rng.permutation(n) // spread,
        "sequential": lambda: np.arange(n) // spread,
        "greedy": lambda: greedy(graph, capacity),
        "mtkahypar": lambda: divide(graph, blocks, capacity, 0, "mtkahypar"),
    }
    divide(networks.hypergraph(np.array([0]), np.array([1]), 4), 2, 3)  # compiles the kernels
    ours = 1.0
    for method, make in methods.items():
        started = time.process_time()
        try:
            block = make()
        except MissingPackageError as error:
            print(f"{method:<11}  {error.problem}")
            continue
        seconds = time.process_time() - started
        assert np.bincount(block).max() <= capacity
        cost = km1(graph, block)
        ours = cost if method == "own" else ours
        used = np.unique(block).size
        print(
            f"{method:<11} {cost:>10,.0f} {cost / ours:>9.2f} {_most_nets(graph, block):>15,}"
            f" {used:>14} {seconds:>8.1f}",
            flush=True,
        )


def _most_nets(graph: Hypergraph, block: IntArray) -> int:
    """Largest number of nets that touch one block: its axons."""
    assert connectivity(graph, block).min() >= 1
    owner = np.repeat(np.arange(graph.nets), np.diff(graph.net_ptr))
    pairs = np.unique(block[graph.pin] * graph.nets + owner)
    return int(np.bincount(pairs // graph.nets).max())


def machine(axons: int) -> Target:
    """The toy mesh with 256 neurons and so many axons per core, 16 x 16 cores."""
    data = load("toy-mesh").model_dump(by_alias=True)
    data["topology"] |= {"grid": (16, 16), "usable_cores": 256}
    data["core"]["resources"]["neurons"]["capacity"]["v"] = 256
    data["core"]["resources"]["input_axons"]["capacity"]["v"] = axons
    data["core"]["index_bits"] = (8,)
    data["core"]["resources"]["synapse_mem"]["capacity"]["v"] = 1 << 22
    return Target.model_validate(data)


def mapped() -> None:
    """The reservoir on machines with many and with few axons per core."""
    rng = np.random.default_rng(0)
    pairs = networks.local_pairs(rng, 64, 64, 4.0)
    network = networks.recurrent(*pairs, 64 * 64, rng)
    parts = expand(network)
    retiming = nets.longest_path_retiming(parts)
    print("\n4,096 neurons of a local reservoir on cores of 256 neurons")
    print("axons/core  partitioner  cores  bound  most axons  deliveries  weighted hops  CPU s")
    for axons in (4096, 1600):
        for partitioner in ("tiles", "own", "mtkahypar"):
            started = time.process_time()
            options = MapOptions(partitioner=partitioner)  # type: ignore[arg-type]
            try:
                done = map_network(network, retiming, machine(axons), 1, None, options, parts)
            except MissingPackageError as error:
                print(f"{axons:>10}  {partitioner:<11}  {error.problem}")
                continue
            report, seconds = done.report, time.process_time() - started
            most = max(core["use"]["input_axons"][0] for core in report["cores"])
            print(
                f"{axons:>10}  {partitioner:<11} {report['cores_used']:>6}"
                f" {report['partition']['cores_lower_bound']:>6} {most:>11,}"
                f" {report['traffic']['deliveries']:>11,.0f}"
                f" {report['traffic']['weighted_hops']:>14,.0f} {seconds:>6.1f}",
                flush=True,
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*NETWORKS, "mapped"])
    for name in parser.parse_args().names:
        mapped() if name == "mapped" else quality(name)


if __name__ == "__main__":
    main()
