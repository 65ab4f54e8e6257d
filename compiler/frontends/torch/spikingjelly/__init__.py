"""Converters of SpikingJelly's modules (2.x and the 0.0.0.0.14 line), by their equations.

Fang et al., "SpikingJelly", Science Advances 9(40), 2023: charge, fire (``>=``), reset.
"""

from __future__ import annotations

from snnc.compiler.frontends.torch.spikingjelly import (
    containers,
    few_spike,
    neurons,
    parallel,
    refused,
)

__all__ = ["containers", "few_spike", "neurons", "parallel", "refused"]
