"""Rule "layers": on machines whose cores hold one layer each, every core's layer fits it."""

from __future__ import annotations

import numpy as np

from snnc.backends.targets.expression import evaluate
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject, wide
from snnc.ir.layers import layers_of


def check_layers(subject: Subject, findings: Findings) -> None:
    """One whole population per core, its sizes within limits, its memories within the core's."""
    deployment = subject.deployment
    rules, cores = deployment.target.layers, deployment.cores
    if rules is None:
        return
    layers = {layer.population: layer for layer in layers_of(deployment.network)}
    source, ptr = wide(cores.neuron_source), wide(cores.neuron_ptr)
    held = {p.name: subject.span(p) for p in subject.populations}
    for core in range(cores.count):
        findings.count("layers", 1)
        where = subject.core_name(core)
        mine = np.sort(source[ptr[core] : ptr[core + 1]])
        name = next((n for n, s in held.items() if mine.size and s.start <= mine[0] < s.stop), "")
        if not name or not np.array_equal(mine, np.arange(held[name].start, held[name].stop)):
            findings.add("layers", where, "not exactly one whole layer", "one layer per core")
            continue
        layer = layers[name]
        for problem in layer.problems or layer.beyond(rules.limits):
            findings.add("layers", f"{name} in {where}", problem)
        slot = int(cores.location[core, 2])
        for memory, resource in rules.resources.items():
            findings.count("layers", 1)
            used = int(evaluate(resource.use, layer.sizes))
            if not 0 <= slot < len(resource.capacity) or used > resource.capacity[slot]:
                there = resource.capacity[slot] if 0 <= slot < len(resource.capacity) else 0
                findings.add("layers", f"{name} in {where}", f"{used} {resource.u} of {memory}",
                             f"{there} in core {slot}")  # fmt: skip
    most = rules.max_destinations.v
    for core in range(cores.count if most is not None else 0):
        nets = np.flatnonzero(deployment.routes.net_core == core)
        heard = {
            int(dest) for net in nets
            for dest in deployment.routes.delivery_core[
                deployment.routes.delivery_ptr[net] : deployment.routes.delivery_ptr[net + 1]]
        }  # fmt: skip
        if most is not None and len(heard) > most:
            findings.add("layers", subject.core_name(core), f"{len(heard)} layers hear it", most)
