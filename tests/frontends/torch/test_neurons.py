"""SpikingJelly's neurons: every parameter that changes the equation, both step modes, exact."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")

from spikingjelly.activation_based import functional, layer, neuron, surrogate  # noqa: E402

from snnc.compiler.frontends.torch import from_torch  # noqa: E402
from snnc.ir.errors import UnsupportedError  # noqa: E402
from snnc.simulators.reference.real import run_real  # noqa: E402

T, N, WIDTH = 24, 3, 40

NEURONS = {
    "if hard": lambda: neuron.IFNode(),
    "if soft": lambda: neuron.IFNode(v_reset=None),
    "if value": lambda: neuron.IFNode(v_threshold=0.75, v_reset=-0.5),
    "lif": lambda: neuron.LIFNode(),
    "lif soft": lambda: neuron.LIFNode(v_reset=None),
    "lif no decay_input": lambda: neuron.LIFNode(tau=4.0, decay_input=False),
    "lif value": lambda: neuron.LIFNode(tau=4.0, v_reset=0.25),
    "lif negative value": lambda: neuron.LIFNode(v_reset=-0.5, decay_input=False),
    "plif": lambda: neuron.ParametricLIFNode(init_tau=2.0),
    "plif no decay_input": lambda: neuron.ParametricLIFNode(decay_input=False, v_reset=None),
    "ilif": lambda: neuron.ILIFNode(),
    "ilif d8": lambda: neuron.ILIFNode(
        tau=2.0, v_threshold=0.5, surrogate_function=surrogate.MultiLevelSpikeCount(8)
    ),
    "ternary if": lambda: neuron.TernaryIFNode(),
    "ternary lif soft": lambda: neuron.TernaryLIFNode(v_reset=None),
    "ternary lif value": lambda: neuron.TernaryLIFNode(v_reset=0.25, decay_input=False),
    "cuba": lambda: neuron.CUBALIFNode(),
    "cuba soft": lambda: neuron.CUBALIFNode(c_decay=0.25, v_decay=0.5, v_reset=None),
    "klif": lambda: neuron.KLIFNode(scale_reset=False),
    "klif scaled": lambda: _klif(2.0, scale_reset=True),
    "klif gain": lambda: _klif(0.5, scale_reset=False, v_reset=None),
    "sliding psn": lambda: _sliding(3, -0.75),
    "sliding psn positive bias": lambda: _sliding(2, 0.25),
    "simple if": lambda: neuron.SimpleIFNode(1.0, 0.0),
    "simple lif": lambda: neuron.SimpleLIFNode(2.0, True),
}


def _klif(k, **options):
    module = neuron.KLIFNode(**options)
    module.k.data.fill_(k)
    return module


def _sliding(k, bias):
    module = neuron.SlidingPSN(k=k)
    module.weight.data = torch.arange(1, k + 1) / 4.0
    module.bias.data.fill_(bias)
    return module


def signal(seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(-24, 40, (T, N, WIDTH)) / 8.0)


def stepped(module, x):
    return torch.stack([module(step) for step in x])


@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("name", NEURONS)
def test_the_spikes_are_the_frameworks(name, mode):
    module = NEURONS[name]().double().eval()
    module.step_mode = mode
    x = signal()
    with torch.no_grad():
        truth = module(x) if mode == "m" else stepped(module, x)
    functional.reset_net(module)
    example = x[:, :2] if mode == "m" else x[0, :2]
    network = from_torch(module, example, time_axis=0 if mode == "m" else None)
    result = run_real(network, {"input": np.swapaxes(x.numpy(), 0, 1)})
    ours = np.swapaxes(result.outputs["output"], 0, 1)
    assert np.array_equal(ours, truth.numpy())
    assert np.abs(ours).sum() > 100


def test_a_readout_membrane():
    readout = neuron.NonSpikingLIFNode(tau=2.0, decode="last_mem")
    weigh = layer.Linear(WIDTH, 10, bias=False, step_mode="m")
    module = torch.nn.Sequential(weigh, readout).double()
    module.eval()
    module[0].weight.data = torch.round(module[0].weight.data * 64) / 64
    x = signal()
    with torch.no_grad():
        truth = module(x)
    network = from_torch(module, x[:, :2])
    (output,) = [n for n in network.nodes if n.name == "output"]
    assert output.readout == "last"
    result = run_real(network, {"input": np.swapaxes(x.numpy(), 0, 1)})
    assert np.array_equal(result.outputs["output"][:, -1], truth.numpy())


class OwnLoop(torch.nn.Module):
    """The usual training loop over time, inside of the model."""

    def __init__(self, readout):
        super().__init__()
        self.first, self.spike = torch.nn.Linear(WIDTH, 16), neuron.LIFNode()
        self.second, self.readout = torch.nn.Linear(16, 10), readout
        for parameter in self.parameters():
            parameter.data = torch.round(parameter.data * 64) / 16

    def forward(self, x):
        collected, total = [], 0.0
        for step in range(T):
            out = self.second(self.spike(self.first(x[step] if x.dim() == 3 else x)))
            collected.append(out)
            total = total + out
        if self.readout == "sum":
            return total
        return total / T if self.readout == "mean" else torch.stack(collected)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("readout", ["sum", "mean", "stack"])
def test_a_loop_over_time_inside_the_model_becomes_one_step(readout, static):
    model = OwnLoop(readout).double().eval()
    x = signal()[0] if static else signal()
    with torch.no_grad():
        truth = model(x).numpy()
    functional.reset_net(model)
    network = from_torch(model, x, time_axis=None if static else 0)
    assert sum(type(n).__name__ == "RealNeuron" for n in network.nodes) == 1
    data = np.repeat(x.numpy()[:, None], T, 1) if static else np.swapaxes(x.numpy(), 0, 1)
    outputs = run_real(network, {"input": data}).outputs["output"]
    ours = np.swapaxes(outputs, 0, 1) if readout == "stack" else outputs.sum(1)
    if readout == "mean":  # the framework divides the sum, the network every step: T is 24
        assert np.allclose(ours, truth, rtol=1e-12)
    else:
        assert np.array_equal(ours, truth)


def test_counts_spread_into_slots_carry_the_bias_once_per_slot():
    class Slots(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fire, self.spread = neuron.ILIFNode(step_mode="m"), layer.SpikeCountToBinary(4)
            self.weigh, self.gather = (
                layer.Linear(WIDTH, 10, step_mode="m"),
                layer.TemporalBinSum(4),
            )
            for parameter in self.parameters():
                parameter.data = torch.round(parameter.data * 64) / 64

        def forward(self, x):
            return self.gather(self.weigh(self.spread(self.fire(x))))

    model, x = Slots().double().eval(), signal()
    with torch.no_grad():
        truth = model(x).numpy()
    network = from_torch(model, x)
    ours = run_real(network, {"input": np.swapaxes(x.numpy(), 0, 1)}).outputs["output"]
    assert np.array_equal(np.swapaxes(ours, 0, 1), truth)


REFUSED = {
    "PSN of other steps": lambda: neuron.PSN(T + 1),
    "QIF": lambda: neuron.QIFNode(step_mode="m"),
    "EIF": lambda: neuron.EIFNode(step_mode="m"),
    "Izhikevich": lambda: neuron.IzhikevichNode(step_mode="m"),
    "CLIF": lambda: neuron.ComplementaryLIFNode(step_mode="m"),
    "GLIF": lambda: neuron.GatedLIFNode(T=T),
    "LIAF": lambda: neuron.LIAFNode(torch.relu, False),
    "filter": lambda: layer.SynapseFilter(step_mode="m"),
    "klif without gain": lambda: _klif(-1.0),
    "surrogate": lambda: neuron.IFNode(
        surrogate_function=surrogate.Sigmoid(spiking=False), step_mode="m"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_equivalent_is_refused_by_name(name):
    module = torch.nn.Sequential(REFUSED[name]()).eval()
    with pytest.raises(UnsupportedError) as error:
        from_torch(module, signal().float(), time_axis=0)
    assert error.value.where.startswith("0")
    assert error.value.remedy


def test_a_subclass_with_other_dynamics_is_not_its_base():
    class Leakier(neuron.LIFNode):
        def neuronal_charge(self, x):
            self.v = self.v * 0.5 + x

    with pytest.raises(UnsupportedError, match="no equation for"):
        from_torch(Leakier(step_mode="m").eval(), signal().float(), time_axis=0)


def test_a_subclass_with_the_same_dynamics_is_its_base():
    class Named(neuron.LIFNode):
        pass

    network = from_torch(Named(step_mode="m").eval(), signal().float(), time_axis=0)
    assert len(network.nodes) == 3
