"""A binary max-heap over vertices with changeable keys, for kernels.

``heap`` holds vertices, ``place[v]`` the position of v or -1, ``key[v]`` its key, and
``size[0]`` the number of entries.
"""

from __future__ import annotations

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel


@inner_kernel
def rise(heap: IntArray, place: IntArray, key: RealArray, position: int) -> int:
    """Move an entry up to where it belongs."""
    v = heap[position]
    while position > 0:
        parent = (position - 1) >> 1
        if key[heap[parent]] >= key[v]:
            break
        heap[position] = heap[parent]
        place[heap[position]] = position
        position = parent
    heap[position] = v
    place[v] = position
    return position


@inner_kernel
def sink(heap: IntArray, place: IntArray, key: RealArray, position: int, size: int) -> None:
    """Move an entry down to where it belongs."""
    v = heap[position]
    while True:
        child = 2 * position + 1
        if child >= size:
            break
        if child + 1 < size and key[heap[child + 1]] > key[heap[child]]:
            child += 1
        if key[heap[child]] <= key[v]:
            break
        heap[position] = heap[child]
        place[heap[position]] = position
        position = child
    heap[position] = v
    place[v] = position


@inner_kernel
def insert(heap: IntArray, place: IntArray, key: RealArray, size: IntArray, v: int) -> None:
    """Add a vertex that is not in the heap."""
    heap[size[0]] = v
    size[0] += 1
    rise(heap, place, key, size[0] - 1)


@inner_kernel
def remove(heap: IntArray, place: IntArray, key: RealArray, size: IntArray, v: int) -> None:
    """Take a vertex out of the heap."""
    position = place[v]
    size[0] -= 1
    last = heap[size[0]]
    place[v] = -1
    if last != v:
        heap[position] = last
        place[last] = position
        if rise(heap, place, key, position) == position:
            sink(heap, place, key, position, size[0])


@inner_kernel
def changed(heap: IntArray, place: IntArray, key: RealArray, size: IntArray, v: int) -> None:
    """Restore the order after the key of a vertex in the heap changed."""
    position = place[v]
    if rise(heap, place, key, position) == position:
        sink(heap, place, key, position, size[0])
