"""Shipped targets, and how wrong target files are refused."""

from pathlib import Path

import pytest
import yaml

from snnc.backends.targets import check_target, load, load_sound, names
from snnc.ir.errors import TargetError
from snnc.ir.target import Target

TOY = Path(__file__).resolve().parents[2] / "backends" / "targets" / "toy-mesh.yaml"


def toy_with(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = TOY.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "chip.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_seven_targets_are_shipped() -> None:
    assert names() == (
        "loihi1", "loihi2", "loihi2-conv", "speck2f", "spinnaker1", "toy-mesh", "truenorth",
    )  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_every_shipped_target_passes_its_self_check(name: str) -> None:
    target = load(name)
    assert target.id == name
    assert check_target(target) == []


@pytest.mark.parametrize("name", names())
def test_a_target_survives_a_round_trip_through_json(name: str) -> None:
    target = load(name)
    assert Target.model_validate_json(target.model_dump_json(by_alias=True)) == target


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("capacity: {v: 64, u: neuron", "capacity: {v: .inf, u: neuron", "inf is no finite number"),
        ("capacity: {v: 64, u: neuron", "capacity: {v: 2.5, u: neuron", "no whole number up to"),
        ("capacity: {v: 64, u: neuron", "capacity: {v: 1.0e+30, u: neuron", "no whole number"),
        ("max_delay: {v: 31", "max_delay: {v: .nan", "core.max_delay.v: nan is no finite number"),
        ("virtual_channels: {v: 2", "virtual_channels: {v: 0", "virtual_channels: 0 is not pos"),
        ("virtual_channels: {v: 2", "virtual_channels: {v: 1.5", "no whole number up to"),
        ("buffer_packets: {v: 4", "buffer_packets: {v: 0.5", "no whole number up to"),
        ("chip_link_cycles: {v: 4", "chip_link_cycles: {v: .inf", "inf is no finite number"),
        ("{energy: 20.0e-12, latency", "{energy: .nan, latency", "hop_chip.energy: nan is no"),
        ("payload_bits: 17", "payload_bits: -1", "payload_bits: -1 is not within 0 to 62"),
        ("min_delay: 1", "min_delay: 1000000000000", "min_delay: 1000000000000 is not within"),
        ("index_bits: [6]", "index_bits: [-1]", "core.index_bits: -1 is not within 1 to 62"),
    ],
)
def test_numbers_that_no_machine_has_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        load_sound(toy_with(tmp_path, (old, new)))


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(TargetError, match="too large"):
        load("/dev/zero")


def test_aliases_and_case_do_not_matter() -> None:
    assert load("Intel.Loihi1") is load("loihi1")
    assert load(" LOIHI ").id == "loihi1"


def test_a_path_is_read_like_a_shipped_target() -> None:
    assert load(TOY) == load("toy-mesh") == load(str(TOY))


def test_an_unknown_target_suggests_near_names() -> None:
    with pytest.raises(TargetError) as caught:
        load("lohi1")
    error = caught.value
    assert error.found == "lohi1"
    assert error.allowed == "loihi1, loihi2, loihi2-conv, speck2f, spinnaker1, toy-mesh, truenorth"
    assert "did you mean loihi1" in error.remedy


