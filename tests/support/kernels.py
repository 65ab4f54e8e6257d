"""Convolutions that machines of small cores store as kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from support import nets

from snnc.backends.targets import load
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.wiring import wire
from snnc.compiler.retime import retime
from snnc.ir.deployment import SourceSpace
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Input, Linear, Output, Pool
from snnc.ir.shared_expansion import expand_large
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Conv

STEPS = 3
ONE = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))


def several(seed: int, pruned: bool) -> IntegerNetwork:
    """Convolutions: by channel, of a sum of populations, behind a pool; and the identity."""
    rng = np.random.default_rng(seed)

    def conv(*shape: int, stride: int = 1, pad: Any = ONE, groups: int = 1) -> Conv:
        values = rng.integers(1, 5, shape)
        values = values * (rng.random(shape) < 0.6) if pruned else values
        return Conv(values, (stride, stride), pad, (1, 1), groups)

    return IntegerNetwork("several", (
        Input("in", (2, 6, 6), BIN),
        Linear("c1", ("in",), conv(3, 2, 3, 3)), nets.fire("n1", "c1", (3, 6, 6)),
        Linear("c2", ("n1",), conv(3, 1, 3, 3, groups=3)), nets.fire("n2", "c2", (3, 6, 6)),
        Add("a", ("n1", "n2")),
        Linear("c3", ("a",), conv(2, 3, 3, 3, stride=2)), nets.fire("n3", "c3", (2, 3, 3)),
        Pool("p", ("n1",), "sum", (2, 2), (2, 2), NONE),
        Linear("c4", ("p",), conv(2, 3, 2, 2, pad=NONE)), nets.fire("n4", "c4", (2, 2, 2)),
        Delay("late", ("n3",), 1), nets.fire("n5", "late", (2, 3, 3), 1),
        Output("out", ("n4",)), Output("other", ("n5",)),
    ))  # fmt: skip


def machine(**limits: int) -> Target:
    """One row of cores that store weights of 8 bits, as rows or kernels, one unit each."""
    data = load("toy-mesh").model_dump(by_alias=True)
    limit = {"neurons": 10_000, "words": 100_000, "cores": 16, **limits}
    data["topology"] |= {
        "grid": (limit["cores"], 1), "usable_cores": limit["cores"], "cores_per_router": 1,
        "max_chips": {"v": 1, "ev": "assumed"},
    }  # fmt: skip

    def wall(name: str, use: str) -> dict[str, Any]:
        return {"capacity": {"v": limit[name], "ev": "assumed"}, "use": use}

    data["core"] |= {
        "resources": {
            "neurons": wall("neurons", "n_neurons"),
            "words": wall("words", "n_row_synapses + n_kernel_weights"),
        },
        "encodings": ("dense", "kernel"),
    }
    return Target.model_validate(data)


def paid_per_axon() -> Target:
    """Rows of 16 bits and 10 per synapse; kernels of 7 bits and their weights, axons of 5."""
    data = load("toy-mesh").model_dump(by_alias=True)
    memory = data["core"]["resources"]["synapse_mem"]
    memory["use_per_axon"] = {"sparse": "16 + f * 10", "kernel": "5 + delay_bits"}
    memory["use_per_kernel"] = "7 + taps * weight_bits"
    data["core"]["encodings"] = ("sparse", "kernel")
    return Target.model_validate(data)


def metered(network: IntegerNetwork, target: Target) -> tuple[Meter, list[tuple[Any, ...]]]:
    """The meter, and all synapses as (sender, population, delay, source, neuron)."""
    parts = expand_large(network, kernels=True)
    retiming = retime(network, target, STEPS, expansion=parts)
    space = SourceSpace.of(network)
    late = retiming.extra_delay
    synapses = [
        (p.source, p.population, late[p.source, p.population, p.delay], row, int(p.target[k]))
        for p in expand(network).projections
        for row in range(p.row_ptr.size - 1)
        for k in range(p.row_ptr[row], p.row_ptr[row + 1])
    ]
    return Meter(wire(parts, space, late, None), Limits.of(target)), synapses
