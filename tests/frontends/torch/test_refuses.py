"""What cannot become a network is refused with the module's path and the user's line."""

import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

import snnc  # noqa: E402
from snnc.ir.errors import ModelError, OptionError, UnsupportedError  # noqa: E402

X = torch.rand(2, 3, 8, 8)


class Model(nn.Module):
    """A function behind one convolution."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x))


def data_dependent(x):
    return x if x.sum() > 0 else -x


def loop_on_values(x):
    while x.max().item() > 1:
        x = x / 2
    return x


UNSUPPORTED = {
    "control flow": data_dependent,
    "item": loop_on_values,
    "where": lambda x: torch.where(x > 0, x, -x),
    "relu": F.relu,
    "softmax": lambda x: F.softmax(x, 1),
    "sigmoid": lambda x: x.sigmoid() * x,
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "group norm": lambda x: F.group_norm(x, 2),
    "comparison": lambda x: (x >= 1).float(),
    "integers": lambda x: x.long(),
    "divide": lambda x: x / x.sum(1, keepdim=True),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "max pool dilation": lambda x: F.max_pool2d(x, 2, dilation=2),
    "batch mixed": lambda x: x.flip(0),
    "batch reduced": lambda x: x.mean(0),
    "batch split": lambda x: x[:1],
    "batch shuffled": lambda x: x.transpose(0, 1).reshape(4, 3, -1),
    "clamp alone": lambda x: x.clamp(0, 1),
    "round alone": lambda x: x.round(),
    "fractional levels": lambda x: x.clamp(0, 1.5).round(),
    "complex": torch.fft.fft,
    "sort": lambda x: x.sort(1).values,
    "assigned": lambda x: _assigned(x),
    "constant": lambda x: torch.ones(3),
    "nothing": lambda x: None,
    "shared view": lambda x: _shared(x),
}


def _assigned(x):
    y = x * 2
    y[:, 0] = x[:, 1]
    return y


def _shared(x):
    part = x[:, 0]
    part += 1
    return x


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_operations_without_an_equivalent(name):
    with pytest.raises(UnsupportedError) as error:
        snnc.from_torch(Model(UNSUPPORTED[name]).eval(), X, time_axis=None)
    assert error.value.where
    assert error.value.remedy


def test_the_module_and_the_line_are_named():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(1))).eval()
    with pytest.raises(UnsupportedError) as error:
        snnc.from_torch(model, X)
    assert error.value.where.startswith("0.1")
    with pytest.raises(UnsupportedError) as error:
        snnc.from_torch(Model(data_dependent).eval(), X)
    assert "test_refuses.py:" in error.value.where


def test_training_mode():
    with pytest.raises(ModelError, match="training mode") as error:
        snnc.from_torch(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), X)
    assert "eval" in error.value.remedy


def test_batch_norm_without_running_statistics():
    model = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)).eval()
    with pytest.raises(ModelError, match="statistics of its batch"):
        snnc.from_torch(model, X)


def test_a_module_with_state_of_its_own():
    class Leaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.v = 0.0

        def forward(self, x):
            self.v = self.v * 0.5 + x
            return self.v * 1.0

    with pytest.raises(UnsupportedError, match="keeps a tensor") as error:
        snnc.from_torch(nn.Sequential(Leaky()).eval(), X)
    assert error.value.where == "0.v"


def test_nan_weights():
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    model[0].weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match="finite"):
        snnc.from_torch(model, X)


@pytest.mark.parametrize("arguments", [
    {"time_axis": 2}, {"steps": 0}, {"outputs": ("other",)}, {"outputs": ()},
    {"time_axis": 0, "steps": 5},
])  # fmt: skip
def test_arguments(arguments):
    with pytest.raises(OptionError):
        snnc.from_torch(nn.Flatten().eval(), X, **arguments)


@pytest.mark.parametrize("model", [3, nn.Flatten, torch.jit.script(nn.Flatten().eval())])
def test_what_is_no_model(model):
    with pytest.raises((OptionError, UnsupportedError)):
        snnc.from_torch(model, X)


@pytest.mark.parametrize("example", [3, None, torch.zeros(()), torch.zeros(0, 3), []])
def test_what_is_no_example(example):
    with pytest.raises(OptionError):
        snnc.from_torch(nn.Flatten().eval(), example)


def test_a_defect_of_ours_is_not_blamed_on_the_model(monkeypatch):
    from snnc.compiler.frontends.torch import layers

    monkeypatch.setattr(layers, "per_axis", None)
    with pytest.raises(TypeError):
        snnc.from_torch(Model(lambda x: x).eval(), X)


def test_the_model_is_left_as_it_was():
    model = Model(data_dependent).eval()
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    with pytest.raises(UnsupportedError):
        snnc.from_torch(model, X)
    for name, module in model.named_modules():
        assert vars(module).keys() == before[name].keys()
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
