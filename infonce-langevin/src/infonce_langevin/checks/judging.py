"""What the checks share: which rows they judge."""

import pandas as pd

from repro_shared.judging import per_seed
from repro_shared.results import Results


def rows(results: dict[str, Results], experiment: str, **where) -> pd.DataFrame:
    """The rows with these labels."""
    table = results[experiment].table
    for name, value in where.items():
        table = table[table[name] == value]
    return table


def seeds(table: pd.DataFrame, column: str, of: str = "mean") -> pd.Series:
    """A column by seed; missing where one of its rows is."""
    return per_seed(table[column].astype(float), table["seed"], of)
