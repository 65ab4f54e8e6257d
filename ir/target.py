"""``Target``: one neuromorphic machine as data.  Passes ask it, never the chip's name.

Target files are YAML in ``snnc.backends.targets`` (the schema is this module, see
``docs/targets.md``).  Every number is a ``Quantity`` with its source and evidence class; a number
nobody published has ``v: null`` and is reported as "unpriced" or "unchecked", never guessed.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from snnc.ir.nodes import Rounding

Evidence = Literal[
    "tool_code", "vendor_code", "vendor_doc", "paper", "paper_quoted", "abstract", "fitted",
    "derived", "assumed", "unverified", "unknown",
]  # fmt: skip
Encoding = Literal["dense", "sparse", "bitmask", "crossbar", "kernel"]
WireWord = Literal["burst", "unary", "bitplane"]
LinkKind = Literal["mesh", "hex_torus"]
KERNEL_COUNTS = ("n_kernels", "n_kernel_weights", "n_row_synapses")
"""What a core's formulas may count where convolutions are stored as kernels."""
RouteShape = Literal["xy", "yx", "minimal", "any"]
TableKey = Literal[
    "decay", "current_decay", "refractory", "threshold", "reset", "weight_bits",
    "weight_exponent", "encoding", "delay_bits",
]  # fmt: skip


