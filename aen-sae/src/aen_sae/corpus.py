"""Text sources and their packing into token windows.

A source is an iterator over documents (strings):

- `docstrings`    documentation of installed Python packages, read with `ast`: nothing is imported or run (ours);
- `text_files`    a folder of the user's own text;
- `dataset_texts` a Hugging Face dataset, streamed: the paper's "EleutherAI/the_pile_deduplicated", or local files
  through the very same path.

`TokenWindows` packs documents as the authors do: token ids one after another with one EOS after each document, cut into
windows of equal length (the paper: 128) that pay no heed to where documents end; no BOS.
"""

import ast
import hashlib
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from repro_shared import UserError

PACKAGES = tuple(
    "argparse asyncio collections difflib doctest email inspect logging pydoc_data statistics typing unittest "
    "numpy.lib numpy.linalg numpy.ma numpy.polynomial scipy.linalg scipy.optimize scipy.signal scipy.stats".split()
)
"""Packages of the default corpus: parts of the standard library, numpy and scipy (about 1.4 M SmolLM2 tokens; ours)."""


def docstrings(packages: Sequence[str] = PACKAGES, seed: int = 0) -> Iterator[str]:
    """Documents of installed packages, in an order that is shuffled by `seed` so that any beginning is a fair mixture.

    A document is all docstrings of one module file, in their order in the file, or one entry of `pydoc_data.topics`
    (the text of the Python language reference). The text depends on the versions that are installed: record
    `token_hash`.
    """
    units = [unit for package in packages for path in _module_files(package) for unit in _units(path)]
    for index in np.random.default_rng(seed).permutation(len(units)):
        unit = units[index]
        text = unit if isinstance(unit, str) else "\n\n".join(_docstrings(ast.parse(unit.read_bytes())))
        if text:
            yield text


def _module_files(package: str) -> list[Path]:
    """The .py files of a package or module in the order of their names, tests left out. Only paths are looked up."""
    top, *parts = package.split(".")
    spec = importlib.util.find_spec(top)  # a top-level name: finding it imports nothing
    if spec is None or spec.origin is None:
        raise UserError(
            f"package {top!r} of the docstring corpus is not installed: install it or choose other packages"
        )
    origin = Path(spec.origin)
    path = origin.parent.joinpath(*parts) if origin.name == "__init__.py" else origin
    if path.is_dir():
        return sorted(file for file in path.rglob("*.py") if "tests" not in file.relative_to(path).parts)
    return [path.with_suffix(".py")]


def _units(path: Path) -> list[Path | str]:
    """What is one document each: the file, to be parsed when its turn comes, or the entries of `pydoc_data.topics`."""
    if path.parts[-2:] != ("pydoc_data", "topics.py"):
        return [path]
    assignments = [node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.Assign)]
    return [text for node in assignments for text in ast.literal_eval(node.value).values()]


def _docstrings(node: ast.AST) -> Iterator[str]:
    """Docstrings of a syntax tree in their order in the file."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if text := ast.get_docstring(node):
            yield text
    for statement in getattr(node, "body", []):
        yield from _docstrings(statement)


def text_files(folder: str | Path) -> Iterator[str]:
    """The .txt, .md and .rst files under `folder`, in the order of their paths; one file is one document (UTF-8)."""
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".txt", ".md", ".rst"})
    if not paths:
        raise UserError(f"no .txt, .md or .rst file found under {folder}: give --text-dir a folder of text files")
    for path in paths:
        yield path.read_text(encoding="utf-8", errors="replace")


def dataset_texts(
    name: str,
    *,
    split: str = "train",
    data_files: str | Sequence[str] | None = None,
    column: str = "text",
    skip: int = 0,
) -> Iterator[str]:
    """Column `column` of a streamed Hugging Face dataset, from document number `skip` on.

    name: a hub dataset ("EleutherAI/the_pile_deduplicated"; the paper skips 10,000 documents for Pythia, 50,000 for
    Llama, and validates on the ones skipped), or a format ("json", "text", "parquet") with local `data_files`. Nothing
    is kept on disk.
    """
    import datasets  # 1 s; the default corpus does not need it

    try:
        stream = datasets.load_dataset(name, data_files=data_files, split=split, streaming=True)
        for row in stream.skip(skip):
            yield row[column]
    except Exception as error:  # only `datasets` and the network run here, and they raise many kinds of errors
        reason = str(error).strip().partition("\n")[0].rstrip(". ")
        raise UserError(
            f"cannot stream the dataset {name!r}, split {split!r}, column {column!r} ({reason}): "
            "check the name and the network, or give your own text with --text-dir"
        ) from error


class TokenWindows:
    """Iterator over windows (context_size,) of token ids: documents with one EOS after each; a short rest is dropped.

    It can stop anywhere and go on in another process: `state_dict()` there, `load_state_dict(state)` here on a new
    object over the same documents, before its first window. The state is the number of documents read and the tokens
    not yet handed out.
    """

    def __init__(self, documents: Iterator[str], tokenizer: PreTrainedTokenizerBase, context_size: int = 128):
        if context_size < 2:
            raise ValueError(f"context_size = {context_size}: a window needs at least 2 tokens to have a next token")
        self._documents, self._tokenizer, self.context_size = iter(documents), tokenizer, context_size
        self._documents_read = 0
        self._pending = np.empty(0, dtype=np.int32)

    def __iter__(self) -> "TokenWindows":
        return self

    def __next__(self) -> Int[np.ndarray, " context_size"]:
        parts, length = [self._pending], len(self._pending)
        while length < self.context_size:
            text = next(self._documents)  # StopIteration ends the windows too
            ids = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            parts.append(np.array([*ids, self._tokenizer.eos_token_id], dtype=np.int32))
            self._documents_read += 1
            length += len(parts[-1])
        tokens = np.concatenate(parts)
        window, self._pending = tokens[: self.context_size], tokens[self.context_size :]
        return window

    def state_dict(self) -> dict:
        """Where the iterator is, as plain JSON values."""
        return {"documents_read": self._documents_read, "pending": self._pending.tolist()}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was taken."""
        if self._documents_read:
            raise ValueError("load_state_dict must come before the first window is drawn")
        self._documents = itertools.islice(self._documents, state["documents_read"], None)
        self._documents_read = state["documents_read"]
        self._pending = np.array(state["pending"], dtype=np.int32)


def take_windows(windows: Iterator[Int[np.ndarray, " seq"]], count: int) -> Int[np.ndarray, "count seq"]:
    """The next `count` windows as one array; fewer than that is a `UserError`."""
    taken = list(itertools.islice(windows, count))
    if len(taken) < count:
        raise UserError(
            f"the text gives only {len(taken)} of {count} token windows: give more text or ask for fewer windows"
        )
    return np.stack(taken)


def token_hash(windows: Int[np.ndarray, "windows seq"]) -> str:
    """16 hex digits that name these windows: the text of installed packages changes with their versions."""
    ids = np.ascontiguousarray(windows, dtype=np.int32)
    return hashlib.sha256(str(ids.shape).encode() + ids.tobytes()).hexdigest()[:16]
