"""Where a claim comes from, and what kind of claim that makes it."""

OURS = {"source": "our derivation", "kind": "derived", "published": None}
FILES = {"source": "author's result files", "kind": "published"}
FIGURES = {"source": "author's figures, seed 0", "kind": "published"}
CHECKPOINTS = {"source": "author's checkpoints, evaluated by us", "kind": "derived"}
"""Values of the published networks that the authors did not report."""
