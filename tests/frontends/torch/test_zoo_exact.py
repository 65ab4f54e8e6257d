"""The gate: every network of the zoo, framework in float64 on a grid, equal entry by entry.

Logits and every spike train of ``run_real(from_torch(model))`` against PyTorch's own forward pass.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")

from support import torch_compare, torch_zoo  # noqa: E402


@pytest.mark.parametrize("name", sorted(torch_zoo.ZOO))
def test_the_network_equals_the_framework(name, record_property):
    torch.set_num_threads(1)
    net = torch_zoo.snap(torch_zoo.build(name))
    compared = torch_compare.compare(net, samples=5)
    record_property("spikes", compared.spikes)
    print(f"{name}: {compared.spikes} spikes, {compared.populations} populations")  # noqa: T201
    assert compared.logit_differences == 0
    assert compared.spike_differences == {}
    assert compared.spikes > 50
    assert compared.populations == compared.hooked


def test_the_auxiliary_path_is_gone():
    net = torch_zoo.build("iand_aap")
    kept = torch_compare.imported(net)
    whole = torch_compare.imported(net, outputs=None)
    assert {n.name for n in whole.nodes} - {n.name for n in kept.nodes} >= {"extra.2", "auxiliary"}
    assert not any(n.name.startswith("extra") for n in kept.nodes)


def test_trained_weights_are_exact_too():
    net = torch_zoo.build("cnn_lif_hard")
    accuracy = torch_zoo.train(net, epochs=3)
    assert accuracy > 0.9
    compared = torch_compare.compare(torch_zoo.snap(net, 8), samples=20)
    assert compared.logit_differences == 0
    assert compared.spike_differences == {}


def test_seeds_differ():
    one, two = (torch_zoo.build("fc_if_soft", seed).model.state_dict() for seed in (0, 1))
    assert any(not np.array_equal(one[k], two[k]) for k in one)


def test_a_reparameterised_convolution_folds_to_one():
    from snnc.compiler.normalise import normalise
    from snnc.ir.nodes import Linear
    from snnc.ir.weights import Conv

    network = normalise(torch_compare.imported(torch_zoo.snap(torch_zoo.build("repconv"))))
    layers = [n.weights for n in network.of_type(Linear) if n.name.startswith(("body.2", "body.5"))]
    assert [(type(w), w.values.shape) for w in layers] == [(Conv, (16, 16, 3, 3))] * 2
