"""Checks: result tables -> findings, with their thresholds and the reasons for them.

Thresholds were set from the statements and from the numbers of an earlier prototype (other code, other random streams),
before any run of the presets.

- Exponents are judged over seeds: the paper's fit, but one per seed (`judging.fits`), so that the interval is that of
  what varies, a seed's initial network and points; the paper's own interval takes the means of widths for independent.
  Supported when the whole 95 % t-interval is beyond the threshold, contradicted when all of it is on the other side,
  inconclusive otherwise and with fewer than three seeds. The paper's averages and tests are quoted beside it.
- "Nothing there" is a claim of equivalence: supported when the whole interval is within a margin that would not matter,
  contradicted when all of it is outside.
- Ratios of errors are averaged as logarithms within a seed. 2 is what we call a gain, 10 an order of magnitude.
- Statements about every value are decided by the worst one.
- A run that diverged has no error; its seed then has no fit, which supports nothing.
"""
