"""What an artifact says of its origin."""

from __future__ import annotations

from pathlib import Path

from support.real_nets import dense_net

from snnc.backends.targets import load
from snnc.compiler.options import CompileOptions
from snnc.compiler.provenance import provenance


def test_weights_beside_the_model_file_count(tmp_path: Path) -> None:
    """ONNX keeps large weights in files of their own: the model file is the same for both."""
    path = tmp_path / "m.onnx"
    path.write_bytes(b"names its weights")
    one, other, again = (
        provenance(path, CompileOptions(), load("toy-mesh"), dense_net([[w]]), None)["model"]
        for w in (0.5, 0.25, 0.5)
    )
    assert one == again
    assert one["name"] == "m.onnx"
    assert one["sha256"] == other["sha256"]
    assert one["network_sha256"] != other["network_sha256"]
