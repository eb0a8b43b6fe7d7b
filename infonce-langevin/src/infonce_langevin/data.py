"""Image data: Fashion-MNIST, scikit-learn's digits and CIFAR-10, as uint8 tensors in memory.

Nothing stands in for a data set that cannot be had, and `Images.origin` says which files the images came from.

Fashion-MNIST (`default`) is looked for in a folder given by the user, else in `SYSTEM_FOLDER` and in the user's cache;
where none of them has it, it is fetched into the cache: by torchvision, and where that host cannot be reached from
Debian's package `dataset-fashion-mnist` (`apt-get download` and `dpkg -x`, neither of which needs root). CIFAR
(`paper`) is read from a folder in torchvision's layout and downloaded only when asked for. Digits are part of
scikit-learn.
"""

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import socket
import subprocess
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from repro_shared import UserError
from repro_shared.files import storage

Name = Literal["fashion-mnist", "digits", "cifar10"]

SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` is installed."""

_FILES = {
    True: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    False: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Images and labels of the training (True) and the test set; each may end in .gz."""

_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""Of the unpacked published files: Debian has compressed them anew, so the archives' own hashes differ."""

_DEBIAN_PACKAGE = "dataset-fashion-mnist"
_DIGITS_TRAIN = 1347
"""The first three quarters of the 1797 digits, in the file's order, are the training set, the others the test set."""


@dataclass(frozen=True)
class Images:
    """Images and their classes."""

    x: UInt8[Tensor, "n channels height width"]
    y: Int64[Tensor, " n"]
    name: str
    origin: str
    """The files they came from, and whether those are the published ones."""

    def __len__(self) -> int:
        return len(self.y)

    def subset(self, index: Int[Tensor, " m"] | slice) -> "Images":
        """The images of an index or a slice."""
        return replace(self, x=self.x[index], y=self.y[index])

    def to(self, device: str | torch.device) -> "Images":
        """The same images on another device."""
        return replace(self, x=self.x.to(device), y=self.y.to(device))


def load(name: Name, train: bool, folder: str | Path | None = None, download: bool | None = None) -> Images:
    """The training or the test set of a data set.

    folder: the only place to look in, where given. For Fashion-MNIST one that holds the four idx files (plain or .gz)
        or torchvision's `FashionMNIST/raw`; for CIFAR one that holds `cifar-10-batches-py`.
        Other idx files under the published names are taken too; `origin` says that they are not the published ones.
    download: whether to fetch what is not there, into `folder` or the cache. None: only Fashion-MNIST (31 MB) and only
        when no folder was given.

    CIFAR's published files are pickles: torchvision opens them after it has checked the md5 of each.

    Raises UserError when the data cannot be had or are damaged.
    """
    if name not in get_args(Name):
        raise ValueError(f"unknown data set {name!r}: choose from {', '.join(get_args(Name))}")
    folder = Path(folder) if folder is not None else None
    if name == "digits":
        return _digits(train)
    if name == "fashion-mnist":
        return _fashion_mnist(train, folder, download if download is not None else folder is None)
    return _cifar(train, folder, bool(download))


def cache_directory() -> Path:
    """Folder for what can be fetched again: `$XDG_CACHE_HOME/infonce-langevin`, or `~/.cache/infonce-langevin`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "infonce-langevin"


def _fashion_mnist(train: bool, folder: Path | None, download: bool) -> Images:
    home = folder if folder is not None else cache_directory()
    places = [home, home / "raw", home / "FashionMNIST" / "raw"] if folder is not None else [SYSTEM_FOLDER]
    places.append(home / "fashion-mnist")  # where it is fetched to
    found = _first_complete(places)
    if found is None and download:
        found = _fetch_fashion_mnist(home)
    if found is None:
        raise UserError(
            f"no Fashion-MNIST found in {', '.join(map(str, places))}: install Debian's package {_DEBIAN_PACKAGE}, "
            "give --data-dir a folder with the four published idx files, or use --data digits"
        )
    files = [_existing(found, name) for name in _FILES[train]]
    (x, x_published), (y, y_published) = (read_idx(file) for file in files)
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
        raise UserError(
            f"{files[0]} and {files[1]} hold arrays {x.shape} and {y.shape}: expected n images and n labels"
        )
    published = x_published and y_published
    if not published and folder is None:
        raise UserError(f"{found} does not hold the published Fashion-MNIST (its sha256 differs): remove that folder")
    origin = f"{files[0]}, {files[1].name}: {'the published' if published else 'NOT the published'} Fashion-MNIST"
    return Images(torch.from_numpy(x)[:, None], torch.from_numpy(y).long(), "fashion-mnist", origin)


def _existing(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _first_complete(folders: list[Path]) -> Path | None:
    """The first folder that has all four files."""
    names = [*_FILES[True], *_FILES[False]]
    return next((folder for folder in folders if all(_existing(folder, name) for name in names)), None)


def read_idx(path: Path) -> tuple[UInt8[np.ndarray, "..."], bool]:
    """The array in an idx file of bytes, and whether it is the published one of that name.

    idx: two zero bytes, a byte for the type (8: unsigned byte), one for the number of axes, each length as a big-endian
    uint32, then the entries. (torchvision's reader takes neither .gz nor a file shorter than its header says.)

    Raises UserError when the file is damaged.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): remove it and get it again") from error
    start = 4 + 4 * content[3] if len(content) >= 4 else 4
    if content[:3] != b"\0\0\x08" or len(content) < start:
        raise UserError(f"{path} is not an idx file of unsigned bytes: remove it and get it again")
    shape = tuple(map(int, np.frombuffer(content[4:start], dtype=">u4")))
    expected = int(np.prod(shape, dtype=object))
    if len(content) - start != expected:
        raise UserError(
            f"{path} holds {len(content) - start} entries, but its header says {shape}: remove it and get it again"
        )
    published = hashlib.sha256(content).hexdigest() == _SHA256.get(path.name.removesuffix(".gz"))
    return np.frombuffer(bytearray(content), dtype=np.uint8, offset=start).reshape(shape), published


def _fetch_fashion_mnist(home: Path) -> Path:
    """The folder `home`/fashion-mnist, fetched whole or not at all; one process fetches, others wait for it."""
    target = home / "fashion-mnist"
    with storage(home, "free space there, or set XDG_CACHE_HOME to another folder, and run the same command again"):
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "fashion-mnist.lock"):
            if _first_complete([target]) is None:
                scratch = home / "fashion-mnist.partial"
                shutil.rmtree(scratch, ignore_errors=True)  # what a killed process has left
                scratch.mkdir()
                try:
                    _fill_fashion_mnist(scratch, target)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    return target


def _fill_fashion_mnist(scratch: Path, target: Path) -> None:
    reasons = []
    for source in (_from_torchvision, _from_debian):
        try:
            fetched = source(scratch)
        except (OSError, RuntimeError) as error:
            reasons.append(_line(error))
            continue
        shutil.rmtree(target, ignore_errors=True)  # an incomplete one
        os.rename(fetched, target)
        return
    raise UserError(
        f"cannot fetch Fashion-MNIST (torchvision: {reasons[0]}; apt-get: {reasons[1]}): install Debian's package "
        f"{_DEBIAN_PACKAGE} (`apt-get update` first, where apt does not know it), give --data-dir a folder with the "
        "four published idx files, or use --data digits"
    )


def _from_torchvision(scratch: Path) -> Path:
    """torchvision checks the md5 of each archive."""
    from torchvision.datasets import FashionMNIST

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # torchvision sets none: a firewall that drops packets would stop us for ever
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            FashionMNIST(scratch, download=True)
    finally:
        socket.setdefaulttimeout(timeout)
    return scratch / "FashionMNIST" / "raw"


def _from_debian(scratch: Path) -> Path:
    """apt checks the package against the signed index of the archive."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise RuntimeError("not a Debian system")
    _command("apt-get", "download", "--quiet", _DEBIAN_PACKAGE, folder=scratch)
    package = next(scratch.glob(f"{_DEBIAN_PACKAGE}_*.deb"))
    _command("dpkg", "-x", package.name, "unpacked", folder=scratch)
    return scratch / "unpacked" / SYSTEM_FOLDER.relative_to("/")


def _command(*words: str, folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"{words[0]} failed"])[-1])


def _digits(train: bool) -> Images:
    """scikit-learn's digits, 8 x 8 with 17 grey levels, resized to 28 x 28 (bilinear)."""
    import sklearn
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    part = slice(_DIGITS_TRAIN) if train else slice(_DIGITS_TRAIN, None)
    x = torch.from_numpy(x[part]).float().view(-1, 1, 8, 8) * (255 / 16)
    x = torch.nn.functional.interpolate(x, size=(28, 28), mode="bilinear", align_corners=False).round().byte()
    origin = f"scikit-learn {sklearn.__version__}'s digits, resized from 8 x 8 to 28 x 28"
    return Images(x, torch.from_numpy(y[part]).long(), "digits", origin)


def _cifar(train: bool, folder: Path | None, download: bool) -> Images:
    from torchvision.datasets import CIFAR10

    root = folder if folder is not None else cache_directory()
    if root.name == CIFAR10.base_folder:
        root = root.parent
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            loaded = CIFAR10(root, train=train, download=download)
    except (OSError, RuntimeError) as error:  # the command line has no flag for a download
        raise UserError(
            f"no complete, undamaged CIFAR-10 in {root / CIFAR10.base_folder} ({_line(error)}): "
            f"give --data-dir a folder that holds torchvision's {CIFAR10.base_folder}, or fetch it there with "
            f"`python -c \"from infonce_langevin.data import load; load('cifar10', True, {str(root)!r}, "
            f'download=True)"`'
        ) from error
    x = torch.from_numpy(np.ascontiguousarray(loaded.data.transpose(0, 3, 1, 2)))
    origin = f"{root / CIFAR10.base_folder}: the published CIFAR-10"
    return Images(x, torch.tensor(loaded.targets), "cifar10", origin)


def _line(error: Exception) -> str:
    """The message of an exception in one line."""
    return " ".join(str(error).split()) or type(error).__name__