def test_an_unknown_target_without_near_names_lists_all() -> None:
    with pytest.raises(
        TargetError, match=r"unknown target\n.*found: qqq\n.*allowed: loihi1"
    ) as got:
        load("qqq")
    assert "did you mean" not in str(got.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be read") as caught:
        load(tmp_path / "none.yaml")
    assert "none.yaml" in caught.value.where


def test_no_energy_of_loihi2_is_priced() -> None:
    costs = load("loihi2").costs
    assert costs.scope == "unpriced"
    assert all(cost.energy is None for cost in costs.events.values())


def test_everything_about_the_toy_is_declared_as_assumed() -> None:
    evidence: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            evidence.update(v for k, v in value.items() if k == "ev" and isinstance(v, str))
            for item in value.values():
                collect(item)

    collect(yaml.safe_load(TOY.read_text(encoding="utf-8")))
    assert evidence == {"assumed"}


def test_a_number_that_yaml_reads_as_text_is_refused_with_its_spelling(tmp_path: Path) -> None:
    path = toy_with(tmp_path, ("energy: 1.0e-12", "energy: 1e-12"))
    message = r"events.synapse_op_dense.energy: YAML reads 1e-12 as text; .* 1.000000e-12"
    with pytest.raises(TargetError, match=message):
        load(path)


def test_all_problems_of_a_file_are_reported_together(tmp_path: Path) -> None:
    path = toy_with(
        tmp_path,
        ("{v: 64, u: neuron, ev: assumed}", "{v: 64, u: neuron}"),
        ("{v: 2048, u: axon, ev: assumed}", "{v: 512, u: axon, ev: paper, src: nobody}"),
        ("use: n_axons_in", "use: n_axons_in ** 2"),
        ("use: n_neurons", "use: n_neurones"),
        ("cycle_s: {v: 1.0e-9, u: s, ev: assumed}", "cycle_s: {v: null, u: s, ev: assumed}"),
        ("max_chips: {v: 64, u: chip, ev: assumed}", "max_chips: {v: 1.5e1, u: chip, ev: unknown}"),
        ("comparator:", "comparators:"),
        ("threshold_bits: 24", "threshold_bits: many"),
    )
    with pytest.raises(TargetError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    for expected in (
        "core.resources.neurons.capacity.ev: missing evidence class",
        "core.resources.input_axons.capacity.src: unknown source 'nobody' (declared: none)",
        "core.resources.input_axons.use: not a valid target expression: Pow",
        "core.resources.neurons.use: unknown name n_neurones",
        "execution.cycle_s: v is null, so the evidence is 'unknown', not 'assumed'",
        "topology.max_chips.v: YAML reads 1.5e1 as text",
        "topology.max_chips: a value of unknown evidence",
        "neuron.comparator: Field required",
        "neuron.comparators: Extra inputs are not permitted",
        "neuron.threshold_bits: Input should be a valid integer",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ev: assumed, note: 32 KiB", "ev: vendor_doc, note: 32 KiB", "needs a source"),
        ("zero: {ev: assumed}", "zero: {}", "neuron.reset.zero.ev: missing evidence class"),
        ("  barrier_ev: assumed\n", "", "execution.barrier_ev: missing evidence class"),
        (
            "hop_ew: {energy: 1.0e-12, latency: 2.0e-9, ev: assumed}",
            "hop_ew: {energy: 1.0e-12, latency: 2.0e-9}",
            "a price has evidence",
        ),
        ("    input_axons:\n", "    input_axons: 3\n    other:\n", "input_axons: Input should be"),
        (
            "encodings: [dense, sparse, bitmask]",
            "encodings: [dense, sparse, bitmask, crossbar]",
            "use_per_axon: no formula for crossbar",
        ),
        ("encodings: [dense, sparse, bitmask]", "encodings: []", "a core needs at least one"),
    ],
)
def test_missing_evidence_and_types_are_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        load(toy_with(tmp_path, (old, new)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("a: 1\na: 2\n", "appears twice"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("a: [1", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
        ("- 1\n", "a target file is a mapping"),
        ("", "a target file is a mapping"),
        ("schema: snnc-target/9\n", "schema: Input should be 'snnc-target/1'"),
        ("core: 3\nsources: []\n", "core: Input should be"),
        ("#" + "x" * 300_000, "too large"),
    ],
)
def test_hostile_and_broken_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(TargetError, match=message):
        load(path)


def test_binary_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="not valid YAML"):
        load(path)


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("usable_cores: 16", "usable_cores: 17", "topology.usable_cores: 17"),
        ("host_router: [0, 0]", "host_router: [4, 0]", "topology.host_router"),
        ("host_router: [0, 0]", "host_router: [0, 0]\n  defects: [[0, 0, 1]]", "topology.defects"),
        ("v: 64, u: neuron", "v: 0, u: neuron", "core.resources.neurons.capacity: 0"),
        ("use: n_neurons", "use: 5 - n_neurons", "core.resources.neurons.use: negative"),
        ("use: n_neurons", "use: 5 // n_neurons", "core.resources.neurons.use: division by zero"),
        (
            "encodings: [dense, sparse, bitmask]",
            "encodings: [dense]",
            "sparse: not in core.encodings",
        ),
        ("input_shift: [0, 16]", "input_shift: [3, 2]", "neuron.input_shift: 3..2"),
        ("bits: [4, 8, 16]", "bits: []", "core.weight.bits"),
        ("state_bits: 32", "state_bits: 80", "neuron.state_bits: 80"),
        ("zero: {ev: assumed}", "zero: {compartments: 0, ev: assumed}", "neuron.reset.zero"),
        ("current: true", "current: true\n  leak_multiplier: [5, 99999]", "neuron.leak_multiplier"),
        ("default_cost: invented", "default_cost: other", "default_cost: 'other'"),
        ("energy: 5.0e-12", "energy: -5.0e-12", "energy: -5e-12 is negative"),
        ("scope: per_term", "scope: all_in", "per-term and all-in costs never share"),
        ("scope: per_term", "scope: unpriced", "a price in an unpriced set"),
        ("16: 0.2e-6", "16: 0.01e-6", "falls as more of the chip is used"),
        ("{1: 0.1e-6", "{0: 0.1e-6", "keys count cores"),
        ("max_delay: {v: 31", "max_delay: {v: -1", "core.max_delay: -1"),
        ("min_delay: 1", "min_delay: -1", "execution.min_delay: -1"),
    ],
)
def test_the_self_check_names_what_cannot_be(
    tmp_path: Path, old: str, new: str, finding: str
) -> None:
    path = toy_with(tmp_path, (old, new))
    findings = check_target(load(path))
    assert any(finding in text for text in findings), findings
    with pytest.raises(TargetError, match="contradicts itself"):
        load_sound(path)


