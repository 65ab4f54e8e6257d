"""Layers and tensor functions against PyTorch on values, with shapes that tell axes apart."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from snnc.compiler.frontends.torch import from_torch  # noqa: E402
from snnc.simulators.reference.real import run_real  # noqa: E402


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *x):
        return self.function(*x)


def check(model, *shape, samples=3, exact=True):
    """The imported network and the model give the same values."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = (model if isinstance(model, nn.Module) else Function(model)).double().eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.copy_(torch.randn(module.num_features) / 4)
            module.running_var.copy_(torch.rand(module.num_features) + 0.5)
            nn.init.uniform_(module.weight, -1, 1)
            nn.init.uniform_(module.bias, -1, 1)
            exact = False
    for parameter in model.parameters():
        if exact:
            parameter.data = torch.round(parameter.data * 64) / 64
    x = torch.from_numpy(rng.integers(-16, 17, (samples, *shape)) / 16.0)
    with torch.no_grad():
        truth = model(x)
    network = from_torch(model, x[:1], time_axis=None)
    ours = run_real(network, {"input": x.numpy()[:, None]}).outputs
    truths = truth if isinstance(truth, tuple | list) else [truth]
    assert len(ours) == len(truths)
    for values, expected in zip(ours.values(), truths, strict=True):
        got = values[:, 0].reshape(expected.shape)
        if exact:
            assert np.array_equal(got, expected.numpy())
        else:
            assert np.allclose(got, expected.numpy(), rtol=1e-12, atol=1e-12)
    return network


