"""Where a claim comes from, and what kind of claim that makes it."""

OURS = {"source": "our derivation", "kind": "derived", "published": None}
THEOREM = {"source": "predecessor (2025), theorems; Hajek 1988, Holley, Kusuoka and Stroock 1989", "kind": "theorem",
           "published": None}  # fmt: skip
FILES = {"source": "author's result files (follow-up)", "kind": "published"}
TABLE = {"source": "predecessor (2025), table 1: CIFAR-10, three seeds", "kind": "published"}
"""The workshop paper's full text was not available to us: see the README."""
