"""How each claim of `claims` is judged.

Thresholds and their reasons stand in the docstrings. They were fixed from the statements themselves, and from published
numbers and an earlier prototype's where docstrings say so, before any study of this repository had been run at more
than toy size. `default` has seeds from 200 on, which nothing was tried on before.

- Statements about every grid, landscape or seed (theorems, exact numbers) are judged by the worst of them. Exact
  numbers come from two grids each.
- All others by a 95 % t-interval over seeds: supported when it lies on the claim's side of the threshold, contradicted
  when it lies on the other, inconclusive otherwise and with fewer than three seeds.
- That a schedule converges or gets stuck is judged on systems that have a trap; what happens on the author's toy, which
  has none, is judged as such.
- What holds as time goes on (C2, C3) and what holds at a finite horizon and an equal end point (C8) are separate
  claims.
- Noise models are compared at an equal trace (C7): the trace is the temperature.
"""
