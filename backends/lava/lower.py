"""From an ``IntegerNetwork`` to a ``Plan`` of Lava processes that computes exactly the same."""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc.backends.lava.alif import Alif, alif_process, as_alif
from snnc.backends.lava.natives import Lif, NotLifError, as_lif
from snnc.backends.lava.neurons import integer_neuron, lif_processes
from snnc.backends.lava.operators import operator_process
from snnc.backends.lava.plan import Connection, Plan, Process, Through
from snnc.backends.lava.sigma_delta import Sdn, as_sdn, sdn_process
from snnc.backends.lava.synapses import conv_process, matrix_processes, scaled, wide_process
from snnc.backends.lava.terms import Key, Term, is_source, terms
from snnc.backends.lava.timing import Edge, extra, windows
from snnc.ir.arrays import Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.weights import Conv


def lower(network: IntegerNetwork, timesteps: int) -> Plan:
    """Plan a network on Lava, for samples of ``timesteps`` steps.

    Raises:
        UnsupportedError: an output that does not read a population, or an unknown operator.
    """
    return _Lowering(network, timesteps).plan()


def operands(node: IntegerNode) -> tuple[str, ...]:
    """The in-ports of a population or operator, in the order of its inputs."""
    return ("a_in", "b_in")[: len(node.inputs)]


@dataclass
class _Lowering:
    network: IntegerNetwork
    timesteps: int
    processes: list[Process] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        network = self.network
        inputs = {n.name: size_of(n.shape) for n in network.of_type(Input)}
        self._check_outputs()
        targets = [n for n in network.order if is_source(n) and not isinstance(n, Input | Output)]
        self.terms = {
            (node.name, port): terms(network, source)
            for node in targets
            for port, source in zip(operands(node), node.inputs, strict=True)
        }
        edges = [
            Edge(source, name, delay)
            for (name, _), found in self.terms.items()
            for source, delay in found
        ]
        names = [node.name for node in targets]
        self.windows = windows(list(inputs), names, edges, self.timesteps)
        self.known = self._known()
        for node in targets:
            self._target(node)
        for (name, port), found in self.terms.items():
            for key, term in found.items():
                self._synapses(name, port, key, term)
        emitters = {p.name: p.name for p in network.populations}
        return Plan(
            network.name,
            inputs,
            tuple(self.processes),
            tuple(self.connections),
            emitters,
            self.windows,
            self.notes,
        )

    def _check_outputs(self) -> None:
        for output in self.network.of_type(Output):
            source = self.network.node[output.inputs[0]]
            if not isinstance(source, Neuron):
                raise UnsupportedError(
                    "an output must read a population",
                    where=output.name,
                    found=f"{type(source).__name__} {source.name}",
                    remedy="`snnc compile` inserts readout populations",
                )

    def _known(self) -> dict[str, Lif | Sdn | Alif]:
        """The populations with a process of their own kind, and why the others have none."""
        found: dict[str, Lif | Sdn | Alif] = {}
        for neuron in self.network.populations:
            try:
                if self.windows[neuron.name].period > 1:
                    raise NotLifError("a loop is shorter than its synapses, so steps are stretched")
                found[neuron.name] = self._kind(neuron)
            except NotLifError as reason:
                self.notes[neuron.name] = f"snnc's IntegerNeuron: {reason}"
            else:
                if isinstance(found[neuron.name], Alif):
                    self.notes[neuron.name] = "snnc's ALIF: Lava has no adaptive LIF"
        return found

    def _kind(self, neuron: Neuron) -> Lif | Sdn | Alif:
        bound = self.network.types[neuron.inputs[0]].magnitude
        if neuron.delta is not None or neuron.accumulates:
            return as_sdn(neuron, bound, self.timesteps)
        if neuron.recovery is not None:
            return as_alif(neuron)
        return as_lif(neuron, bound, self.timesteps)

    def _target(self, node: IntegerNode) -> None:
        window, size = self.windows[node.name], size_of(self.network.shapes[node.name])
        known = self.known.get(node.name)
        if isinstance(known, Lif):
            self.processes += lif_processes(node.name, size, known, window)
        elif isinstance(known, Sdn):
            self.processes.append(sdn_process(node.name, size, known, window))
        elif isinstance(known, Alif):
            self.processes.append(alif_process(node.name, size, known, window))
        elif isinstance(node, Neuron):
            self.processes.append(integer_neuron(node, window))
        else:
            self.processes.append(operator_process(node, self.network))

    def _synapses(self, target: str, port: str, key: Key, term: Term) -> None:
        """The processes of one term, from its source to the in-port."""
        source, delay = key
        value = self.network.types[source]
        bound, binary = value.magnitude, value.low == 0 and value.high == 1
        late = extra(Edge(source, target, delay), self.windows)
        name = f"{target}.{port}.{source}.{delay}"
        known = self.known.get(target)
        factor = 1 << (known.input_shift if known else 0)
        layer = term.layer(self.network, size_of(self.network.shapes[source]))
        if layer is not None and isinstance(layer[0], Conv):
            weights = scaled(layer[0], factor)
            conv = conv_process(name, weights, layer[1], bound, binary, isinstance(known, Lif))
            if conv is not None:
                sender = self._axon(source, name, late, delay)
                self._convolution(sender, conv, target, port)
                return
        matrix = term.matrix(self.network, source) * factor
        found = None
        if not self._must_gate(source, delay):
            found = matrix_processes(name, matrix, bound, binary, late)
        sender = source
        if found is None:
            sender = self._axon(source, name, late, delay)
            found = matrix_processes(name, matrix, bound, binary, 0)
        for process in found or [wide_process(name, matrix, isinstance(known, Sdn))]:
            self.processes.append(process)
            self.connections += [
                Connection(sender, "s_out", (), process.name, "s_in"),
                Connection(process.name, "a_out", (), target, port),
            ]

    def _convolution(
        self, sender: str, conv: tuple[Process, Shape, Shape], target: str, port: str
    ) -> None:
        """Lava's convolution has its channels last, everything else has them first and is flat."""
        process, before, after = conv
        self.processes.append(process)
        arriving: Through = (
            ("reshape", (before[2], before[0], before[1])),
            ("transpose", (1, 2, 0)),
        )
        leaving: Through = (("transpose", (2, 0, 1)), ("reshape", (size_of(after),)))
        self.connections += [
            Connection(sender, "s_out", arriving, process.name, "s_in"),
            Connection(process.name, "a_out", leaving, target, port),
        ]

    def _must_gate(self, source: str, delay: int) -> bool:
        """Whether what the source sends outside its samples could reach one through the delay."""
        node = self.network.node[source]
        silent = isinstance(node, Input) or (isinstance(node, Neuron) and source not in self.known)
        return delay > 0 and not silent

    def _axon(self, source: str, name: str, late: int, delay: int) -> str:
        """The sender of a term: its source, or a queue behind it."""
        if not late and not self._must_gate(source, delay):
            return source
        shape = size_of(self.network.shapes[source])
        parameters = {
            "shape": [shape],
            "delay": late,
            "window": self.windows[source].as_dict(),
        }
        self.processes.append(Process(f"{name}.axon", "Axon", parameters))
        self.connections.append(Connection(source, "s_out", (), f"{name}.axon", "s_in"))
        return f"{name}.axon"
