"""How each claim of `claims` is judged.

Thresholds and their reasons stand in the docstrings. They were fixed from the statements themselves, and from an
earlier prototype's numbers where docstrings say so (one pretraining seed, eight for collapse), before the results that
are committed had been seen.

- Statements about every sample, draw or run (theorems, identities) are judged by the worst of them.
- All others by a 95 % t-interval over seeds: supported when it lies on the claim's side of the threshold, contradicted
  when it lies on the other, inconclusive otherwise and with fewer than three seeds. Pretrained networks have three
  seeds: that decides large effects only.
- "More" and "less" are judged at no difference at all; 10 % is asked for where a trend is claimed.
"""