EXTENDED = """
extends: loihi2
schema: snnc-target/1
id: mine
name: Mine
summary: loihi2 with fewer neurons
core:
  resources:
    neurons:
      capacity: {v: 4096, u: neuron, ev: assumed, src: ""}
  index_bits: [9]
"""


def extended(tmp_path: Path, old: str = "", new: str = "") -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(EXTENDED.replace(old, new) if old else EXTENDED, encoding="utf-8")
    return path


def test_a_description_extends_a_shipped_one(tmp_path: Path) -> None:
    mine, base = load(extended(tmp_path)), load("loihi2")
    assert mine.id == "mine"
    assert mine.aliases == ()
    assert mine.core.resources["neurons"].capacity.v == 4096
    assert mine.core.resources["neurons"].use == "n_neurons"
    assert mine.core.index_bits == (9,)
    same = {"id", "name", "summary", "aliases", "core"}
    assert mine.model_dump(exclude=same) == base.model_dump(exclude=same)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("extends: loihi2", "extends: ../loihi2", "only a shipped description can be extended"),
        ("extends: loihi2", "extends: [loihi2]", "only a shipped description can be extended"),
        ("extends: loihi2", "extends: loihi2-conv", "cannot be extended itself"),
        ("id: mine", "sources: {}", "id: Field required"),
        ("v: 4096", "w: 4096", "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_extension_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        load(extended(tmp_path, old, new))


def test_kernels_are_counted_only_where_cores_store_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = EXTENDED.replace('ev: assumed, src: ""}', 'ev: assumed, src: ""}\n      use: n_kernels')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TargetError, match="unknown name n_kernels"):
        load(path)
    path.write_text(text + "  encodings: [dense, kernel]\n", encoding="utf-8")
    assert load(path).core.resources["neurons"].use == "n_kernels"
