"""The whole way of one zoo network: PyTorch in float64 to the cores of the toy mesh, all equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from support import torch_compare, torch_zoo
from support.deployed import deployed

from snnc.backends.lava import run_on_lava
from snnc.backends.lava.jobs import Job
from snnc.backends.lava.lower import lower
from snnc.backends.targets import load
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.on_lava import as_result
from snnc.simulators import cycle, reference
from snnc.simulators.functional import Functional
from snnc.simulators.reference.real import run_real

CHIPS = 64


@dataclass(frozen=True)
class Gate:
    """What was compared, and what differed.

    Attributes:
        framework, integer, functional, emulated: spike entries in which PyTorch and the real
            network, that and the integers, and these and the two simulators differ.
        logits: largest difference of a logit between PyTorch's real network and the integers.
        spikes: compared, in populations that PyTorch has too.
        cores, ticks: of the deployment.
        lava: entries in which the integers and Lava differ; None when that was not asked for.
    """

    name: str
    framework: int
    integer: int
    functional: int
    emulated: int
    logits: float
    spikes: int
    cores: int
    ticks: int
    lava: int | None = None

    @property
    def exact(self) -> bool:
        """Nothing differs anywhere."""
        off = (self.framework, self.integer, self.functional, self.emulated, self.lava)
        return not any(off) and self.logits == 0


def gate(name: str, samples: int = 2, *, lava: bool = False) -> Gate:
    """Run one network everywhere; its numbers are rounded to powers of two first.

    With ``lava`` the integers also run on Lava, in the interpreter that SNNC_LAVA_PYTHON names.
    """
    net, toy = torch_zoo.build(name), load("toy-mesh")
    # Three convolutions in a row fold into one with three times the fraction bits: 16 are allowed.
    torch_zoo.snap(net, fraction=5 if name == "repconv" else 6)
    network = torch_compare.imported(net)
    framework = torch_compare.compare(net, samples, network)
    data = torch_zoo.network_inputs(net, torch_zoo.example(net, samples, seed=7))
    whole = quantize(network, toy, QuantizeOptions(16, net.steps), data).network
    grids = {n.name: n.type.grid[0] for n in whole.of_type(Input)}
    inputs = {k: np.rint(v / grids[k]).astype(np.int64) for k, v in data.items()}
    real, integer = run_real(network, data), reference.run(whole, inputs)
    shared = [k for k in real.spikes if k in integer.spikes]
    deployment = deployed(whole, toy, net.steps, CHIPS)
    fast, chip = Functional(whole).run(inputs), cycle.run(deployment, inputs).result
    return Gate(
        name,
        framework.logit_differences + len(framework.spike_differences),
        sum(integer.spikes[k].mismatches(real.spikes[k]) for k in shared),
        _differing(integer, fast),
        _differing(integer, chip),
        _logits(whole, integer, real),
        sum(real.spikes[k].count for k in shared),
        deployment.cores.count,
        deployment.schedule.ticks,
        _differing(integer, _on_lava(whole, inputs, samples, net.steps)) if lava else None,
    )


def _on_lava(network: Any, inputs: Any, samples: int, steps: int) -> Any:
    plan = lower(network, steps)
    (run,) = run_on_lava([Job(plan, inputs)])
    return as_result(network, plan, run, samples)


def _differing(expected: Any, found: Any) -> int:
    off = sum(expected.spikes[k].mismatches(found.spikes[k]) for k in expected.spikes)
    outputs = [int((expected.outputs[k] != found.outputs[k]).sum()) for k in expected.outputs]
    return off + sum(outputs)


def _logits(whole: Any, integer: Any, real: Any) -> float:
    largest = 0.0
    for output in whole.of_type(Output):
        readout = whole.node[output.inputs[0]]
        grid = np.array(readout.grid if isinstance(readout, Neuron) else [1.0])
        scale = grid.reshape(-1, *(1,) * (len(whole.shapes[output.name]) - 1))
        difference = integer.outputs[output.name] * scale - real.outputs[output.name]
        largest = max(largest, float(np.abs(difference).max()))
    return largest
