"""Making a failing plan smaller: leave out what it also fails without."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence

Fails = Callable[[Sequence[str]], bool]
"""Whether it still fails without these items."""


def shrink(items: Sequence[str], fails: Fails, *, out_of_time: Callable[[], bool]) -> list[str]:
    """The items that can be left out, so that it still fails: many together first, then fewer, then one by one.

    Ends when no item can be spared, or out of time.
    """
    left_out: list[str] = []
    kept = list(items)
    size = max(1, len(kept))
    while not out_of_time():
        spared = False
        position = 0
        while position < len(kept) and not out_of_time():
            chunk = kept[position : position + size]
            if fails([*left_out, *chunk]):
                left_out += chunk
                del kept[position : position + size]
                spared = True
            else:
                position += size
        if size == 1 and not spared:
            break
        size = max(1, size // 2)
    return left_out


def folded(names: Collection[str]) -> str:
    """Names in one word for a command line: r1, r2, r3, f7 become `f7,r1-3`."""
    numbered: dict[str, list[int]] = {}
    words = []
    for name in names:
        head, digits = name[0], name[1:]
        if digits.isdigit():
            numbered.setdefault(head, []).append(int(digits))
        else:
            words.append(name)
    for head, numbers in sorted(numbered.items()):
        numbers.sort()
        for _, run in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            in_row = [number for _, number in run]
            words.append(f"{head}{in_row[0]}" if len(in_row) == 1 else f"{head}{in_row[0]}-{in_row[-1]}")
    return ",".join(sorted(words))


def unfolded(text: str) -> list[str]:
    """The names that `folded` folded. Raises ValueError for what cannot be read."""
    names = []
    for word in filter(None, text.split(",")):
        head, dash, last = word.partition("-")
        if not dash:
            names.append(word)
            continue
        names += [f"{head[0]}{number}" for number in range(int(head[1:]), int(last) + 1)]
    return names
