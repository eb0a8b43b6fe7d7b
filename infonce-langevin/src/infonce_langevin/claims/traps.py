"""What systems with a trap decide: slow schedules converge, fast ones get stuck, c* parts them (claims C2 to C4)."""

from infonce_langevin.checks.traps import (
    STAYS,
    chains,
    depth,
    fast,
    one_number,
    read_off,
    settled,
    slow,
    square_fast,
    square_slow,
)
from infonce_langevin.claims.sources import OURS, THEOREM
from repro_shared.claims import Claim

TIME = {"experiment": "traps", "figure": "time"}
TRANSITION = {"experiment": "traps", "figure": "transition"}
LANDSCAPES = {"experiment": "traps", "figure": "landscapes"}

TRAPS: list[Claim] = [
    # C2: slow schedules
    Claim(
        id="C2-slow", statement="Logarithmic schedules with c up to c* leave the trap in the end: probability still "
        "in it, "
        "exact, the most (.01)", unit="", check=slow("decoupled"), **THEOREM, **TIME,
    ),
    Claim(
        id="C2-square", statement="So do four free points on the circle, simulated: share still in the interleaved "
        "square "
        "(.01)", unit="", check=square_slow, **THEOREM, **TRANSITION,
    ),
    Claim(
        id="C2-literal", statement="And with one beta in loss and noise, as the paper writes its SDE (.01)", unit="",
        check=slow("literal"), source="predecessor (2025), equation 3 and theorem", kind="published", published=0.0,
        **TIME,
    ),
    # C3: fast schedules
    Claim(
        id="C3-fast", statement="Schedules with c of 1.5 c* or more stay in the trap with positive probability, "
        "exact, the "
        "least (.05)", unit="", check=fast("trap", STAYS), **THEOREM, **TIME,
    ),
    Claim(
        id="C3-settled", statement="That is a limit: how much it still falls in the last two decades of time, the "
        "most (.02)",
        unit="", check=settled, **OURS, **TIME,
    ),
    Claim(
        id="C3-uniform", statement="Also from the uniform law: probability in the trap, exact, the least (.01)",
        unit="",
        check=fast("uniform", STAYS / 5), **THEOREM, **TIME,
    ),
    Claim(
        id="C3-square", statement="And four free points on the circle, simulated, at 2 c* or more: share in the "
        "square, the "
        "least rate (.05)", unit="", check=square_fast, **THEOREM, **TRANSITION,
    ),
    # C4: the critical rate
    Claim(
        id="C4-depth-anchor", statement="The depth of the anchor's trap is sqrt 2 - 1: deviation of the minimax path",
        unit="%", check=depth("anchor, hard", 1e-7), **OURS, **LANDSCAPES,
    ),
    Claim(
        id="C4-depth-square", statement="That of the interleaved square is 1 / 16: deviation of the minimax path (1 %)",
        unit="%", check=depth("square, hard", 1.0), **OURS, **LANDSCAPES,
    ),
    Claim(
        id="C4-one-number", statement="Hajek's depth and the barrier of Holley, Kusuoka and Stroock are one number "
        "here",
        unit="", check=one_number, **OURS, **LANDSCAPES,
    ),
    Claim(
        id="C4-read-off", statement="c* as read off the escapes is 1 / d*: largest deviation (10 %)", unit="%",
        check=read_off, **THEOREM, **TIME,
    ),
    Claim(
        id="C4-chains", statement="Simulated chains show the same transition: largest deviation from the exact "
        "probability "
        "(.02)", unit="", check=chains, **OURS, **TRANSITION,
    ),
]  # fmt: skip
