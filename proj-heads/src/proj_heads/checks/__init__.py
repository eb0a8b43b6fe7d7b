"""How each claim of `claims` is judged.

Thresholds and their reasons stand in the docstrings. They were fixed from the statements themselves, and from an
earlier prototype's numbers where docstrings say so (one pretraining seed, eight for collapse). These came, or were
changed, after runs of seeds 0 to 2 (pretraining), 0 to 15 (collapse) or 0 to 7 (flow, theory) had been seen:

- C12-dino-curvature and C12-decorrelating-curvature are judged on raw vectors, as published; the first run judged unit
  vectors, which C12-dino-curvature-unit keeps. That makes C12-dino-curvature agree with the author.
- C12-dino-collapsed-cosine and -curvature, and the cells of DINO without batch norm, were added to explain the others.
- C5 to C7 of `collapse` and `flow` were written, thresholds included, with counts of seeds 0 to 7 at hand; the rules of
  collapse and escape are older. A path of the flow was first too inexact to count at a deviation of 10 %; one ReLU path
  (19 %) that comes nowhere near escape fell out by it, so that now it is a deviation that could change the answer.
  Seeds 8 to 15 then answered differently whether most linear heads escape, and whether fewer than half of Swish ones.
- C12-universal takes the least objective of each seed (before: of the means), and ratios in C12 have geometric means.

So `default` runs on other seeds: 3 to 5 for pretraining, 16 to 23 for collapse and flow. Nothing was changed after
these had been seen. Exact statements (theory) are judged on seeds 0 to 7 again: no draw may break them.

- Statements about every sample, draw or run (theorems, identities) are judged by the worst of them.
- All others by a 95 % t-interval over seeds: supported when it lies on the claim's side of the threshold, contradicted
  when it lies on the other, inconclusive otherwise and with fewer than three seeds. Pretrained networks have three
  seeds: that decides large effects only.
- Shares of runs have Wilson's 95 % interval instead. "Heads of this kind escape" is read as: most of their runs do.
- "More" and "less" are judged at no difference at all; 10 % is asked for where a trend is claimed.
"""
