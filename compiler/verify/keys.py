"""Rule "keys": packets that follow the routers' tables reach the cores that listen, and only those.

Where routers look packets up by key and mask, the tables are what the chip executes; the trees are
not looked at here.  A packet is sent as the first entry says that matches, or straight on.  Keys
that no mask can tell apart share one walk.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject, wide
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import KeyTables


def check_keys(subject: Subject, findings: Findings) -> None:
    """Check keys and tables; nothing where the target's routers have none."""
    deployment = subject.deployment
    noc, keys = deployment.target.noc, deployment.routes.keys
    if noc.table_entries is None:
        if keys is not None:
            findings.add("keys", "routes.keys", "tables", "none: the target's routers have none")
        return
    if keys is None:
        findings.add("keys", "routes.keys", "no tables", "the target's routers need them")
        return
    if not _shaped(subject, findings, keys):
        return
    _sizes(subject, findings, keys)
    _senders(subject, findings, keys)
    if "keys" not in findings.broken:
        _walks(subject, findings, keys)


def _shaped(subject: Subject, findings: Findings, keys: KeyTables) -> bool:
    entries, routers = keys.entry_key.size, subject.deployment.mesh.routers
    sides = subject.deployment.mesh.sides
    ends = (
        (keys.entry_ptr, routers + 1, entries),
        (keys.core_ptr, entries + 1, keys.entry_core.size),
    )
    good = keys.source_key.shape == (subject.sources.total,)
    for ptr, length, last in ends:
        good &= ptr.shape == (length,) and ptr[0] == 0 and ptr[-1] == last
        good = bool(good and (np.diff(wide(ptr)) >= 0).all())
    good &= keys.entry_mask.size == keys.entry_links.size == entries
    good = bool(good and ((keys.entry_links >= 0) & (keys.entry_links < 1 << sides)).all())
    cores = wide(keys.entry_core)
    good = bool(good and ((cores >= 0) & (cores < subject.deployment.cores.count)).all())
    findings.count("keys", entries)
    if not good:
        findings.add("keys", "routes.keys", "malformed tables", "rising pointers, valid indices")
    return good


def _sizes(subject: Subject, findings: Findings, keys: KeyTables) -> None:
    noc, mesh = subject.deployment.target.noc, subject.deployment.mesh
    capacity = None if noc.table_entries is None else noc.table_entries.v
    size = np.diff(wide(keys.entry_ptr))
    if capacity is None:
        findings.unchecked.append("noc.table_entries")
    else:
        for router in np.flatnonzero(size > capacity)[:50].tolist():
            where = f"router {mesh.xy(router)}"
            findings.add("keys", where, f"{size[router]} entries", f"{capacity:g}")
    largest = max(int(keys.source_key.max(initial=0)), int(keys.entry_mask.max(initial=0)))
    if largest >> noc.key_bits:
        findings.add("keys", "routes.keys", f"{largest.bit_length()} bits", f"{noc.key_bits}")
    stray = np.flatnonzero(keys.entry_key & ~keys.entry_mask)
    for entry in stray[:50].tolist():
        findings.add("keys", f"entry {entry}", "key bits outside the mask: it never matches")


def _senders(subject: Subject, findings: Findings, keys: KeyTables) -> None:
    """Exactly the sources that somebody listens to have a key, each its own."""
    heard = np.zeros(subject.sources.total, np.bool_)
    heard[wide(subject.deployment.cores.axon_source)] = True
    has = keys.source_key >= 0
    for source in np.flatnonzero(heard & ~has)[:50].tolist():
        findings.add("keys", subject.name(source), "no key", "one: cores listen to it")
    values, times = np.unique(keys.source_key[has], return_counts=True)
    for key in values[times > 1][:50].tolist():
        findings.add("keys", f"key {key:#x}", "several sources send it", "one source per key")


