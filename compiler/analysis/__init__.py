"""Static analysis: value types, accumulator widths, places that multiply, operations and energy.

``analyse`` looks at a network as it is; nothing is run unless data is given, and then only by the
reference.  ``docs/inspect.md`` explains the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snnc.compiler.analysis.activity import Activity, measure
from snnc.compiler.analysis.operations import Site, energy, sites
from snnc.compiler.analysis.values import Edge, edges, observed, values_of
from snnc.compiler.analysis.widths import Width, widths
from snnc.ir.arrays import AnyArray
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import Target

__all__ = ["Analysis", "analyse"]


@dataclass(frozen=True, eq=False)
class Analysis:
    """What ``analyse`` found.

    Attributes:
        form: "real" or "integer" network.
        edges: every tensor with its type.
        widths: registers of an integer network; empty for a real one, which has no widths yet.
        sites: operators that weigh.
        emitters: inputs and populations, what chips send as packets.
        timesteps: steps per sample that bounds are for; None counts one step.
        activity: operations and rates measured on data, or None.
        notes: what was done to the network before, and what could not be.
    """

    form: str
    edges: tuple[Edge, ...]
    widths: tuple[Width, ...]
    sites: tuple[Site, ...]
    emitters: tuple[str, ...]
    timesteps: int | None
    activity: Activity | None
    notes: tuple[str, ...] = ()

    @property
    def mac_sites(self) -> tuple[Site, ...]:
        """Operators without an event operand."""
        return tuple(site for site in self.sites if site.kind == "mac")

    @property
    def spike_driven(self) -> bool:
        """Every operator that weighs is fed by events."""
        return not self.mac_sites

    @property
    def not_binary(self) -> tuple[Edge, ...]:
        """Edges that carry more than a spike or none: packets, and operands of what weighs."""
        weighing = {site.node.name for site in self.sites}
        return tuple(
            edge
            for edge in self.edges
            if (edge.sink in weighing or edge.source in self.emitters)
            and not edge.value.binary
            and (edge.sink in weighing or edge.value.event)
        )

    @property
    def full_spike(self) -> bool:
        """Every packet and every operand of a weighing operator is a spike or none: no count, no
        number (a proof from the types, for every input)."""
        return self.spike_driven and not self.not_binary

    def operations(self) -> tuple[float | None, float | None]:
        """(additions, multiplications) per sample, measured or at most; None without bound."""
        totals: dict[str, float | None] = {"ac": 0.0, "mac": 0.0}
        for site in self.sites:
            count, total = self.per_sample(site), totals[site.kind]
            totals[site.kind] = None if count is None or total is None else total + count
        return totals["ac"], totals["mac"]

    def per_sample(self, site: Site) -> float | None:
        """Operations of a site per sample (per step when the number of steps is not known)."""
        if self.activity is not None:
            return self.activity.operations[site.node.name]
        bound = site.bound()
        return None if bound is None else float(bound * (self.timesteps or 1))

    def as_dict(self) -> dict[str, Any]:
        """JSON object, field by field in ``docs/inspect.md``."""
        additions, multiplications = self.operations()
        known = additions is not None and multiplications is not None
        return {
            "form": self.form,
            "notes": list(self.notes),
            "edges": [_edge(edge) for edge in self.edges],
            "spike_driven": self.spike_driven,
            "full_spike": self.full_spike,
            "not_binary": [_edge(edge) for edge in self.not_binary],
            "widths": [asdict(width) for width in self.widths],
            "mac_sites": [site.node.name for site in self.mac_sites],
            "operators": [
                {
                    "node": site.node.name,
                    "operator": type(site.node).__name__,
                    "operands": [value.text for value in site.operands],
                    "kind": site.kind,
                    "per_sample": self.per_sample(site),
                }
                for site in self.sites
            ],
            "basis": "measured" if self.activity else "bound",
            "samples": self.activity.samples if self.activity else None,
            "timesteps": self.activity.steps if self.activity else self.timesteps,
            "rates": dict(self.activity.rates) if self.activity else None,
            "ac_per_sample": additions,
            "mac_per_sample": multiplications,
            "energy_45nm_j": energy(additions or 0.0, multiplications or 0.0) if known else None,
        }


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "source": edge.source,
        "sink": edge.sink,
        "shape": list(edge.shape),
        "type": edge.value.text,
        "event": edge.value.event,
    }


def analyse(
    network: Network | IntegerNetwork,
    *,
    target: Target | None = None,
    timesteps: int | None = None,
    inputs: Mapping[str, AnyArray] | None = None,
    notes: tuple[str, ...] = (),
) -> Analysis:
    """Analyse a real or an integer network.

    Args:
        network: as it shall be looked at; nothing is folded here.
        target: whose registers the widths are held against.
        timesteps: steps per sample, for the bounds of states without leak and of operations.
        inputs: [samples, steps, *shape] by input name; operations are measured on them.
        notes: taken over.

    Raises:
        InputError: data that does not fit the network's inputs.
    """
    values = values_of(network, None if inputs is None else observed(inputs))
    found = sites(network, values)
    emitters = tuple(
        node.name for node in network.order if isinstance(node, Input | Neuron | RealNeuron)
    )
    activity = None
    if inputs is not None:
        activity = measure(network, inputs, found, values, emitters)
    integer = isinstance(network, IntegerNetwork)
    return Analysis(
        form="integer" if integer else "real",
        edges=edges(network, values),
        widths=widths(network, target, timesteps) if isinstance(network, IntegerNetwork) else (),
        sites=found,
        emitters=emitters,
        timesteps=timesteps,
        activity=activity,
        notes=notes,
    )