class Record(BaseModel):
    """Base of all records: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantity(Record):
    """A number with unit, source key, evidence class and condition; ``v`` None = unknown."""

    v: float | int | None
    u: str = ""
    src: str = ""
    ev: Evidence
    cond: str = ""
    note: str = ""


class Source(Record):
    """Where numbers come from."""

    kind: str
    ref: str
    read_via: str = ""


class Resource(Record):
    """One capacity of a core.

    ``use`` is an expression over the core's counts: n_neurons, n_compartments, n_axons_in,
    n_axons_out (one per neuron and destination core), n_synapses, max_fan_in,
    max_targets_per_neuron, weight_bits, state_bytes (of all its neurons).  ``use_per_axon``
    instead sums one expression per input axon, by encoding (the cheapest allowed one is taken),
    over f (entries of the axon's row in that encoding: its synapses, or a dense row's span from
    the first to the last target), span (that span in every encoding: the flags of a bitmask row),
    weight_bits, delay_bits, index_bits.  ``use`` None means the accounting is not public: the fit
    is "unchecked" above ``lower_bound``.

    With the encoding "kernel" a core stores the kernel of one input channel to one output channel
    once, however many axons use it.  Core formulas may then count n_kernels, n_kernel_weights and
    n_row_synapses (those of all other rows); ``use_per_kernel`` is summed over the core's kernels,
    over taps (weights of the kernel) and weight_bits, and stands beside ``use_per_axon``, whose
    formula of a "kernel" axon knows weight_bits, delay_bits and index_bits.
    """

    capacity: Quantity
    use: str | None = None
    use_per_axon: dict[Encoding, str] | None = None
    use_per_kernel: str | None = None
    lower_bound: str | None = None
    note: str = ""


class Table(Record):
    """A table of shared parameter sets ("profiles") of a core; ``key`` names what one entry holds.

    Key words: decay, current_decay, refractory, threshold, reset, weight_bits, weight_exponent,
    encoding, delay_bits.
    """

    capacity: Quantity
    key: tuple[TableKey, ...]


class WeightFormat(Record):
    """Integers a synapse can hold: in a signed b-bit format -(2^(b-1) - 1) .. 2^(b-1) - 1.

    ``min_bits_plus_shift``: a b-bit format reaches ``input_shift`` F only when b + F is at least
    this (a chip that keeps mantissas left-aligned cannot place a narrow one low enough).
    ``axon_types``: every weight is one of so many per neuron, chosen by the type of the axon.
    """

    bits: tuple[int, ...]
    signed: bool = True
    distinct_per_neuron: int | None = None
    axon_types: int | None = None
    min_bits_plus_shift: int = 0
    note: str = ""
    src: str = ""
    ev: Evidence = "unknown"


class Core(Record):
    """What one core offers.

    ``max_delay`` counts ticks beyond ``Execution.min_delay``; ``index_bits`` are the widths a
    sparse row may spend on a target's slot.
    """

    resources: dict[str, Resource]
    tables: dict[str, Table] = {}
    encodings: tuple[Encoding, ...]
    weight: WeightFormat
    index_bits: tuple[int, ...] = ()
    max_delay: Quantity = Quantity(v=0, ev="assumed")
    state_bytes: int = 0
    max_targets_per_neuron: int | None = None

    @property
    def stores_kernels(self) -> bool:
        """Whether convolutions may be stored as kernels."""
        return "kernel" in self.encodings

    @model_validator(mode="after")
    def _formulas_cover_encodings(self) -> Self:
        if not set(self.encodings) - {"kernel"}:
            raise ValueError("encodings: a core needs at least one of rows")
        for name, resource in self.resources.items():
            if resource.use_per_axon is not None:
                missing = sorted(set(self.encodings) - set(resource.use_per_axon))
                if missing:
                    raise ValueError(
                        f"resources.{name}.use_per_axon: no formula for {', '.join(missing)}"
                    )
            per_kernel = resource.use_per_kernel is not None
            if per_kernel != (self.stores_kernels and resource.use_per_axon is not None):
                raise ValueError(
                    f"resources.{name}.use_per_kernel: needed beside use_per_axon where encodings "
                    "hold kernel, and only there"
                )
        per_axon = [name for name, r in self.resources.items() if r.use_per_axon is not None]
        if self.stores_kernels and len(per_axon) > 1:
            raise ValueError(
                f"resources: rows are stored as kernels where that is cheaper in the one resource "
                f"with use_per_axon, and there are {', '.join(per_axon)}"
            )
        return self


class LayerResource(Record):
    """One memory of cores that hold a layer each; ``capacity`` by slot of the core on its chip.

    ``use`` is an expression over the layer's sizes: c_in, c_out, k_h, k_w (kernel), in_h, in_w,
    out_h, out_w.  A dense layer is a convolution whose kernel is its whole input.
    """

    capacity: tuple[int, ...]
    u: str
    use: str
    src: str = ""
    ev: Evidence = "unknown"
    note: str = ""


class LayerLimits(Record):
    """Sizes of a layer that the hardware can address; None = nobody says.

    Attributes:
        input_extent, output_extent: largest height and width.
        channels: most channels in or out.
        kernel: largest extent of a kernel; ``square_kernel``: both are equal.
        strides, pools: allowed numbers; a sum pool stands before the kernel, with stride = size.
        padding: most rows or columns.
    """

    input_extent: int | None = None
    output_extent: int | None = None
    channels: int | None = None
    kernel: int | None = None
    square_kernel: bool = False
    strides: tuple[int, ...] = (1,)
    padding: int | None = None
    pools: tuple[int, ...] = (1,)
    src: str = ""
    ev: Evidence = "unknown"


class Layers(Record):
    """A machine on which every core holds one whole layer, and the cores differ.

    Attributes:
        resources: memories by name.
        limits: of one layer.
        max_destinations: layers that may hear one layer.
        synops_per_s: synaptic operations a core can do, by its slot; empty = nobody says.
    """

    resources: dict[str, LayerResource]
    limits: LayerLimits
    max_destinations: Quantity
    synops_per_s: tuple[Annotated[float, Field(gt=0)], ...] = ()
    synops_src: str = ""
    synops_ev: Evidence = "unknown"


class ResetCost(Record):
    """Compartments one neuron needs for a reset rule, and who says so."""

    compartments: int = 1
    src: str = ""
    ev: Evidence = "unknown"
    note: str = ""


class NeuronModel(Record):
    """Which part of the neuron normal form the core computes, and in which widths.

    Attributes:
        comparator: ">" means thresholds of the form ``mantissa << threshold_shift``, fire above.
        leak: "none", "multiplicative" (``v * (2^bits - d) >> leak_bits``) or "linear" (a constant
            per tick, which the normal form calls a bias).
        leak_multiplier: smallest and largest ``2^bits - d``; None = 0 .. 2^bits.
        current_multiplier: the same for the current.
        reset: kinds of ``ir.neuron.Reset`` with their cost; "zero" is value 0.
        levels: largest count in one step; None = unlimited.
        emission: whether what is sent may be looked up by the count (``ir.neuron`` emission).
        other_roundings: further roundings of leaks that the neuron can be set to.
        recovery: whether a relative refractory state may stand beside the threshold (ALIF of
            lava-dl).
        sigma_delta: whether the neuron can add up its input and send changes of an activation;
            its registers are then those of current and state.
        refire_slots: a neuron with one threshold and reset by subtraction can go on firing in so
            many ticks, its update included, without leak, input and bias; 0 = it cannot.
        threshold_bits, bias_bits: width of the mantissa beside any sign; ``bias_bits`` None = no
            bias.
        state_bits, current_bits, accumulator_bits: widths in two's complement, sign included;
            the accumulator holds the summed input after ``input_shift``.
        update_when: what makes a core pay for an update: "changing", when anything can change the
            neuron or make it fire; "nonzero", also whenever its membrane is not zero.
    """

    comparator: Literal[">", ">="]
    leak: Literal["none", "multiplicative", "linear"]
    leak_bits: int = 12
    leak_rounding: Rounding = "toward_zero"
    other_roundings: tuple[Rounding, ...] = ()
    leak_multiplier: tuple[int, int] | None = None
    current: bool = False
    current_multiplier: tuple[int, int] | None = None
    reset: dict[Literal["zero", "value", "subtract", "none", "multiply"], ResetCost]
    levels: int | None = 1
    negative_levels: int | None = 0
    emission: bool = False
    refire_slots: int = 0
    threshold_bits: int = 17
    threshold_shift: int = 0
    bias_bits: int | None = 12
    bias_max_exponent: int = 0
    refractory_max: int = 0
    refractory_hold: bool = True
    adaptation: bool = False
    recovery: bool = False
    sigma_delta: bool = False
    state_bits: int
    state_overflow: Literal["saturate", "wrap"] = "saturate"
    current_bits: int = 24
    current_overflow: Literal["saturate", "wrap"] = "wrap"
    accumulator_bits: int | None = None
    input_shift: tuple[int, int] = (0, 0)
    update_when: Literal["changing", "nonzero"] = "changing"
    src: str = ""
    ev: Evidence = "unknown"
    note: str = ""

    @property
    def roundings(self) -> tuple[Rounding, ...]:
        """All roundings of leaks."""
        return (self.leak_rounding, *self.other_roundings)


class Execution(Record):
    """How time advances.

    ``barrier_s`` maps cores-or-tiles in use to seconds; between two entries it is linear in the
    logarithm of their number, or (``barrier_between: step``) the smaller entry's.
    ``cycle_s`` is the time unit of the cycle-level simulator.  An ``async`` machine has neither:
    every packet is worked on when it arrives.  Its ``tick_s`` are the seconds from the input of one
    logical step to that of the next, and ``overflow`` says what happens to a packet for a full
    queue: the sender waits, or the packet is lost.
    """

    sync: Literal["barrier", "fixed_tick", "async"]
    overflow: Literal["stall", "drop"] = "stall"
    cycle_s: Quantity
    tick_s: Quantity = Quantity(v=None, u="s", ev="unknown")
    barrier_s: dict[int, float] = {}
    barrier_between: Literal["log", "step"] = "log"
    barrier_src: str = ""
    barrier_ev: Evidence = "unknown"
    min_delay: int = 1


class Spike(Record):
    """What one packet can say, and how a population sends a count that it cannot.

    ``codes``: "burst": several packets of one neuron in one tick.  "unary": one packet in each of
    several ticks; cores add up what arrives in the ticks between two updates of a neuron.
    "bitplane": as unary, and the receiving core shifts a row's weights left by the number of the
    slot, which it tells from the tick.  See ``snnc.ir.wire``.
    """

    payload_bits: int = 0
    signed: bool = False
    codes: tuple[WireWord, ...] = ("burst",)
    packet_bits: Quantity = Quantity(v=None, u="bit", ev="unknown")


class Topology(Record):
    """Routers of one chip as a W x H mesh, ``cores_per_router`` cores at each.

    Chips stand in a row, a near-square grid or so many columns; their meshes join at the edges.

    Attributes:
        links: of every router, "mesh": to four neighbours; "hex_torus": to six, and the sides of
            the whole grid of chips are joined to the opposite ones (SpiNNaker).
        defects: (x, y, slot) of cores that do not work, on every chip.
        broken_chip_links: pairs of neighbouring chips (column, row) without links between them; a
            missing chip has none to any neighbour.
    """

    grid: tuple[Annotated[int, Field(ge=1, le=1024)], Annotated[int, Field(ge=1, le=1024)]]
    cores_per_router: Annotated[int, Field(ge=1, le=64)]
    usable_cores: Annotated[int, Field(ge=1)]
    max_chips: Quantity
    chip_arrangement: Literal["row", "square"] | Annotated[int, Field(ge=1)] = "square"
    links: LinkKind = "mesh"
    host_router: tuple[int, int] = (0, 0)
    defects: tuple[tuple[int, int, int], ...] = ()
    broken_chip_links: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    src: str = ""
    ev: Evidence = "unknown"


class Noc(Record):
    """Network-on-chip: routing, buffering and speed.  Cycles are ``Execution.cycle_s``.

    Attributes:
        routing: how packets go unless the compiler is asked for something else.
        route_shapes: what routers can be told for one net: along X then Y ("xy"), Y then X ("yx"),
            any shortest path to each destination ("minimal"), any tree of links ("any").
        virtual_channels: per link, each with ``buffer_packets`` places.
        consumption: "always": a core accepts packets whatever it sends.  "after_sending": it
            refuses them while its own packets wait for room in its injection queue.
        table_entries: size of a router's multicast table of keys and masks, the first match wins;
            None where routers have none (``docs/routing.md``).
        key_bits: width of the key in a packet on such machines.
    """

    routing: Literal["xy"] = "xy"
    route_shapes: tuple[RouteShape, ...] = ("xy",)
    consumption: Literal["always", "after_sending"] = "always"
    table_entries: Quantity | None = None
    key_bits: Annotated[int, Field(ge=1, le=48)] = 32
    multicast: bool
    buffer_packets: Quantity
    injection_packets: Quantity = Quantity(v=16, u="packet", ev="assumed")
    receive_packets: Quantity = Quantity(v=16, u="packet", ev="assumed")
    packets_per_cycle: Quantity = Quantity(v=1, u="packet/cycle", ev="assumed")
    virtual_channels: Quantity = Quantity(v=1, u="channel", ev="assumed")
    chip_link_cycles: Quantity = Quantity(v=None, u="cycle/packet", ev="unknown")


class Cost(Record):
    """Energy (J) and latency (s) of one event; either may be unknown."""

    energy: float | None = None
    latency: float | None = None
    src: str = ""
    ev: Evidence = "unknown"
    note: str = ""


EventKind = Literal[
    "synapse_op_dense", "synapse_op_sparse", "synapse_op_bitmask", "neuron_access",
    "neuron_update", "spike_generate",
    "message_out", "message_in", "hop_ew", "hop_ns", "hop_chip", "host_in", "all_in_synaptic_event",
]  # fmt: skip


class CostTable(Record):
    """Costs of one evidence family.

    ``per_term`` prices single events; ``all_in`` prices a synaptic event with everything in it;
    the two never add.  ``unpriced`` prints counts and no joule.  ``load_byte`` prices a byte of
    core memory that is written before a program runs, in any scope.
    """

    scope: Literal["per_term", "all_in", "unpriced"]
    events: dict[EventKind, Cost] = {}
    load_byte: Cost = Cost()
    note: str = ""


class Target(Record):
    """A complete machine description."""

    schema_: Literal["snnc-target/1"] = Field(alias="schema")
    id: str
    name: str
    summary: str
    aliases: tuple[str, ...] = ()
    sources: dict[str, Source]
    execution: Execution
    spike: Spike
    topology: Topology
    core: Core
    neuron: NeuronModel
    noc: Noc
    cost_sets: dict[str, CostTable]
    default_cost: str
    layers: Layers | None = None
    static_w_per_chip: Quantity = Quantity(v=None, u="W", ev="unknown")
    errata: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def costs(self) -> CostTable:
        """The default cost table."""
        return self.cost_sets[self.default_cost]