def _walks(subject: Subject, findings: Findings, keys: KeyTables) -> None:
    deployment = subject.deployment
    routers, cores = deployment.mesh.routers, deployment.cores.count
    sender = np.flatnonzero(keys.source_key >= 0)
    seen = int(np.bitwise_or.reduce(keys.entry_mask, initial=0))
    host = deployment.mesh.router(*deployment.target.topology.host_router)
    home = subject.home[sender]
    start = np.where(home < 0, host, subject.router[np.maximum(home, 0)])
    # Sources that no entry can tell apart, and that start together, walk together.
    walk, first, which = np.unique(
        (keys.source_key[sender] & seen) * routers + start, return_index=True, return_inverse=True
    )
    which = which.reshape(-1)
    key, here = walk // routers, start[first]
    reached = _follow(subject, findings, keys, key, here)
    listening = subject.listening()
    source, core = listening // cores, listening % cores
    group = np.full(subject.sources.total, -1, np.int64)
    group[sender] = which
    wanted = group[source] * cores + core
    findings.count("keys", listening.size)
    got, times = np.unique(reached, return_counts=True)
    _tell(subject, findings, sender[first], got[times > 1], "twice at one core", "once")
    late = np.flatnonzero(~np.isin(wanted, got))
    for entry in late[:50].tolist():
        name = subject.name(int(source[entry]))
        where = subject.core_name(int(core[entry]))
        findings.add("keys", name, f"does not reach {where}", "the cores that listen to it")
    # Each source of a group must be heard by every core its group reaches.
    members = np.bincount(which, minlength=walk.size)
    hearers = np.bincount(np.searchsorted(got, wanted[np.isin(wanted, got)]), minlength=got.size)
    _tell(
        subject,
        findings,
        sender[first],
        got[hearers < members[got // cores]],
        "a core",
        "listeners",
    )


def _tell(
    subject: Subject, findings: Findings, source: IntArray, bad: IntArray, found: str, allowed: str
) -> None:
    cores = subject.deployment.cores.count
    for pair in bad[:50].tolist():
        name = subject.name(int(source[pair // cores]))
        where = subject.core_name(pair % cores)
        findings.add("keys", name, f"reaches {found}: {where}", allowed)


def _follow(
    subject: Subject, findings: Findings, keys: KeyTables, key: IntArray, here: IntArray
) -> IntArray:
    """Move all packets one hop per round; returns ``walk * cores + core`` of every copy."""
    mesh, cores = subject.deployment.mesh, subject.deployment.cores.count
    walk, came = np.arange(key.size), np.full(key.size, -1)
    copies: list[IntArray] = []
    per_core = np.diff(wide(keys.core_ptr))
    for _ in range(mesh.routers + 1):
        if not walk.size:
            return np.concatenate(copies) if copies else np.zeros(0, np.int64)
        entry = _first_match(keys, key[walk], here)
        hit = np.flatnonzero(entry >= 0)
        count = per_core[entry[hit]]
        place = np.repeat(wide(keys.core_ptr)[entry[hit]], count)
        place += np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        core = wide(keys.entry_core)[place]
        away = subject.router[core] != np.repeat(here[hit], count)
        for wrong in np.flatnonzero(away)[:50].tolist():
            where = subject.core_name(int(core[wrong]))
            findings.add("keys", where, "a router that is not its own delivers to it")
        copies.append(np.repeat(walk[hit], count) * cores + core)
        lost = np.flatnonzero((entry < 0) & (came < 0))
        for k in lost[:50].tolist():
            at = mesh.xy(int(here[k]))
            findings.add(
                "keys", f"key {int(key[walk[k]]):#x}", f"matches nothing where it starts, {at}"
            )
        links = np.where(entry >= 0, wide(keys.entry_links)[entry], 0)
        links = np.where((entry < 0) & (came >= 0), 1 << np.maximum(came, 0), links)
        next_walk, next_here, next_came = [], [], []
        for side in range(mesh.sides):
            out = np.flatnonzero((links >> side) & 1)
            there = mesh.neighbours[here[out], side]
            edge = there < 0
            for k in out[edge][:50].tolist():
                found = f"is sent where there is no link, at {mesh.xy(int(here[k]))}"
                findings.add("keys", f"key {int(key[walk[k]]):#x}", found)
            out = out[~edge]
            next_walk.append(walk[out])
            next_here.append(there[~edge])
            next_came.append(np.full(out.size, side))
        walk, here, came = (np.concatenate(a) for a in (next_walk, next_here, next_came))
    findings.add("keys", f"key {int(key[walk[0]]):#x}", "goes round and round", "it ends")
    return np.concatenate(copies)


def _first_match(keys: KeyTables, key: IntArray, router: IntArray) -> IntArray:
    """[packets] entry that decides, -1 for none."""
    result = np.full(key.size, -1, np.int64)
    for at in np.unique(router).tolist():
        mine = np.flatnonzero(router == at)
        waiting = mine
        for entry in range(int(keys.entry_ptr[at]), int(keys.entry_ptr[at + 1])):
            hit = (key[waiting] & keys.entry_mask[entry]) == keys.entry_key[entry]
            result[waiting[hit]] = entry
            waiting = waiting[~hit]
            if not waiting.size:
                break
    return result
