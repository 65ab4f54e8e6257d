from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.paths import require_data

from snnc.inputs import Dataset, InputOptions, integer_batch, load
from snnc.inputs.encode import encode
from snnc.inputs.recordings import bin_events, parse
from snnc.ir.errors import InputError, OptionError
from snnc.ir.nodes import Input
from snnc.ir.types import BIN, ValueType

PAIR = (Input("in", (2,), BIN),)
CAMERA = (Input("dvs", (2, 34, 34), ValueType("cnt", 9)),)


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def event(x: int, y: int, polarity: int, time_us: int) -> bytes:
    return bytes([x, y, polarity << 7 | time_us >> 16, time_us >> 8 & 255, time_us & 255])


def test_a_bin_counts_more_events_than_16_bits_hold() -> None:
    many = parse(event(1, 2, 1, 5) * 70_000, "r.bin")
    assert bin_events(many, (2, 34, 34), 1, 1000)[0, 1, 2, 1] == 70_000


@pytest.mark.filterwarnings("error")
def test_values_beyond_any_integer_are_refused_without_a_warning() -> None:
    with pytest.raises(InputError, match="leave the range"):
        integer_batch({"in": np.full((1, 1, 2), 1e300)}, (Input("in", (2,), ValueType("int", 8)),))


def test_frames_load_by_x_or_by_the_inputs_name(tmp_path: Path) -> None:
    x = np.arange(12).reshape(2, 3, 2) % 2
    for key in ("x", "in"):
        data = load(npz(tmp_path / "d.npz", **{key: x, "y": [1, 0]}), PAIR, InputOptions())
        assert (data.samples, data.steps) == (2, 3)
        assert (data.batch(0, 2)["in"] == x).all()
        assert (data.batch(1, 2)["in"] == x[1:]).all()
        assert data.labels is not None
        assert data.labels.tolist() == [1, 0]


def test_several_inputs_load_by_name(tmp_path: Path) -> None:
    two = (*PAIR, Input("b", (3,), BIN))
    path = npz(tmp_path / "d.npz", **{"in": np.zeros((4, 5, 2)), "b": np.ones((4, 5, 3))})
    assert load(path, two, InputOptions()).batch(0, 4)["b"].shape == (4, 5, 3)
    path = npz(tmp_path / "d.npz", x=np.zeros((4, 5, 2)))
    with pytest.raises(InputError, match=r"lacks data for an input(?s:.)*allowed: in, b"):
        load(path, two, InputOptions())
    path = npz(tmp_path / "d.npz", **{"in": np.zeros((4, 5, 2)), "b": np.ones((4, 6, 3))})
    with pytest.raises(InputError, match="inputs differ in steps"):
        load(path, two, InputOptions())


