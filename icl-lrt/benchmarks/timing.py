"""Timing two ways of doing the same work in turns, so that a busy machine slows both alike."""

import statistics
import time
from collections.abc import Callable


def in_turns(ours: Callable[[], None], peer: Callable[[], None], rounds: int = 7) -> tuple[float, float]:
    """Median seconds of each over `rounds` alternating calls, after one call of each to warm up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for work, kept in zip((ours, peer), seconds, strict=True):
            start = time.perf_counter()
            work()
            if turn:
                kept.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])
