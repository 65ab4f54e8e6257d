"""PyTorch files: exported programs and weights; nothing in them is executed."""

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")

from support import torch_compare, torch_zoo  # noqa: E402

import snnc  # noqa: E402
from snnc.compiler.frontends.torch.files import TorchOptions, read  # noqa: E402
from snnc.ir.errors import (  # noqa: E402
    ModelFileError,
    OptionError,
    SnncError,
    UnsupportedError,
)
from snnc.ir.neuron import Neuron  # noqa: E402
from snnc.ir.real_neuron import RealNeuron  # noqa: E402
from snnc.simulators.reference.real import run_real  # noqa: E402

EXPORTED = ("cnn_ilif", "cnn_plif", "cnn_ternary", "masked_dvs", "ms_resnet", "sdt_linear",
            "sdt_v3", "sew_iand", "yolo_neck", "t_rev_snn")  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def exported(name, path):
    net = torch_zoo.snap(torch_zoo.build(name))
    snnc.export_torch(net.model, torch_zoo.example(net, 2), path)
    return net


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_program_equals_the_framework(name, tmp_path):
    net = exported(name, tmp_path / "model.pt2")
    network = read(tmp_path / "model.pt2")
    inputs = torch_zoo.example(net, 3, seed=5)
    logits, _ = torch_zoo.run(net, inputs, [])
    data = torch_zoo.network_inputs(net, inputs)
    result = run_real(network, data)
    outputs = torch_compare.joined(network, result.outputs["output"], net.steps).sum(1)
    assert np.array_equal(outputs.reshape(tuple(logits.shape)), logits.numpy())
    direct = run_real(torch_compare.imported(net), data)
    if name != "t_rev_snn":  # its stateless firing has no module, and so no name, in a program
        assert result.mismatches(direct) == dict.fromkeys(result.mismatches(direct), 0)


@pytest.mark.parametrize("name", ["recurrent", "cnn_sliding_psn"])
def test_modules_of_several_populations_are_not_exported(name, tmp_path):
    with pytest.raises(UnsupportedError, match="more than one population"):
        exported(name, tmp_path / "model.pt2")
    assert not (tmp_path / "model.pt2").exists()


def test_neurons_that_pytorch_decomposed_are_refused(tmp_path):
    net = torch_zoo.build("fc_if_soft")
    net.model.double()
    with torch.no_grad():
        program = torch.export.export(net.model, torch_zoo.example(net, 2))
    torch.export.save(program, tmp_path / "plain.pt2")
    with pytest.raises(UnsupportedError) as error:
        read(tmp_path / "plain.pt2")
    assert error.value.where.startswith("plain.pt2: body.2")


CONSTRUCTOR = """
from support import torch_zoo

def make():
    net = torch_zoo.build("fc_if_soft", seed={seed})
    return net.model.double(), torch_zoo.example(net, 2)[0]

def wrong():
    return 3

def fails():
    raise KeyError("x")
"""


def saved(folder, suffix):
    net = torch_zoo.snap(torch_zoo.build("fc_if_soft", seed=3))
    (folder / f"shapes{suffix[1:]}.py").write_text(CONSTRUCTOR.format(seed=4))
    path = folder / f"weights{suffix}"
    state = net.model.state_dict()
    if suffix == ".safetensors":
        path.write_bytes(safetensors(state))
    else:
        torch.save(
            {"state_dict": state, "epoch": torch.tensor(3)} if suffix == ".pth" else state, path
        )
    return net, path, TorchOptions(f"shapes{suffix[1:]}:make")


def safetensors(state):
    header, body = {}, b""
    for name, tensor in state.items():
        raw = tensor.contiguous().numpy().tobytes()
        offsets = [len(body), len(body) + len(raw)]
        header[name] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": offsets}
        body += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_weights_with_a_constructor(suffix, folder):
    net, path, options = saved(folder, suffix)
    compared = torch_compare.compare(net, 4, network=read(path, options))
    assert compared.logit_differences == 0
    assert compared.spike_differences == {}