def test_other_keys_of_a_file_do_not_matter(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", x=np.zeros((1, 5, 2)), classes=np.array(["cat", "dog"]))
    assert load(path, PAIR, InputOptions()).samples == 1
    with pytest.raises(InputError, match="keys classes, x"):
        load(path, (Input("a", (2,), BIN), Input("b", (2,), BIN)), InputOptions())


def test_an_input_called_y_is_not_taken_for_labels(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", x=np.zeros((1, 5, 2)), y=np.zeros((1, 5, 3)))
    data = load(path, (Input("x", (2,), BIN), Input("y", (3,), BIN)), InputOptions())
    assert data.labels is None


def test_longer_data_is_cut_and_said(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", x=np.zeros((1, 5, 2)))
    data = load(path, PAIR, InputOptions(timesteps=3))
    assert data.batch(0, 1)["in"].shape == (1, 3, 2)
    assert data.notes == ("2 of 5 time steps are cut",)
    with pytest.raises(InputError, match="too few time steps"):
        load(path, PAIR, InputOptions(timesteps=6))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": np.zeros((4, 5, 3))}, {}, "wrong shape"),
        ({"x": np.zeros(2)}, {}, "wrong shape"),
        ({"x": np.zeros((0, 5, 2))}, {}, "wrong shape"),
        ({"z": np.zeros((4, 5, 2))}, {}, "allowed: x, or in"),
        ({"x": np.zeros((4, 2))}, {}, "static values need an encoding"),
        ({"x": np.zeros((4, 2))}, {"encode": "direct"}, "need a number of steps"),
        ({"x": np.full((4, 5, 2), np.nan)}, {}, "must be finite"),
        ({"x": np.zeros((4, 5, 2)), "y": np.zeros(3, int)}, {}, "one class per sample"),
        ({"x": np.zeros((4, 5, 2)), "y": np.zeros(4)}, {}, "one class per sample"),
        ({"x": np.array(["a", "b"])}, {}, "only numbers"),
        ({"x": np.array([{}], object)}, {}, "never unpickles"),
    ],
)
def test_wrong_arrays_are_refused(
    tmp_path: Path, arrays: dict[str, object], options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load(npz(tmp_path / "d.npz", **arrays), PAIR, InputOptions(**options))  # type: ignore[arg-type]


def test_options_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", x=np.zeros((4, 5, 2)))
    with pytest.raises(OptionError, match="has a time axis already"):
        load(path, PAIR, InputOptions(encode="direct"))
    with pytest.raises(OptionError, match="are its key y"):
        load(path, PAIR, InputOptions(labels=path))
    with pytest.raises(OptionError, match="at least 1"):
        load(path, PAIR, InputOptions(), limit=0)
    with pytest.raises(OptionError, match="at least 1"):
        InputOptions(bin_us=0)
    with pytest.raises(OptionError, match="unknown encoding"):
        InputOptions(encode="morse")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="must not be negative"):
        InputOptions(seed=-1)


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match=r"not a \.npz file, or truncated"):
        load(path, PAIR, InputOptions())
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "absent.npz", PAIR, InputOptions())


def test_encoders_follow_their_formulas() -> None:
    x = np.array([[0.0, 0.25, 0.5, 1.0]])
    assert (encode(x, "direct", 3, 0)[0] == x).all()
    late = encode(x, "latency", 5, 0)[0]
    assert np.argmax(late, axis=0).tolist() == [4, 3, 2, 0]
    assert late.sum() == 4
    rate = encode(np.repeat(x, 3, axis=0), "poisson", 4000, 7)
    assert rate[:, :, 0].sum() == 0
    assert rate[:, :, 3].all()
    assert abs(rate[:, :, 2].mean() - 0.5) < 0.02
    assert (rate[1:2] == encode(x, "poisson", 4000, 7, first_sample=1)).all()
    assert (rate[0] != rate[1]).any()
    assert (encode(np.array([[255, 0]], np.uint8), "poisson", 9, 0) == [[1, 0]]).all()
    with pytest.raises(InputError, match=r"need values in \[0, 1\]"):
        encode(x * 2, "poisson", 4, 0)


def test_values_go_onto_the_inputs_grid() -> None:
    half = (Input("a", (2, 1), ValueType("int", 4, (0.5, 2.0))),)
    values = {"a": np.array([[[[1.5], [4.0]], [[-0.4], [0.0]]]])}
    assert integer_batch(values, half)["a"].tolist() == [[[[3], [2]], [[-1], [0]]]]
    with pytest.raises(InputError, match="leave the range"):
        integer_batch({"a": values["a"] * 10}, half)
    with pytest.raises(InputError, match=r"not whole events(?s:.)*1 of 2 values, e.g. 0.3"):
        integer_batch({"in": np.array([[[1.0, 0.3]]])}, PAIR)
    assert integer_batch({"in": np.array([[[1.0, 0.0]]])}, PAIR)["in"].tolist() == [[[1, 0]]]
    with pytest.raises(InputError, match=r"\[0, 2\]"):
        integer_batch({"in": np.array([[[2, 0]]], np.uint8)}, PAIR)


