"""Timing two ways of doing the same work in turns, so that a busy machine slows both alike.

Seconds are CPU seconds of this process: on one thread those of the clock, without the time that other work had.
"""

import statistics
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object]) -> float:
    """What one call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turns(ours: Callable[[], None], peer: Callable[[], None], rounds: int = 7) -> tuple[float, float]:
    """Median seconds of each over `rounds` alternating calls, after one call of each to warm up."""
    seconds = [(cpu_seconds(ours), cpu_seconds(peer)) for _ in range(rounds + 1)]
    mine, theirs = zip(*seconds[1:], strict=True)
    return statistics.median(mine), statistics.median(theirs)
