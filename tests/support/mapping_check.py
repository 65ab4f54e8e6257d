"""An independent look at a mapping: every synapse, every place, every packet, in plain Python."""

from __future__ import annotations

from support.nets import HandRetiming

from snnc.compiler.map import Mapping
from snnc.ir.deployment import Deployment, SourceSpace
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.target import Target


def deployment(
    network: IntegerNetwork, retiming: HandRetiming, target: Target, chips: int, mapping: Mapping
) -> Deployment:
    """What the pipeline makes of a mapping."""
    return Deployment(
        network, target, chips, retiming.schedule, mapping.cores, mapping.routes,
        mapping.certificate, {}, mapping.report,
    )  # fmt: skip


def check_synapses(network: IntegerNetwork, retiming: HandRetiming, mapping: Mapping) -> int:
    """Every synapse of the network is on its neuron's core once, with its delay; returns them."""
    sources, cores = SourceSpace.of(network), mapping.cores
    stored: dict[tuple[int, int, int], int] = {}
    for core in range(cores.count):
        first = cores.neuron_ptr[core]
        for axon in range(cores.axon_ptr[core], cores.axon_ptr[core + 1]):
            for k in range(cores.synapse_ptr[axon], cores.synapse_ptr[axon + 1]):
                neuron = int(cores.neuron_source[first + cores.synapse_target[k]])
                key = (int(cores.axon_source[axon]), neuron, int(cores.axon_delay[axon]))
                assert key not in stored
                stored[key] = int(cores.synapse_weight[k])
    for p in expand(network).projections:
        extra = retiming.extra_delay[p.source, p.population, p.delay]
        for row in range(p.row_ptr.size - 1):
            for k in range(p.row_ptr[row], p.row_ptr[row + 1]):
                neuron = sources.first[p.population] + int(p.target[k])
                key = (sources.first[p.source] + row, neuron, extra)
                assert stored.pop(key) == p.weight[k]
    assert not stored
    return int(cores.synapse_target.size)


def check_delivery(network: IntegerNetwork, mapping: Mapping) -> None:
    """Every spike reaches each core that has an axon for it once, along neighbouring routers."""
    cores, routes = mapping.cores, mapping.routes
    wanted: dict[int, set[int]] = {}
    for core in range(cores.count):
        for axon in range(cores.axon_ptr[core], cores.axon_ptr[core + 1]):
            wanted.setdefault(int(cores.axon_source[axon]), set()).add(core)
    for source in range(SourceSpace.of(network).total):
        got = [
            int(core)
            for net in routes.send_net[routes.send_ptr[source] : routes.send_ptr[source + 1]]
            for core in routes.delivery_core[
                routes.delivery_ptr[net] : routes.delivery_ptr[net + 1]
            ]
        ]
        assert sorted(got) == sorted(wanted.get(source, set()))