def recordings(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    first = event(1, 2, 1, 0) + event(1, 2, 1, 999) + event(33, 0, 0, 2500) + event(0, 0, 0, 70000)
    (folder / "00010.bin").write_bytes(first)
    (folder / "9.bs2").write_bytes(event(5, 6, 0, 1000))
    return folder


def test_events_are_counted_per_bin_polarity_row_and_column(tmp_path: Path) -> None:
    (folder := tmp_path / "rec").mkdir()
    data = load(recordings(folder), CAMERA, InputOptions(timesteps=3))
    frames = data.batch(0, 2)["dvs"]  # natural order: 9, then 10
    assert frames.shape == (2, 3, 2, 34, 34)
    assert frames[0, 1, 0, 6, 5] == 1
    assert frames[0].sum() == 1
    assert frames[1, 0, 1, 2, 1] == 2
    assert frames[1, 2, 0, 0, 33] == 1
    assert frames[1].sum() == 3
    assert data.notes == ("1 of 5 events lie after step 3 of 1000 us and are cut",)
    whole = load(folder, CAMERA, InputOptions(bin_us=10000))
    assert whole.steps == 8


def test_zip_and_folder_give_the_same_with_labels_found_or_given(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "rec")
    with zipfile.ZipFile(tmp_path / "rec.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"sub/{file.name}")
    (tmp_path / "other.txt").write_text("hello world, not labels\n")
    assert load(folder, CAMERA, InputOptions(timesteps=3)).labels is None
    (tmp_path / "classes.txt").write_text("#sample #class\n9\t4\n10\t7\n")
    for path in (folder, tmp_path / "rec.zip"):
        data = load(path, CAMERA, InputOptions(timesteps=3))
        assert data.labels is not None
        assert data.labels.tolist() == [4, 7]
        assert "labels from classes.txt" in data.notes[0]
    (tmp_path / "again.txt").write_text("9\t1\n10\t1\n")  # two candidates: neither is taken
    assert load(folder, CAMERA, InputOptions(timesteps=3)).labels is None
    given = InputOptions(timesteps=3, labels=tmp_path / "again.txt")
    assert _labels(load(folder, CAMERA, given)) == [1, 1]
    (tmp_path / "again.txt").write_text("9\t1\n")
    with pytest.raises(InputError, match=r"without a label(?s:.)*1 missing, first 10"):
        load(folder, CAMERA, given)
    (tmp_path / "again.txt").write_text("9 one\n")
    with pytest.raises(InputError, match=r"malformed label file(?s:.)*9 one"):
        load(folder, CAMERA, given)


def test_class_folders_give_labels(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "00001.bin").write_bytes(event(1, 1, 0, 5))
    assert _labels(load(tmp_path, CAMERA, InputOptions())) == [3]
    with pytest.raises(InputError, match="no recordings found"):
        load(_empty(tmp_path), CAMERA, InputOptions())


def test_wrong_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an N-MNIST recording, or truncated"):
        parse(b"1234567", "r.bin")
    path = tmp_path / "r.bin"
    path.write_bytes(event(40, 0, 0, 0))
    with pytest.raises(InputError, match="an event lies outside"):
        load(path, CAMERA, InputOptions())
    with pytest.raises(InputError, match="not an event camera"):
        load(path, PAIR, InputOptions())
    with pytest.raises(InputError, match="exactly one input"):
        load(path, (*PAIR, *CAMERA), InputOptions())
    with pytest.raises(OptionError, match="have a time axis already"):
        load(path, CAMERA, InputOptions(encode="direct"))


def test_real_recordings_bin_as_published() -> None:
    path = require_data("nmnist", "nmnist_test100_bs2.zip")
    data = load(path, CAMERA, InputOptions(timesteps=310), limit=3)
    assert _labels(data) == [7, 2, 1]
    assert [int(s.sum()) for s in data.batch(0, 3)["dvs"]] == [3330, 4840, 1665]


def _labels(data: Dataset) -> list[int]:
    assert data.labels is not None
    return list(data.labels.tolist())


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
