"""What the paper folders share: run logs, claims, plots and reports. Importing the package itself costs nothing.

files.py       UserError; files that are whole or absent
provenance.py  what a result depends on: config, code, package versions, machine
workers.py     running a cell in a worker: local processes or a Dask cluster
results.py     the recorded numbers as tables
runlog.py      the folder of a run: cells, resume, log, metrics
claims.py      the claims of a paper and their verdicts
plotting.py    one figure style and the plot forms that recur
report.py      Markdown, HTML and terminal reports
"""

from repro_shared.files import UserError

__all__ = ["UserError"]
__version__ = "0.1.0"