def test_weights_of_another_model(folder):
    _, path, _ = saved(folder, ".pt")
    (folder / "other.py").write_text(CONSTRUCTOR.replace("fc_if_soft", "cnn_ilif").format(seed=0))
    with pytest.raises(ModelFileError, match="do not fit"):
        read(path, TorchOptions("other:make"))


@pytest.mark.parametrize("constructor", [
    None, "nothing", "no.such:thing", "shapespt:nothing", "shapespt:wrong", "shapespt:fails",
])  # fmt: skip
def test_constructors_that_do_not_work(constructor, folder):
    _, path, _ = saved(folder, ".pt")
    with pytest.raises(OptionError) as error:
        read(path, TorchOptions(constructor))
    assert error.value.where == "--constructor"


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_is_never_run(folder):
    _, path, options = saved(folder, ".pt")
    torch.save({"weight": Bomb()}, path)
    with pytest.raises(ModelFileError, match="without running its code"):
        read(path, options)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelFileError):
        read(path, options)
    exported("fc_if_soft", folder / "model.pt2")
    read(hostile(folder / "model.pt2"))  # sample inputs are not looked at
    config = "data/weights/model_weights_config.json"
    with pytest.raises(ModelFileError, match="pickle"):
        read(changed(folder / "model.pt2", config, lambda text: text.replace(
            b'"use_pickle": false', b'"use_pickle": true')))  # fmt: skip
    assert not (folder / "exploded").exists()


def changed(path, part, change):
    """A copy of an archive in which one member differs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name.partition("/")[2] == part else data)
    target = path.with_name("changed.pt2")
    target.write_bytes(buffer.getvalue())
    return target


def hostile(path):
    return changed(path, "data/sample_inputs/model.pt", lambda _: pickle.dumps(Bomb()))


def test_mutated_programs_end_in_typed_errors(folder):
    exported("fc_if_soft", folder / "model.pt2")
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for trial in range(300):
        part = ("models/model.json", "data/weights/model_weights_config.json")[trial % 2]

        def mutate(data):
            mutable = bytearray(data)
            for _ in range(int(rng.integers(1, 4))):
                at = int(rng.integers(len(mutable)))
                how = int(rng.integers(3))
                if how == 0:
                    mutable[at] = int(rng.integers(32, 127))
                elif how == 1:
                    del mutable[at : at + int(rng.integers(1, 30))]
                else:
                    mutable[at:at] = rng.choice([b"-1", b"9" * 9, b"null", b"[]", b'""', b"{}"])
            return bytes(mutable)

        try:
            read(changed(folder / "model.pt2", part, mutate))
            outcomes["read"] += 1
        except SnncError:
            outcomes["refused"] += 1
    print(outcomes)  # noqa: T201
    assert outcomes["refused"] > 100


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x02", b"\xff" * 64])
@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".safetensors"])
def test_rubbish(data, suffix, folder):
    path = folder / f"model{suffix}"
    path.write_bytes(data)
    options = TorchOptions() if suffix == ".pt2" else TorchOptions("json:loads")
    with pytest.raises(ModelFileError):
        read(path, options)


def test_the_command_line_compiles_and_inspects(folder):
    net = exported("fc_if_soft", folder / "model.pt2")
    options = snnc.CompileOptions(target="loihi1", timesteps=net.steps)
    from_file = snnc.compile("model.pt2", options, output="a.snnc")
    assert from_file.deployment is not None
    network = torch_compare.imported(net)
    direct = snnc.compile(network, options)
    assert direct.deployment is not None
    assert {n.name for n in network.of_type(RealNeuron)} == {"body.2"}
    assert [n.name for n in direct.deployment.network.of_type(Neuron)] == [
        n.name for n in from_file.deployment.network.of_type(Neuron)
    ]
    assert direct.deployment.provenance["model"]["sha256"] != ""
    assert snnc.check("model.pt2").ok
    assert snnc.inspect("model.pt2").error is None
    with pytest.raises(OptionError, match=r"applies to \.nir"):
        snnc.compile("model.pt2", snnc.CompileOptions(dialect="lava"))
