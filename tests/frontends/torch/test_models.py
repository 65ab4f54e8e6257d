"""SpikingJelly's own models, small: every one imports exactly, or is refused for its attention."""

import importlib
import sys
import types

import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")

from spikingjelly.activation_based import functional, neuron  # noqa: E402
from support import torch_compare, torch_zoo  # noqa: E402

from snnc.ir.errors import UnsupportedError  # noqa: E402


def model_of(name):
    """A module of SpikingJelly's model package, which imports a downloader from torchvision."""
    utils = types.ModuleType("torchvision.models.utils")
    utils.load_state_dict_from_url = None
    with pytest.MonkeyPatch.context() as patch:
        for path in ("torchvision", "torchvision.models", "torchvision.models.utils"):
            if path not in sys.modules:
                patch.setitem(sys.modules, path, utils)
        return importlib.import_module(f"spikingjelly.activation_based.model.{name}")


def sequences(model):
    functional.set_step_mode(model, "m")
    return model


LIF, PLIF = neuron.LIFNode, neuron.ParametricLIFNode
SMALL = {"num_classes": 10, "embed_dims": 32}
MODELS = {
    "spikformer": ("image", (3, 32, 32), lambda: model_of("spikformer").Spikformer(
        T=2, img_size_h=32, img_size_w=32, num_heads=2, depths=1, **SMALL)),
    "sdt": ("image", (3, 32, 32), lambda: model_of(
        "spike_driven_transformer").SpikeDrivenTransformer(T=2, num_heads=2, depths=1,
                                                       pooling_stat="1100", **SMALL)),
    "qkformer token": ("image", (3, 32, 32), lambda: model_of("qkformer").QKFormer(
        T=2, num_heads=(2, 2, 2), depths=(1, 1, 1), **SMALL)),
    "qkformer channel": ("image", (3, 32, 32), lambda: model_of("qkformer").QKFormer(
        T=2, num_heads=(2, 2, 2), depths=(1, 1, 1), qka_type="channel", **SMALL)),
    "maxformer": ("image", (3, 16, 16), lambda: model_of("maxformer").MaxFormer(
        T=2, depths=(1, 1, 1), cifar=True, **SMALL)),
    "ms_resnet": ("image", (3, 16, 16), lambda: model_of("ms_resnet").MSResNet(
        T=2, num_classes=10, base_channels=8, stem_kernel_size=3, stem_stride=1)),
    "max_resnet": ("image", (3, 16, 16), lambda: model_of("ms_resnet").MaxResNet(
        T=2, num_classes=10, base_channels=8)),
    "mnist net": ("sequence", (1, 28, 28), lambda: sequences(
        model_of("parametric_lif_net").MNISTNet(4, spiking_neuron=PLIF))),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_small_models_are_exact(name):
    torch.manual_seed(0)
    kind, shape, make = MODELS[name]
    net = torch_zoo.ZooNet(name, make(), 2, kind, shape)
    torch_zoo.settle(net, 0)
    compared = torch_compare.compare(torch_zoo.snap(net, 8), samples=2)
    print(f"{name}: {compared.spikes} spikes, {compared.populations} populations")  # noqa: T201
    assert compared.logit_differences == 0
    assert compared.spike_differences == {}
    assert compared.spikes > 1000
    assert compared.populations == compared.hooked


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sew_resnet18 ADD", "sew_resnet18 IAND", "spiking_resnet18"])
def test_resnet18_is_exact(family):
    torch.manual_seed(0)
    function, _, cnf = family.partition(" ")
    options = {"cnf": cnf} if cnf else {}
    package = model_of(function.removesuffix("18"))
    made = getattr(package, function)(num_classes=10, spiking_neuron=LIF, **options)
    net = torch_zoo.ZooNet(family, sequences(made), 2, "sequence", (3, 32, 32))
    torch_zoo.settle(net, 0)
    compared = torch_compare.compare(torch_zoo.snap(net, 8), samples=2)
    assert compared.logit_differences == 0
    assert compared.spike_differences == {}


@pytest.mark.parametrize("name", ["MASNN", "AttMSResNet"])
def test_sigmoid_masks_are_refused_by_name(name):
    package = model_of("masnn")
    make = {
        "MASNN": lambda: package.MASNN(T=5, channels=(8, 8, 8), input_size=(16, 16)),
        "AttMSResNet": lambda: package.AttMSResNet(T=1, num_classes=10, base_channels=8),
    }[name]
    inputs = "sequence" if name == "MASNN" else "image"
    net = torch_zoo.ZooNet(name, make().eval(), 5, inputs, (2 if name == "MASNN" else 3, 16, 16))
    with pytest.raises(UnsupportedError, match="sigmoid"):
        torch_compare.imported(net)
