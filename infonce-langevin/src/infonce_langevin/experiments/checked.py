"""One check that several experiments' configs need."""

import math


def require_positive(cell, *names: str) -> None:
    """Raise a ValueError that says what to do unless these fields are finite and > 0, all entries of a tuple."""
    for name in names:
        value = getattr(cell, name)
        if value == ():
            raise ValueError(f"{name} is empty; choose at least one number > 0")
        if not all(math.isfinite(entry) and entry > 0 for entry in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name} = {value}; choose numbers > 0")
