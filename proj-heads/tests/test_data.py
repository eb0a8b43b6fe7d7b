"""Data sets from miniature files; the real Fashion-MNIST where this machine has it."""

import gzip
import hashlib
import pickle
import re
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from proj_heads import data
from repro_shared import UserError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def miniature(n_train=6, n_test=4):
    """Name -> array of the four files."""
    rng = np.random.default_rng(0)
    arrays = []
    for n in (n_train, n_test):
        arrays += [rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)]
    return dict(zip(NAMES, arrays, strict=True))


def write(folder, arrays, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx(array)
        (folder / f"{name}{'.gz' if compress else ''}").write_bytes(gzip.compress(content) if compress else content)
    return folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without data and without a network: nothing is fetched, and the cache is empty."""
    monkeypatch.setattr(data, "SYSTEM_FOLDER", tmp_path / "usr" / "fashion-mnist")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "_from_torchvision", lambda scratch: unreachable())
    monkeypatch.setattr(data, "_from_debian", lambda scratch: unreachable())
    return tmp_path


def unreachable():
    raise RuntimeError("name or service\nnot known")


@pytest.fixture
def published(monkeypatch):
    """Declare arrays to be the published Fashion-MNIST."""

    def declare(arrays):
        hashes = {name: hashlib.sha256(idx(array)).hexdigest() for name, array in arrays.items()}
        monkeypatch.setattr(data, "_SHA256", hashes)

    return declare


@pytest.mark.parametrize("layout", [".", "FashionMNIST/raw", "raw", "fashion-mnist"])
@pytest.mark.parametrize("compress", [False, True])
def test_idx_files_in_a_folder_are_read_as_torchvision_reads_them(tmp_path, layout, compress):
    arrays = miniature()
    write(tmp_path / layout, arrays, compress)
    train = data.load("fashion-mnist", True, tmp_path)
    test = data.load("fashion-mnist", False, tmp_path)
    write(tmp_path / "peer" / "FashionMNIST" / "raw", arrays)
    for images, is_train in ((train, True), (test, False)):
        peer = datasets.FashionMNIST(tmp_path / "peer", train=is_train)
        assert torch.equal(images.x[:, 0], peer.data) and torch.equal(images.y, peer.targets)
    assert train.x.shape == (6, 1, 28, 28) and train.x.dtype == torch.uint8 and len(test) == 4


def test_origin_names_the_files_and_says_whether_they_are_the_published_ones(tmp_path, published):
    arrays = miniature()
    write(tmp_path, arrays, compress=True)
    assert "NOT the published" in data.load("fashion-mnist", True, tmp_path).origin
    published(arrays)
    origin = data.load("fashion-mnist", True, tmp_path).origin
    assert f"{tmp_path}/train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz: the published" in origin
    published(arrays | {"train-labels-idx1-ubyte": arrays["t10k-labels-idx1-ubyte"]})  # one file differs
    assert "NOT the published" in data.load("fashion-mnist", True, tmp_path).origin


def test_a_given_folder_comes_first_then_the_system_then_the_cache(nowhere, published):
    arrays = miniature()
    published(arrays)
    write(nowhere / "cache" / "proj-heads" / "fashion-mnist", arrays)
    assert str(nowhere / "cache") in data.load("fashion-mnist", True).origin
    write(data.SYSTEM_FOLDER, arrays)
    assert str(data.SYSTEM_FOLDER) in data.load("fashion-mnist", True).origin
    write(nowhere / "given", arrays)
    assert str(nowhere / "given") in data.load("fashion-mnist", True, nowhere / "given").origin


def test_a_given_folder_without_data_is_not_replaced_by_another_one(nowhere):
    write(data.SYSTEM_FOLDER, miniature())
    (nowhere / "given").mkdir()
    with pytest.raises(UserError, match="no Fashion-MNIST found in .*given"):
        data.load("fashion-mnist", True, nowhere / "given")


def test_other_files_in_a_place_of_ours_are_refused(nowhere):
    write(data.SYSTEM_FOLDER, miniature())
    with pytest.raises(UserError, match="does not hold the published Fashion-MNIST"):
        data.load("fashion-mnist", True)


def test_nothing_to_be_had_is_one_line_with_three_ways(nowhere):
    for download in (None, False):
        with pytest.raises(UserError) as error:
            data.load("fashion-mnist", True, download=download)
        message = str(error.value)
        assert "\n" not in message
        assert "dataset-fashion-mnist" in message and "--data-dir" in message and "--data digits" in message
        assert ("not known" in message) == (download is None)  # why fetching failed


def damaged(content, how):
    return {
        "cut": content[:-9],
        "long": content + b"\0",
        "header": content[:6],
        "type": content[:2] + b"\x0d" + content[3:],
        "empty": b"",
    }[how]


@pytest.mark.parametrize("how", ["cut", "long", "header", "type", "empty"])
def test_a_damaged_idx_file_is_named(tmp_path, how):
    write(tmp_path, miniature())
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(UserError, match=f"{path} .*get it again") as error:
        data.load("fashion-mnist", True, tmp_path)
    assert "\n" not in str(error.value)
    data.load("fashion-mnist", False, tmp_path)  # the test set is whole


@pytest.mark.parametrize("how", ["cut", "flipped", "plain"])
def test_a_damaged_gz_file_is_named(tmp_path, how):
    write(tmp_path, miniature(), compress=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum
    path.write_bytes({"cut": path.read_bytes()[:-20], "flipped": bytes(content), "plain": b"not gzip"}[how])
    with pytest.raises(UserError, match=f"{path} cannot be read"):
        data.load("fashion-mnist", True, tmp_path)


def test_images_and_labels_that_do_not_belong_together_are_refused(tmp_path):
    arrays = miniature()
    write(tmp_path, arrays | {"train-labels-idx1-ubyte": arrays["t10k-labels-idx1-ubyte"]})
    with pytest.raises(UserError, match=r"\(6, 28, 28\) and \(4,\): expected n images and n labels"):
        data.load("fashion-mnist", True, tmp_path)


def test_fetching_falls_back_to_debian_and_happens_once(nowhere, published, monkeypatch):
    arrays, calls = miniature(), []
    published(arrays)

    def from_debian(scratch):
        calls.append(scratch)
        (scratch / "rest").mkdir()
        return write(scratch / "unpacked", arrays, compress=True)

    monkeypatch.setattr(data, "_from_debian", from_debian)
    cache = nowhere / "cache" / "proj-heads"
    (cache / "fashion-mnist.partial").mkdir(parents=True)  # a process was killed here
    (cache / "fashion-mnist").mkdir()
    (cache / "fashion-mnist" / NAMES[0]).write_bytes(b"incomplete")
    with ThreadPoolExecutor(4) as pool:  # they all want it at once
        loaded = list(pool.map(lambda train: data.load("fashion-mnist", train), [True, True, False, True]))
    assert len(calls) == 1 and [len(images) for images in loaded] == [6, 6, 4, 6]
    assert sorted(path.name for path in cache.iterdir()) == ["fashion-mnist", "fashion-mnist.lock"]
    assert sorted(path.name for path in (cache / "fashion-mnist").iterdir()) == sorted(f"{n}.gz" for n in NAMES)


def test_a_failed_fetch_leaves_nothing(nowhere):
    with pytest.raises(UserError, match="cannot fetch"):
        data.load("fashion-mnist", True)
    assert [path.name for path in (nowhere / "cache" / "proj-heads").iterdir()] == ["fashion-mnist.lock"]


def test_a_cache_that_cannot_be_written_is_one_line(nowhere, monkeypatch):
    (nowhere / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "file"))
    with pytest.raises(UserError, match="cannot write to .*XDG_CACHE_HOME"):
        data.load("fashion-mnist", True)


def test_debian_route_downloads_and_unpacks_without_root(tmp_path, monkeypatch):
    """With stand-ins for apt-get and dpkg that leave a package in the working folder and its tree below another one."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "apt-get").write_text('#!/bin/sh\n[ "$1" = download ] && touch "$3_1-1_all.deb"\n')
    unpacked = 'mkdir -p "$3/usr/share/datasets/fashion-mnist"'
    (tools / "dpkg").write_text(f'#!/bin/sh\n[ "$1" = -x ] && [ -e "$2" ] && {unpacked}\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert data._from_debian(scratch).is_dir()
    (tools / "apt-get").write_text("#!/bin/sh\necho W: first >&2; echo E: Unable to locate package >&2; exit 100\n")
    with pytest.raises(RuntimeError, match="^E: Unable to locate package$"):
        data._from_debian(scratch)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="not a Debian system"):
        data._from_debian(scratch)


def test_digits_are_scikit_learns_with_every_image_in_one_part():
    from sklearn.datasets import load_digits

    train, test = data.load("digits", True), data.load("digits", False)
    x, y = load_digits(return_X_y=True)
    assert len(train) == 1347 and len(test) == 450 and train.x.shape[1:] == (1, 28, 28)
    assert torch.equal(torch.cat([train.y, test.y]), torch.from_numpy(y).long())
    assert test.y.bincount().min() >= 40  # every class is there
    for part, first in ((train, 0), (test, 1347)):
        grey = Image.fromarray((x[first].reshape(8, 8) * 255 / 16).astype(np.float32))
        resized = np.asarray(grey.resize((28, 28), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(part.x[0, 0].numpy(), resized, atol=0.51)


@pytest.fixture
def cifar_folder(tmp_path, monkeypatch):
    """Miniature CIFAR-10 in torchvision's layout, with torchvision told its md5s."""
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    rng = np.random.default_rng(0)

    def write_pickle(name, content):
        raw = pickle.dumps(content)
        (base / name).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    def batch():
        return {"data": rng.integers(0, 256, (3, 3072), dtype=np.uint8), "labels": [0, 1, 9]}

    cifar = datasets.CIFAR10
    monkeypatch.setattr(cifar, "train_list", [[name, write_pickle(name, batch())] for name in ("b1", "b2")])
    monkeypatch.setattr(cifar, "test_list", [["t", write_pickle("t", batch())]])
    meta = {"filename": "meta", "key": "label_names", "md5": write_pickle("meta", {"label_names": list("abc")})}
    monkeypatch.setattr(cifar, "meta", meta)
    return tmp_path


def test_cifar_is_read_from_torchvisions_layout(cifar_folder):
    images = data.load("cifar10", True, cifar_folder)
    raw = pickle.loads((cifar_folder / "cifar-10-batches-py" / "b2").read_bytes())["data"]
    assert images.x.shape == (6, 3, 32, 32) and images.y.tolist() == [0, 1, 9, 0, 1, 9]
    assert images.x[3:].flatten(1).numpy().tolist() == raw.tolist()  # stored as channels, rows, columns
    assert len(data.load("cifar10", False, cifar_folder / "cifar-10-batches-py")) == 3
    assert "the published CIFAR10" in images.origin


def test_a_pickle_with_another_md5_is_not_opened(cifar_folder):
    class Bomb:
        def __reduce__(self):
            return (open, (str(cifar_folder / "exploded"), "w"))

    (cifar_folder / "cifar-10-batches-py" / "b2").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="undamaged CIFAR10"):
        data.load("cifar10", True, cifar_folder)
    assert not (cifar_folder / "exploded").exists()


def test_cifar_is_not_downloaded_unless_asked_for(nowhere, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR100, "download", lambda self: pytest.fail("downloaded"))
    with pytest.raises(UserError, match="--data-dir .*cifar-100-python, or fetch it there with `python -c") as error:
        data.load("cifar100", True)
    assert "\n" not in str(error.value)
    asked = []
    monkeypatch.setattr(datasets.CIFAR100, "download", lambda self: asked.append(self.root))
    with pytest.raises(UserError):  # as nothing is fetched
        exec(re.search('python -c "(.*)"', str(error.value)).group(1))
    assert list(map(Path, asked)) == [data.cache_directory()]
    monkeypatch.setattr(datasets.CIFAR100, "download", lambda self: unreachable())
    with pytest.raises(UserError, match="name or service not known"):
        data.load("cifar100", True, download=True)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="unknown data set 'mnist': choose from fashion-mnist, digits"):
        data.load("mnist", True)


def test_floats_are_in_0_1_and_floats_stay():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert data.to_float(x).tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert data.to_float(data.to_float(x)) is not x and torch.equal(data.to_float(data.to_float(x)), data.to_float(x))


def test_a_subset_keeps_images_with_their_labels():
    images = data.load("digits", False)
    part = images.subset(torch.tensor([5, 2]))
    assert torch.equal(part.x, images.x[[5, 2]]) and part.y.tolist() == [images.y[5], images.y[2]]
    assert len(images.subset(slice(7))) == 7 and part.origin == images.origin


def test_importing_the_module_does_not_import_torchvision_or_scikit_learn():
    code = "import sys, proj_heads.augment, proj_heads.probes; print({'torchvision', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_the_real_fashion_mnist_is_whole():
    if data._first_complete([data.SYSTEM_FOLDER, data.cache_directory() / "fashion-mnist"]) is None:
        pytest.skip("this machine has no Fashion-MNIST yet")
    train, test = (data.load("fashion-mnist", part, download=False) for part in (True, False))
    assert train.x.shape == (60000, 1, 28, 28) and test.x.shape == (10000, 1, 28, 28)
    assert train.y.bincount().tolist() == [6000] * 10 and test.y.bincount().tolist() == [1000] * 10
    assert abs(data.to_float(train.x[:10000]).mean() - 0.286) < 0.003  # the published mean
    assert ": the published Fashion-MNIST" in train.origin
