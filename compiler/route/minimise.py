"""Few entries of (key, mask) that send every code of a router where it belongs.

1. *Prefixes*, exactly: over the trie of the codes, the least number of entries whose longest match
   is right, by dynamic programming on (node, route inherited from above), as in the optimal routing
   table constructor of Draves, King, Venkatachary & Zill (INFOCOM 1999), with codes that need no
   entry because their packets go straight on.
2. *Masks*: entries of one route are merged into one that leaves out any bit on which they differ,
   while every code still finds the right entry first.  The order of entries, narrow ones first,
   is part of the meaning: the idea of ordered covering (Mundy, Heathcote & Garside, HPSR 2016).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import lean_kernel as kernel

Cube = tuple[int, int]
"""(key, mask): the codes with ``code & mask == key``."""
Entry = tuple[Cube, int]
WIDE = (1 << 48) - 1
TRIES = 400
MATES = 24
"""Entries of one route that are tried in pairs."""
WORK = 1e8
"""Most comparisons of a code with an entry while merging one table, about 0.1 s."""


def minimise(code: IntArray, label: IntArray, straight: AnyArray) -> list[Entry]:
    """Ordered entries (cube, label); the first that matches decides.

    Args:
        code: [nets] distinct codes below 2^48.
        label: [nets] route each must take.
        straight: bool [nets], whether it also does so when no entry matches.
    """
    order = np.argsort(code)
    code, label, straight = code[order], label[order], straight[order]
    entries = prefixes(code, label, straight)
    return _merged(entries, code, label, straight)


def prefixes(code: IntArray, label: IntArray, straight: AnyArray) -> list[Entry]:
    """The fewest prefixes, longest first; column 0 of costs is "nothing matched so far"."""
    children, first, last = _trie(code)
    routes = int(label.max()) + 1
    leaves = code.size
    cost: list[IntArray] = []
    for leaf in range(leaves):
        row = np.ones(routes + 1, np.int64)
        row[label[leaf] + 1] = 0
        if straight[leaf]:
            row[0] = 0
        cost.append(row)
    inside: list[IntArray] = list(cost)
    for left, right in children:
        total = cost[left] + cost[right]
        inside.append(total)
        cost.append(np.minimum(total, 1 + total[1:].min()))
    entries: list[Entry] = []
    stack = [(len(cost) - 1, 0)]
    while stack:
        node, above = stack.pop()
        if node < leaves:
            if inside[node][above]:
                entries.append(((int(code[node]), WIDE), int(label[node])))
            continue
        if inside[node][above] > cost[node][above]:
            above = int(inside[node][1:].argmin()) + 1
            low = int(code[first[node - leaves]] ^ code[last[node - leaves]]).bit_length()
            mask = WIDE >> low << low
            entries.append(((int(code[first[node - leaves]]) & mask, mask), above - 1))
        stack += [(child, above) for child in children[node - leaves]]
    return _ordered(entries)


def _trie(code: IntArray) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Inner nodes of the trie from the leaves up: children, first and last code below.

    Codes are joined where neighbours differ in the lowest bits first.
    """
    children: list[tuple[int, int]] = []
    firsts: list[int] = []
    lasts: list[int] = []
    top: list[tuple[int, int, int]] = []  # node, first code, bits in which it differs from the next
    gaps = [int(code[k] ^ code[k + 1]).bit_length() for k in range(code.size - 1)] + [64]
    for leaf, gap in enumerate(gaps):
        node, begin = leaf, leaf
        while top and top[-1][2] < gap:
            other, other_begin, _ = top.pop()
            children.append((other, node))
            firsts.append(other_begin)
            lasts.append(leaf)
            node, begin = code.size + len(children) - 1, other_begin
        top.append((node, begin, gap))
    return children, firsts, lasts


def _ordered(entries: list[Entry]) -> list[Entry]:
    """Narrow entries first; equally narrow ones by key, so that equal input gives equal tables."""
    return sorted(entries, key=lambda e: (-e[0][1].bit_count(), e[0][0], e[0][1], e[1]))


def _merged(
    entries: list[Entry], code: IntArray, label: IntArray, straight: AnyArray
) -> list[Entry]:
    """Merge entries of one route, all of them at once or the closest two, while it stays right."""
    left = min(TRIES, int(WORK / max(1, len(entries) * code.size)))
    straight = straight.astype(np.int64)
    again = True
    while again and left > 0:
        again = False
        by_route: dict[int, list[Entry]] = {}
        for entry in entries:
            by_route.setdefault(entry[1], []).append(entry)
        groups = [tuple(group) for group in by_route.values() if len(group) > 2]
        pairs = [pair for group in by_route.values() for pair in combinations(group[:MATES], 2)]
        groups.sort(key=len, reverse=True)
        pairs.sort(key=lambda pair: _apart(pair[0][0], pair[1][0]))
        gone: set[Entry] = set()
        for chosen in (*groups, *pairs):
            if left == 0:
                break
            if not gone.isdisjoint(chosen):
                continue
            left -= 1
            members, merged = set(chosen), _joined(chosen)
            width = merged[0][1].bit_count()
            rest = [entry for entry in entries if entry not in members]
            place = next((k for k, e in enumerate(rest) if e[0][1].bit_count() < width), len(rest))
            trial = [*rest[:place], merged, *rest[place:]]
            if _right(*_columns(trial), code, label, straight):
                entries, again = trial, True
                gone |= members
    return entries


def _columns(entries: list[Entry]) -> tuple[IntArray, IntArray, IntArray]:
    table = np.array([(key, mask, route) for (key, mask), route in entries], np.int64)
    table = table.reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


@kernel
def _right(
    key: IntArray,
    mask: IntArray,
    route: IntArray,
    code: IntArray,
    label: IntArray,
    straight: IntArray,
) -> bool:
    """Whether the first entry that matches each code sends it where it belongs."""
    for c in range(code.size):
        fine = straight[c] != 0
        for e in range(key.size):
            if (code[c] & mask[e]) == key[e]:
                fine = route[e] == label[c]
                break
        if not fine:
            return False
    return True


def _apart(a: Cube, b: Cube) -> int:
    """Bits that a merged entry would no longer look at."""
    return ((a[1] ^ b[1]) | ((a[0] ^ b[0]) & a[1] & b[1])).bit_count()


def _joined(entries: tuple[Entry, ...]) -> Entry:
    (key, mask), route = entries[0]
    for (other, other_mask), _ in entries[1:]:
        mask &= other_mask & ~(key ^ other)
        key &= mask
    return (key, mask), route
