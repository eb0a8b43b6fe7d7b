"""Where a claim comes from, and what kind of claim that makes it."""

OURS = {"source": "our derivation", "kind": "derived", "published": None}
FILES = {"source": "author's result files", "kind": "published"}
OUR_PROTOCOL = {"source": "section 6, our protocol", "kind": "published"}


def theorem(source: str) -> dict:
    """A theorem, checked in the experiment `theory`."""
    return {"source": source, "kind": "theorem", "published": None, "experiment": "theory"}


def stated(source: str) -> dict:
    """A statement of the paper without a published number."""
    return {"source": source, "kind": "published", "published": None}
