"""What the author's toy decides: the stationary law, and that it has no traps (claims C1 to C4 and C8)."""

from infonce_langevin.checks.toy import (
    crossing,
    curve,
    descents,
    failing,
    hitting,
    planar,
    plateau,
    shape,
    starts,
    stationary,
    string,
    string_control,
    stuck,
    time_is_short,
)
from infonce_langevin.claims.sources import FILES, OURS
from repro_shared.claims import Claim

TOY_RUN = {"experiment": "toy"}

TOY: list[Claim] = [
    # C1: the stationary law
    Claim(
        id="C1-gibbs", statement="Chains at fixed beta = 10 have the Gibbs law: share below -1.5 minus the exact mass "
        "(within .02)", published=-0.0009, unit="", figure="rates", check=stationary("langevin", 10.0), **FILES,
        **TOY_RUN,
    ),
    Claim(
        id="C1-gibbs-hot", statement="So they have at beta = 6 (within .02)", unit="", figure="rates",
        check=stationary("langevin", 6.0), **OURS, **TOY_RUN,
    ),
    Claim(
        id="C1-metropolis", statement="And with a Metropolis test, which has no error of the step (beta = 10, within "
        ".02)",
        unit="", figure="rates", check=stationary("metropolis", 10.0), **OURS, **TOY_RUN,
    ),
    Claim(
        id="C1-only", statement="It is the only stationary law: from the minimum minus from the maximum (beta = 10, "
        "within .02)", unit="", figure="rates", check=starts, **OURS, **TOY_RUN,
    ),
    Claim(
        id="C1-hitting-10", statement="Mean first hitting time at fixed beta = 10 (within 5 %)", published=159.3,
        unit="steps", figure="hitting", check=hitting("fixed", 0.0, 10.0, 159.3, 0.05), **FILES, **TOY_RUN,
    ),
    Claim(
        id="C1-hitting-100", statement="Mean first hitting time at fixed beta = 100 (within 5 %)", published=130.0,
        unit="steps", figure="hitting", check=hitting("fixed", 0.0, 100.0, 130.0, 0.05), **FILES, **TOY_RUN,
    ),
    # C2: slow schedules on the toy
    Claim(
        id="C2-hitting-0.1", statement="Slow schedules arrive, late: mean hitting time at c = .1 (within 10 %)",
        published=6855, unit="steps", figure="hitting", check=hitting("log", 0.1, 10.0, 6855.0, 0.1), **FILES,
        **TOY_RUN,
    ),
    Claim(
        id="C2-hitting-1", statement="Mean hitting time at c = 1 (within 10 %)", published=652, unit="steps",
        figure="hitting", check=hitting("log", 1.0, 10.0, 652.0, 0.1), **FILES, **TOY_RUN,
    ),
    # C3: fast schedules on the toy
    Claim(
        id="C3-toy-curve", statement="Success against the rate c on the author's toy: largest deviation of nine "
        "rates from "
        "the published curve (.05)", published=0.0, unit="", figure="rates", check=curve, **FILES, **TOY_RUN,
    ),
    Claim(
        id="C3-toy-failing", statement="Schedules with c = 10 end before half of the chains have arrived: never hit, "
        "of "
        "172 steps (within 5 points)", published=45.9, unit="%", figure="hitting", check=failing, **FILES, **TOY_RUN,
    ),
    Claim(
        id="C3-toy-stuck", statement="Chains that are cooled at once get stuck on the author's toy: left above -1.5 "
        "at fixed "
        "beta = 200 (1 %)", published=0.0, unit="%", figure="rates", check=stuck,
        source="predecessor (2025), proposition; author's result files", kind="published", **TOY_RUN,
    ),
    # C4: the critical rate of the toy
    Claim(
        id="C4-toy-descent", statement="The toy has no local minimum: descents that end above the global one, of four "
        "energies, most of any seed", unit="%", figure="landscape", check=descents, **OURS, **TOY_RUN,
    ),
    Claim(
        id="C4-toy-planar", statement="The same search finds the trap where there is one: descents that end above the "
        "minimum on the circle (.1 %)", unit="%", figure="landscape", check=planar, **OURS, **TOY_RUN,
    ),
    Claim(
        id="C4-toy-string", statement="A string from the interleaved square to the minimum meets no barrier on the "
        "sphere",
        unit="", figure="landscape", check=string, **OURS, **TOY_RUN,
    ),
    Claim(
        id="C4-toy-string-control", statement="And does on the circle, where the square is a trap (.02)", unit="",
        figure="landscape", check=string_control, **OURS, **TOY_RUN,
    ),
    Claim(
        id="C4-toy-constant", statement="The plotted \"c*\", where half of the chains succeed, is a constant of the "
        "landscape: "
        "at the end point 40 over that at 20 (1, within 10 %)", published=2.25, unit="times", figure="rates",
        check=crossing, source="author's figure, values read off", kind="published", **TOY_RUN,
    ),
    Claim(
        id="C4-toy-plateau", statement="The plateau of slow rates is the Gibbs mass at the end point (c = 2.922, "
        "within .03)",
        published=0.012, unit="", figure="rates", check=plateau, **FILES, **TOY_RUN,
    ),
    Claim(
        id="C4-toy-time", statement="What fast rates lack is time: 2,000 steps later they have the Gibbs mass, too "
        "(within "
        ".03)", unit="", figure="rates", check=time_is_short, **OURS, **TOY_RUN,
    ),
    # C8: shapes on the toy
    *(
        Claim(
            id=f"C8-toy-{noise}", statement=f"No shape wins on the toy under {name} noise: success of linear minus "
            f"log, 877 "
            "steps to beta = 100 (within .05)", published=published, unit="", figure="shapes", check=shape(noise),
            **FILES, **TOY_RUN,
        )
        for noise, name, published in (("synthetic", "state-dependent", -0.008), ("hessian", "Hessian", -0.004))
    ),
]  # fmt: skip
