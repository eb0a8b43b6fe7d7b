"""How each claim of `claims` is judged.

Thresholds and their reasons stand in the docstrings. They were fixed from the statements themselves, and from the
published numbers and an earlier prototype's where docstrings say so, before a full run of this repository. Our recipe
`multi_query` was chosen on seeds 0 to 2, and so were sizes and steps of small networks: `default` has seeds from 3 on,
`paper` the published ones. When thresholds were fixed, one network of each task (seed 0) was at hand for `mechanism`,
learning curves of a few small ones (seeds 0 to 2) for `ablations`, none for the others. None was changed after that.

- Statements about every sample, row or seed (theorems, identities) are judged by the worst of them.
- All others by a 95 % t-interval over seeds: supported when it lies on the claim's side of the threshold, contradicted
  when it lies on the other, inconclusive otherwise and with fewer than three seeds. Trained networks have three seeds:
  that decides large effects only.
- Gaps to a reference are paired (same queries), so that what all rules get wrong does not blur them.
"""
