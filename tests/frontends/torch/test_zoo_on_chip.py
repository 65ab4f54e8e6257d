"""Every zoo network from PyTorch to the cores: framework = integers = simulators = chip."""

import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")

from support import torch_zoo  # noqa: E402
from support.torch_gate import gate  # noqa: E402


@pytest.mark.parametrize("name", sorted(torch_zoo.ZOO))
def test_the_chip_emits_the_frameworks_spikes(name):
    torch.set_num_threads(1)
    found = gate(name, samples=1)
    print(f"{name}: {found.spikes} spikes, {found.cores} cores, {found.ticks} ticks")  # noqa: T201
    assert found.exact, found
    assert found.spikes > 0
