"""How many steps a sample has, where a network sums over all of them."""

from __future__ import annotations

from snnc.ir.errors import OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network


def sample_steps(network: Network | IntegerNetwork, timesteps: int | None) -> int | None:
    """The steps asked for, else those the network was made for; None: any number.

    Raises:
        OptionError: both are known and differ.
    """
    if network.steps is None:
        return timesteps
    if timesteps not in (None, network.steps):
        raise OptionError(
            "the network sums over all time steps of a sample, and they are another number",
            where="--timesteps",
            found=timesteps,
            allowed=f"{network.steps}",
            remedy="compile for that number, or build the network for the other",
        )
    return network.steps
