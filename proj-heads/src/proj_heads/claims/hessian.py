"""Negative curvature while SimSiam trains (claims C4 and C6, experiment `hessian`)."""

from proj_heads.checks.hessian import sign_tells, smooth_heads, spread_and_condition, straight_heads
from proj_heads.claims.sources import FILES, stated
from repro_shared.claims import Claim

HESSIAN: list[Claim] = [
    # C4: negative curvature while SimSiam trains
    Claim(
        id="C4-straight-training",
        statement="While SimSiam trains, linear and ReLU heads have no negative eigenvalue under the squared error",
        unit="of 64", experiment="hessian", figure="negative", check=straight_heads,
        **stated("theorem 4.1"),
    ),
    Claim(
        id="C4-smooth-training",
        statement="And smooth heads have many (10 or more), though no one trains that error",
        unit="of 64", experiment="hessian", figure="negative", check=smooth_heads, **stated("theorem 4.1"),
    ),
    # C6: the author's Hessian tracker
    Claim(
        id="C6-sign",
        statement="The sign of the lowest eigenvalue tells smooth heads from ReLU while SimSiam trains: samples of "
        "linear and ReLU heads with a negative one under the cosine loss, none (5 %)",
        published="epochs with lambda_min < 0: Swish 69 and 72 of 100, ReLU 1 (by an estimator that misses them)",
        unit="% of samples", experiment="hessian", figure="lowest", check=sign_tells, **FILES,
    ),
    *(
        Claim(
            id=f"C6-spread{suffix}",
            statement="Standard deviation and condition number of the representation move together while SimSiam "
            f"trains: Swish, {start} start",
            published=published, unit="rank correlation", experiment="hessian", figure="spread",
            check=spread_and_condition(ordinary=bool(suffix)), **FILES,
        )
        for suffix, start, published in (("", "collapsed", 0.61), ("-ordinary", "ordinary", 0.34))
    ),
]  # fmt: skip
