"""Everything a compilation depends on besides its model and calibration files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from snnc.compiler.chip_count import parse_chips
from snnc.compiler.objective import parse_objective
from snnc.compiler.pins import parse_pins, pins_text
from snnc.compiler.wire import PREFERENCES
from snnc.ir.errors import OptionError

SEMANTICS = ("chip", "lava")
EFFORTS = ("low", "normal", "high")
Partitioner = Literal["auto", "tiles", "own", "mtkahypar"]
PARTITIONERS: tuple[Partitioner, ...] = get_args(Partitioner)
"""How populations are cut: layers without geometry as hypergraphs too, none, or all of them."""
RoutingRule = Literal["xy", "yx", "tree", "balanced"]
ROUTINGS: tuple[RoutingRule, ...] = get_args(RoutingRule)

LARGEST_SEED = (1 << 31) - 1
"""CP-SAT takes no larger one."""


def check_choice(flag: str, found: str, allowed: Sequence[str]) -> None:
    """Raise ``OptionError`` unless an option has one of the values that it may have."""
    if found not in allowed:
        raise OptionError(
            "not one of the choices", where=flag, found=found, allowed=", ".join(allowed)
        )


def check_seed(seed: int) -> None:
    """Raise ``OptionError`` unless a seed is one that every solver takes."""
    if not 0 <= seed <= LARGEST_SEED:
        raise OptionError("not a seed", where="--seed", found=seed, allowed=f"0 to {LARGEST_SEED}")


@dataclass(frozen=True)
class CompileOptions:
    """Options of ``snnc compile``, stored in every artifact; equal options give equal bytes.

    Attributes:
        target: shipped name or path of a target file.
        timesteps: logical steps per sample; None takes the calibration data's.
        weight_bits: width of a weight: a number, or names and numbers ("conv1=4,fc=8").
        memory_budget: KiB for all weights; layers then take the widths with the least error.
        correct: what calibration data corrects, of "rounding,bias,rates"; nothing by default.
        leak: decays approximated as "shift" or "linear"; None keeps them or refuses.
        chips: chips joined into one mesh: a number, columns x rows ("8x5"), or "auto" for as many
            as the network needs, see ``snnc.compiler.chip_count``.
        phases: how a network may be larger than the chips: "never"; "auto", in as many groups that
            take turns as it needs; or a number, in at most so many (docs/phases.md).
        seed: of the mapper's search.
        time_limit_s: of the placement search.
        effort: of the placement search: "low", "normal" or "high".
        dialect, dt, reset, threshold, loop_delay, transpose_linear: what a ``.nir`` file does
            not say, see ``snnc.compiler.frontends.nir.NirOptions``.
        input_layer, spike_exponent: what a ``.net`` file does not say, see
            ``snnc.compiler.frontends.netx.NetxOptions``.
        constructor, time_axis: what a PyTorch file does not say, see
            ``snnc.compiler.frontends.torch.files.TorchOptions``.
        conversion, percentile, levels: how an ANN in a ``.onnx`` file becomes spiking, see
            ``snnc.compiler.frontends.onnx.OnnxOptions``.
        max_spikes: limit of counts per step where a model has none and none can be proven.
        semantics: "chip" takes the target's neurons; "lava" Lava's fixed-point LIF on the same
            chip, see ``snnc.compiler.legalize.lava``.
        wire_code: how counts cross the chip, see ``snnc.compiler.wire``.
        partitioner: which populations are cut as hypergraphs too, see
            ``snnc.compiler.partition``.
        routing: shapes of routes, see ``snnc.compiler.route.route``.
        pin: populations held to a place, ``POPULATION@x,y[,slot]`` or ``POPULATION@chip:k``, with
            ";" between them.
        objective: what the mapping shall be good for, ``TERM=WEIGHT,...``; None: energy=1, on the
            fewest cores.  See ``snnc.compiler.objective``.
        offsets: let cores begin a tick at different cycles, see ``snnc.compiler.stagger``.
        calibration_samples: samples of the calibration data on which spikes are counted.
    """

    target: str = "loihi1"
    timesteps: int | None = None
    weight_bits: int | str = 8
    memory_budget: float | None = None
    correct: str | None = None
    leak: str | None = None
    chips: int | str = 1
    phases: int | str = "never"
    seed: int = 0
    time_limit_s: float = 5.0
    effort: str = "normal"
    dialect: str = "auto"
    dt: float | None = None
    reset: str | None = None
    threshold: str | None = None
    loop_delay: str | None = None
    transpose_linear: bool = False
    input_layer: str = "values"
    spike_exponent: int = 6
    constructor: str | None = None
    time_axis: str = "auto"
    conversion: str = "error"
    percentile: float = 99.9
    levels: int | None = None
    wire_code: str = "auto"
    routing: str = "xy"
    offsets: bool = False
    semantics: str = "chip"
    max_spikes: int | None = None
    partitioner: str = "auto"
    calibration_samples: int = 8
    pin: str | None = None
    objective: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.weight_bits, str) and self.weight_bits.isdigit():
            object.__setattr__(self, "weight_bits", int(self.weight_bits))
        chips = parse_chips(self.chips)
        object.__setattr__(self, "chips", chips if isinstance(chips, int) else self.chips)
        if isinstance(self.phases, str) and self.phases.isdigit():
            object.__setattr__(self, "phases", int(self.phases))
        if self.phases not in ("never", "auto") and not (
            isinstance(self.phases, int) and self.phases >= 1
        ):
            raise OptionError(
                "not one of the choices",
                where="--phases",
                found=self.phases,
                allowed="never, auto, or a number from 1",
            )
        for name in ("timesteps", "calibration_samples", "max_spikes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError("must be at least 1", where=_flag(name), found=value)
        check_choice("--semantics", self.semantics, SEMANTICS)
        check_choice("--effort", self.effort, EFFORTS)
        check_choice("--wire-code", self.wire_code, PREFERENCES)
        check_choice("--partitioner", self.partitioner, PARTITIONERS)
        check_choice("--routing", self.routing, ROUTINGS)
        parse_objective(self.objective)
        object.__setattr__(self, "pin", pins_text(parse_pins(self.pin)))
        if self.pin is not None and self.most_phases != 1:
            raise OptionError(
                "populations of a network that runs in phases cannot be pinned",
                where="--pin",
                found=f"--phases {self.phases}",
                allowed="--phases never",
                remedy="leave one of the two out, or give more chips (--chips)",
            )
        check_seed(self.seed)
        if chips is None and self.most_phases != 1:
            raise OptionError(
                "a network on as many chips as it needs takes no phases",
                where="--chips",
                found=f"auto, and --phases {self.phases}",
                remedy="leave --phases out, or say how many chips there are",
            )
        for name in ("time_limit_s", "dt", "memory_budget"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise OptionError("must be positive", where=_flag(name), found=value)

    @property
    def most_phases(self) -> int | None:
        """Largest number of phases; None: as many as it takes."""
        if isinstance(self.phases, int):
            return self.phases
        return 1 if self.phases == "never" else None

    def to_dict(self) -> dict[str, Any]:
        """JSON object of all fields."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> CompileOptions:
        """Inverse of ``to_dict``.

        Raises:
            OptionError: an unknown field or a value of the wrong type.
        """
        known = {field.name: str(field.type) for field in dataclasses.fields(CompileOptions)}
        for name, value in values.items():
            if name not in known:
                raise OptionError(
                    "unknown option in the configuration",
                    where=name,
                    allowed=", ".join(known),
                )
            if not _fits(value, known[name]):
                raise OptionError(
                    "an option in the configuration has the wrong type",
                    where=name,
                    found=value,
                    allowed=known[name],
                )
        return CompileOptions(**values)


def _fits(value: object, annotation: str) -> bool:
    kinds: dict[str, tuple[type, ...]] = {
        "bool": (bool,),
        "int": (int,),
        "float": (int, float),
        "str": (str,),
        "None": (type(None),),
    }
    allowed = [kind for part in annotation.split(" | ") for kind in kinds[part]]
    return isinstance(value, tuple(allowed)) and isinstance(value, bool) == (annotation == "bool")


def _flag(name: str) -> str:
    return "--" + name.removesuffix("_s").replace("_", "-")