LAYERS = {
    "linear": (nn.Linear(7, 5), (7,)),
    "linear on tokens": (nn.Linear(7, 5), (3, 7)),
    "linear on a grid of tokens": (nn.Linear(7, 5), (3, 2, 7)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2), (4, 11)),
    "conv1d same": (nn.Conv1d(4, 6, 4, padding="same"), (4, 11)),
    "conv2d": (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)), (4, 9, 7)),
    "conv2d groups": (nn.Conv2d(4, 6, 3, groups=2, padding="same"), (4, 9, 7)),
    "conv2d depthwise": (nn.Conv2d(4, 8, 3, groups=4, dilation=2, bias=False), (4, 9, 7)),
    "conv3d": (nn.Conv3d(2, 3, (2, 3, 1), padding=(1, 1, 0)), (2, 4, 5, 3)),
    "conv transposed": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), (4, 5, 3)),
    "conv transposed groups": (nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (4, 5, 3)),
    "conv transposed 1d": (nn.ConvTranspose1d(2, 3, 4, 2, 1, dilation=2), (2, 6)),
    "batch norm 1d": (nn.BatchNorm1d(5), (5,)),
    "batch norm 1d tokens": (nn.BatchNorm1d(5), (5, 4)),
    "batch norm 2d": (nn.BatchNorm2d(5), (5, 4, 3)),
    "batch norm 3d": (nn.BatchNorm3d(2), (2, 3, 4, 3)),
    "linear and norm": (nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5)), (6,)),
    "norm behind pool": (nn.Sequential(nn.AvgPool2d(2), nn.BatchNorm2d(3)), (3, 6, 4)),
    "max pool": (nn.MaxPool2d(3, 2, 1), (3, 9, 8)),
    "max pool ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), (3, 8, 9)),
    "max pool 1d": (nn.MaxPool1d(2), (3, 9)),
    "max pool 3d": (nn.MaxPool3d((1, 2, 2)), (3, 2, 4, 6)),
    "avg pool": (nn.AvgPool2d(2), (3, 8, 6)),
    "avg pool padded": (nn.AvgPool2d(4, 2, 1), (3, 8, 6)),
    "avg pool padded outside": (nn.AvgPool2d(4, 2, 1, count_include_pad=False), (3, 8, 6)),
    "avg pool ceil": (nn.AvgPool2d(2, 2, ceil_mode=True), (3, 7, 5)),
    "adaptive avg": (nn.AdaptiveAvgPool2d((2, 1)), (3, 8, 4)),
    "adaptive avg None": (nn.AdaptiveAvgPool2d((None, 2)), (3, 8, 4)),
    "adaptive max": (nn.AdaptiveMaxPool2d(2), (3, 8, 4)),
    "flatten": (nn.Flatten(), (3, 8, 4)),
    "unflatten": (nn.Unflatten(1, (2, 4)), (8, 3)),
    "dropout": (nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.Identity()), (3, 8, 4)),
    "upsample": (nn.Upsample(scale_factor=2), (3, 4, 5)),
    "upsample size": (nn.Upsample(size=(6, 7)), (3, 4, 5)),
    "zero pad": (nn.ZeroPad2d((1, 2, 0, 1)), (3, 4, 5)),
    "constant pad": (nn.ConstantPad2d((1, 2, 0, 1), 0.5), (3, 4, 5)),
    "reflection pad": (nn.ReflectionPad2d(1), (3, 4, 5)),
    "replication pad": (nn.ReplicationPad2d(1), (3, 4, 5)),
    "pixel shuffle": (nn.PixelShuffle(2), (8, 3, 2)),
    "pixel unshuffle": (nn.PixelUnshuffle(2), (2, 4, 6)),
    "channel shuffle": (nn.ChannelShuffle(2), (6, 3, 2)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    model, shape = LAYERS[name]
    check(model, *shape, exact=name != "avg pool padded outside")  # divides by 3


def test_unequal_bins_of_an_adaptive_pool():
    check(nn.AdaptiveAvgPool2d((3, 2)), 2, 7, 5, exact=False)


WEIGHT = torch.arange(-12, 12).reshape(4, 6).double() / 8

FUNCTIONS = {
    "add": lambda x: x + x.flip(2) + 1.5,
    "sub": lambda x: 1 - x - x[:, :1],
    "alpha": lambda x: torch.add(x, x, alpha=2).sub(x.mean(1, keepdim=True), alpha=0.5),
    "mul": lambda x: x * x.transpose(1, 2).transpose(1, 2) * 0.5,
    "vector": lambda x: x * torch.arange(6).double() + torch.ones(4, 1).double(),
    "div": lambda x: x / 4,
    "neg": lambda x: -x,
    "in place": lambda x: (x * 1.0).add_(1).mul_(2),
    "cat": lambda x: torch.cat((x, x * 2, torch.zeros(x.shape[0], 1, 6).double()), 1),
    "stack": lambda x: torch.stack((x, x + 1), 1),
    "chunk": lambda x: torch.chunk(x, 2, 2)[1] + x.split(3, 2)[0],
    "unbind": lambda x: sum(x.unbind(1)),
    "index": lambda x: x[:, 1, 2:5],
    "index end": lambda x: x[..., -1],
    "index new": lambda x: x[:, None, :, ::2],
    "index list": lambda x: x[:, [2, 0]],
    "select": lambda x: x.select(2, 3) + x.narrow(2, 1, 1).squeeze(2),
    "index select": lambda x: x.index_select(1, torch.tensor([3, 1])),
    "permute": lambda x: x.permute(0, 2, 1).reshape(-1, 3, 8).transpose(1, 2),
    "view": lambda x: x.view(x.size(0), -1).unflatten(1, (2, 12)),
    "expand": lambda x: x[:, :1].expand(-1, 5, -1),
    "repeat": lambda x: x.repeat(1, 2, 1),
    "interleave": lambda x: x.repeat_interleave(2, 1),
    "roll": lambda x: x.roll(2, 2),
    "mean": lambda x: x.mean((1, 2)),
    "mean keep": lambda x: x.mean(1, keepdim=True),
    "sum": lambda x: x.sum(-1),
    "max": lambda x: x.max(1).values + x.amax(1),
    "matmul": lambda x: x @ x.transpose(-1, -2),
    "matmul constant": lambda x: x @ WEIGHT.T + F.linear(x, WEIGHT),
    "matmul left": lambda x: WEIGHT @ x.transpose(1, 2),
    "einsum": lambda x: torch.einsum("bij,bkj->bik", x, x),
    "bmm": lambda x: torch.bmm(x, x.mT),
    "pad": lambda x: F.pad(x, (1, 0, 2, 0)),
    "zeros_like": lambda x: x + torch.ones_like(x) + x.new_zeros(4, 6),
    "movedim": lambda x: x.movedim(1, 2),
    "round": lambda x: torch.round(torch.clamp(x * 8, 0, 4)),
    "signed round": lambda x: torch.clamp(x * 2, -1, 1).round(),
    "half up": lambda x: torch.floor(torch.clamp(x * 4, 0, 4) + 0.5),
    "two outputs": lambda x: (x + 1, x.sum(1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    check(FUNCTIONS[name], 4, 6, exact=name != "mean")  # divides by 24


def test_a_pool_over_several_images_per_sample():
    def views(x):  # [N, V, C, H, W]
        flat = F.max_pool2d(x.flatten(0, 1), 2)
        return flat.unflatten(0, (x.shape[0], x.shape[1])).sum(1)

    check(views, 3, 2, 4, 6)


def test_a_convolution_over_several_images_per_sample():
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, padding=1)

        def forward(self, x):
            return self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    check(Views(), 3, 2, 4, 6)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_reshapes_and_permutations_compose(data):
    """Any chain of regroupings of [N, 2, 6, 4] keeps every element where PyTorch puts it."""
    moves = data.draw(st.lists(st.sampled_from(["permute", "merge", "split", "flip"]), max_size=6))
    seeds = data.draw(st.lists(st.integers(0, 10**6), min_size=len(moves), max_size=len(moves)))

    def chain(x):
        for move, seed in zip(moves, seeds, strict=True):
            rng = np.random.default_rng(seed)
            rank = x.dim()
            axis = int(rng.integers(1, rank))
            if move == "permute":
                x = x.permute(0, *(1 + rng.permutation(rank - 1)).tolist())
            elif move == "merge" and axis + 1 < rank:
                x = x.flatten(axis, axis + 1)
            elif move == "split" and x.shape[axis] % 2 == 0:
                x = x.unflatten(axis, (2, -1))
            elif move == "flip":
                x = x.flip(axis)
        return x

    check(chain, 2, 6, 4)


def test_equal_operations_are_one_node():
    network = check(lambda x: F.linear(x, WEIGHT) + F.linear(x, WEIGHT), 6)
    assert sum(type(n).__name__ == "Linear" for n in network.nodes) == 1
