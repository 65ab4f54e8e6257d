"""Bad ONNX files end in typed errors that name the file and the node."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper
from support import onnx_files as files
from support.onnx_files import node

from snnc.compiler.frontends import onnx as frontend
from snnc.compiler.frontends.onnx import OnnxOptions, Samples
from snnc.ir.errors import (
    InputError,
    MissingPackageError,
    ModelError,
    ModelFileError,
    OptionError,
    SnncError,
    UnsupportedError,
)

I64 = np.int64
RELU = node("Relu", "x", "y")


def refusal(path: Path) -> SnncError:
    with pytest.raises(SnncError) as caught:
        frontend.preview(frontend.read_file(path), OnnxOptions())
    return caught.value


BAD: dict[str, tuple[type[SnncError], str, list[Any], dict[str, Any]]] = {
    "tanh": (UnsupportedError, "no integrate-and-fire", [node("Tanh", "x", "y")], {}),
    "leaky": (UnsupportedError, "no integrate-and-fire", [node("LeakyRelu", "x", "y")], {}),
    "softmax inside": (UnsupportedError, "no integrate-and-fire",
                       [node("Softmax", "x", "s"), node("Relu", "s", "y")], {}),
    "unknown": (UnsupportedError, "no spiking form", [node("Det", "x", "y")], {}),
    "gate": (UnsupportedError, "product of two tensors",
             [node("Relu", "x", "r"), node("Mul", "x r", "y")], {}),
    "training": (UnsupportedError, "training mode",
                 [helper.make_node("BatchNormalization", list("xabcd"), ["y", "m", "v"],
                                   name="n_y", training_mode=1)],
                 {k: np.ones(3) for k in "abcd"}),
    "signed maximum": (UnsupportedError, "may be negative",
                       [node("MaxPool", "x", "y", kernel_shape=[2, 2])], {}),
    "dilated pool": (UnsupportedError, "a dilated pool",
                     [node("Relu", "x", "r"),
                      node("MaxPool", "r", "y", kernel_shape=[2, 2], dilations=[2, 2])], {}),
    "pool of padding": (UnsupportedError, "padding of a kernel's width",
                        [node("AveragePool", "x", "y", kernel_shape=[2, 2], pads=[2, 2, 2, 2])],
                        {}),
    "pool of pixels": (UnsupportedError, "a pool over no axes",
                       [node("Flatten", "x", "f"),
                        node("Reshape", "f s", "r"), node("GlobalAveragePool", "r", "y")],
                       {"s": np.array([1, 108], I64)}),
    "mean of rows": (UnsupportedError, "other than all spatial axes",
                     [node("ReduceMean", "x", "y", axes=[2])], {}),
    "clip": (UnsupportedError, "no rectifier", [node("Clip", "x a", "y")], {"a": np.float32(-1)}),
    "batch": (UnsupportedError, "batch in front",
              [node("Transpose", "x", "y", perm=[1, 0, 2, 3])], {}),
    "reshape": (UnsupportedError, "batch axis", [node("Reshape", "x s", "y")],
                {"s": np.array([3, 36], I64)}),
    "data as weight": (UnsupportedError, "not a constant",
                       [node("Flatten", "x", "f"), node("Relu", "f", "t"),
                        node("Gemm", "f t", "y", transB=1)], {}),
    "broadcast": (UnsupportedError, "shape of the data", [node("Add", "x b", "y")],
                  {"b": np.ones((2, 3, 6, 6))}),
    "interpolation": (UnsupportedError, "interpolation",
                      [node("Resize", "x  s", "y", mode="linear")],
                      {"s": np.array([1, 1, 2, 2], np.float32)}),
    "bomb": (ModelError, "too large",
             [node("Resize", "x  s", "y", mode="nearest")],
             {"s": np.array([1, 1, 60000, 60000], np.float32)}),
    "padding bomb": (ModelError, "too large", [node("Pad", "x p", "y")],
                     {"p": np.array([0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20], I64)}),
    "constant bomb": (ModelFileError, "too large",
                      [node("ConstantOfShape", "s", "c"), node("Mul", "x c", "y")],
                      {"s": np.array([1 << 20, 1 << 20], I64)}),
    "broadcast bomb": (ModelFileError, "too large",
                       [node("Add", "a b", "c"), node("Mul", "x c", "y")],
                       {"a": np.zeros((1 << 17, 1)), "b": np.zeros(1 << 17)}),
    "nan": (ModelError, "finite", [node("Conv", "x w", "y")],
            {"w": np.full((2, 3, 1, 1), np.nan)}),
    "infinity": (ModelError, "finite", [node("Conv", "x w", "y")],
                 {"w": np.full((2, 3, 1, 1), np.inf)}),
    "channels": (ModelError, "disagree", [node("Conv", "x w", "y")], {"w": np.ones((2, 4, 1, 1))}),
    "comparison": (UnsupportedError, "comparison",
                   [node("Greater", "x t", "g"), node("Cast", "g", "y", to=1)],
                   {"t": np.float32(1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_graph_names_file_and_node(name: str, tmp_path: Path) -> None:
    kind, text, nodes, constants = BAD[name]
    found = refusal(files.write(tmp_path / "bad.onnx", files.model(nodes, constants)))
    assert isinstance(found, kind), found
    assert text in found.problem
    assert "bad.onnx" in found.where
    assert "n_" in found.where
    assert found.remedy


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((1, "channels", 6, 6), TensorProto.FLOAT, "extents of the input are not known"),
        ((4, 3, 6, 6), TensorProto.FLOAT, "not a batch of one"),
        ((6,), TensorProto.FLOAT, "not a batch of one"),
        ((1, 3, 6, 6), TensorProto.INT64, "not a real number"),
    ],
)
def test_inputs_that_no_sample_fits(shape: Any, dtype: int, text: str, tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "c", to=1), node("Relu", "c", "y")]
    found = refusal(files.write(tmp_path / "m.onnx", files.model(nodes, {}, shape, dtype=dtype)))
    assert text in found.problem
    assert "m.onnx: input 'x'" in found.where


def test_control_flow_functions_and_sparse_weights(tmp_path: Path) -> None:
    inner = helper.make_graph([node("Identity", "x", "i")], "i", [],
                              [helper.make_tensor_value_info("i", 1, None)])  # fmt: skip
    branch = helper.make_node("If", ["c"], ["y"], name="n_if", then_branch=inner, else_branch=inner)
    made = files.model([branch], {"c": np.array(True)})
    assert "control flow" in refusal(files.write(tmp_path / "m.onnx", made)).problem
    made = files.model([helper.make_node("F", ["x"], ["y"], domain="d")], {})
    body = [node("Relu", "a", "b")]
    made.functions.append(
        helper.make_function("d", "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    )
    assert "inline_local_functions" in refusal(files.write(tmp_path / "f.onnx", made)).remedy
    made = files.model([RELU], {})
    made.graph.sparse_initializer.add().values.name = "w"
    assert "sparse" in refusal(files.write(tmp_path / "s.onnx", made)).problem


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for data in (b"", b"hello world", b"\x08\x09", files.cnn().SerializeToString()[:200]):
        path.write_bytes(data)
        assert isinstance(refusal(path), ModelFileError | ModelError)
    with pytest.raises(ModelFileError, match="cannot be opened"):
        frontend.read_file(tmp_path / "none.onnx")
    made = files.model([RELU], {})
    made.ir_version = 10**6
    assert "onnx.checker" in refusal(files.write(path, made)).problem
    made = files.model([node("Relu", "nowhere", "y")], {})
    assert "onnx.checker" in refusal(files.write(path, made)).problem


@pytest.mark.parametrize(("depth", "text"), [(10, "control flow"), (80, "nested too deeply")])
def test_deep_nesting_ends_early(depth: int, text: str, tmp_path: Path) -> None:
    made = files.model([RELU], {})
    graph = made.graph
    for _ in range(depth):
        attribute = graph.node[0].attribute.add(name="g", type=5)
        graph = attribute.g
        graph.node.add(op_type="Relu")
    assert text in refusal(files.write(tmp_path / "m.onnx", made)).problem


def _external(tmp_path: Path, location: str, **entries: int) -> Path:
    made = files.model([node("Conv", "x w", "y")], {"w": np.ones((2, 3, 1, 1))})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    return files.write(folder / "m.onnx", made)


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    path = _external(tmp_path, "w.data", offset=4, length=24)
    values = np.arange(7, dtype=np.float32)
    (path.parent / "w.data").write_bytes(values.tobytes())
    assert frontend.read_file(path).constants["w"].reshape(-1).tolist() == [1, 2, 3, 4, 5, 6]


def test_external_data_cannot_leave_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(24))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to(secret)
    for location in ("../secret", str(secret), "link", "", ".", "a/../../secret", "..\\secret"):
        found = refusal(_external(tmp_path, location))
        assert "outside the model's folder" in found.problem, location
        assert "initialiser 'w'" in found.where
    for entries, text in (({"offset": 4}, "too short"), ({"length": 1 << 40}, "too short"),
                          ({"offset": -1, "length": 4}, "too short")):  # fmt: skip
        path = _external(tmp_path, "w.data", **entries)
        (path.parent / "w.data").write_bytes(b"")
        assert text in refusal(path).problem
    (tmp_path / "model" / "w.data").unlink()
    assert "cannot be opened" in refusal(_external(tmp_path, "w.data")).problem


def test_tensors_that_lie_about_their_size(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for dims in ([1 << 40, 1 << 40], [-1], [7, 7], [1] * 40):
        made = files.model([node("Conv", "x w", "y")], {"w": np.ones((2, 3, 1, 1))})
        made.graph.initializer[0].ClearField("dims")
        made.graph.initializer[0].dims.extend(dims)
        assert "initialiser 'w'" in refusal(files.write(path, made)).where
    made = files.model([node("Conv", "x w", "y")], {"w": np.ones((2, 3, 1, 1))})
    made.graph.initializer[0].data_type = TensorProto.STRING
    assert "element type" in refusal(files.write(path, made)).problem


@pytest.mark.parametrize(
    "array",
    [np.array([1.5, -2], np.float16), np.array([3.0]), np.array([-5, 6], np.int8),
     np.array([250], np.uint8), np.array([1 << 40], I64), np.array([True, False])],
    ids=lambda a: str(a.dtype),
)  # fmt: skip
def test_element_types(array: Any, tmp_path: Path) -> None:
    """As raw bytes and as a typed field."""
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    typed = helper.make_tensor("t", code, array.shape, array.tolist())
    for tensor in (numpy_helper.from_array(array, "t"), typed):
        made = files.model([RELU, node("Identity", "t", "z")], {}, outputs=("y", "z"))
        made.graph.initializer.append(tensor)
        found = frontend.read_file(files.write(tmp_path / "m.onnx", made)).constants["z"]
        assert found.dtype == array.dtype
        assert found.tolist() == array.tolist()


def test_four_bit_and_bfloat16_tensors(tmp_path: Path) -> None:
    cases = {
        TensorProto.INT4: ([-8, 7, 3], np.int8),
        TensorProto.UINT4: ([15, 0, 9], np.uint8),
        TensorProto.BFLOAT16: ([1.5, -2.0, 0.25], np.float32),
    }
    for code, (values, dtype) in cases.items():
        made = files.model([RELU, node("Identity", "t", "z")], {}, outputs=("y", "z"), opset=21)
        made.ir_version = 10
        made.graph.initializer.append(helper.make_tensor("t", code, [3], values))
        found = frontend.read_file(files.write(tmp_path / "m.onnx", made)).constants["z"]
        assert found.dtype == dtype
        assert found.tolist() == values


def test_an_ann_without_data_says_what_is_missing(tmp_path: Path) -> None:
    path = files.write(tmp_path / "m.onnx", files.cnn())
    with pytest.raises(InputError, match="needs calibration data") as caught:
        frontend.read(path)
    assert "--calibration" in caught.value.remedy
    with pytest.raises(SnncError):
        frontend.read(path, OnnxOptions(), lambda _: Samples({"x": np.zeros((2, 3, 5, 5))}))


def test_options_are_checked() -> None:
    wrong: Any = "best"
    with pytest.raises(OptionError, match="--conversion"):
        OnnxOptions(conversion=wrong)
    with pytest.raises(OptionError, match="--percentile"):
        OnnxOptions(percentile=10)
    with pytest.raises(OptionError, match="--levels"):
        OnnxOptions(levels=0)


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "onnx":
            raise ImportError("No module named 'onnx'")
        return real(name, *rest)

    path = files.write(tmp_path / "m.onnx", files.cnn())
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingPackageError, match=r"snnc\[onnx\]"):
        frontend.read_file(path)
