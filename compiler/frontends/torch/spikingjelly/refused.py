"""Modules of SpikingJelly with state that have no equivalent: refused by name."""

from __future__ import annotations

from typing import Any

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.spikingjelly.neurons import names

_LAYER = "spikingjelly.activation_based.layer."


@converts(
    "spikingjelly.activation_based.base.MemoryModule",
    *names(
        "base_node.BaseNode", "base_node.SimpleBaseNode", "base_node.NonSpikingBaseNode",
        "inter_layer_connection.ILCBaseNode", "noisy.NoisyBaseNode",
        "noisy.NoisyNonSpikingBaseNode",
    ),
    catch_all=True,
)  # fmt: skip
def unknown_state(call: Call) -> Any:
    """A module with state whose equation snnc does not have."""
    raise call.refuse(
        "a module with state that snnc has no equation for",
        remedy="use a neuron of docs/torch.md, or register this one by its equation",
    )


@converts(*names("lif_variants.LIAFNode"))
def analog(call: Call) -> Any:
    """Analog values instead of spikes."""
    raise call.refuse("a neuron that emits analog values", remedy="use LIFNode")


@converts(_LAYER + "misc.SynapseFilter")
def synapse_filter(call: Call) -> Any:
    """``y = y - (1 - x) y / tau + x``: the decay depends on the input."""
    raise call.refuse(
        "a synapse filter whose decay pauses while a spike arrives",
        remedy="use CUBALIFNode, whose current decays in every step",
    )


@converts(_LAYER + "bn._BatchNormThroughTimeBase", catch_all=True)
def batch_norm_through_time(call: Call) -> Any:
    """Statistics per time step."""
    raise call.refuse(
        "a batch normalisation with other parameters in every step",
        remedy="use ThresholdDependentBatchNorm, whose parameters all steps share",
    )


@converts(
    _LAYER + "attention.TemporalWiseAttention", _LAYER + "attention.MultiDimensionalAttention"
)
def masking_attention(call: Call) -> Any:
    """Masks computed from all steps by a sigmoid."""
    raise call.refuse(
        "an attention that weighs steps, channels or places by a sigmoid of all steps",
        remedy="compute the mask on the host, or use a spiking attention (SSA, SDSA, QK)",
    )
