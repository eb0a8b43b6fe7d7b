"""A full or read-only disk ends in one line that says what to do, and finished cells stay."""

import errno
import os
import subprocess
from contextlib import contextmanager

import pytest
import toy

from repro_shared.files import UserError, storage, write_atomic
from repro_shared.runlog import RunLog


@contextmanager
def mounted(folder, options):
    """A tmpfs at `folder`; skips the test where this process may not mount."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def one_line(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_disk_that_fills_up_says_so_and_the_same_command_goes_on_after_it_is_freed(experiment, tmp_path):
    cells = toy.cells(tmp_path / "trace", 6, size=10_000)  # 160 kB each
    with mounted(tmp_path / "small", "size=600k"):
        with pytest.raises(UserError) as error, experiment(cells, "small/results") as log:
            log.map()
        assert "no space left on device" in one_line(error) and "3 finished cells are kept" in one_line(error)
        subprocess.run(["mount", "-o", "remount,size=8m", tmp_path / "small"], check=True)
        with experiment(cells, "small/results") as log:
            log.map()
        assert log.results().missing == 0
        assert toy.executions(tmp_path / "trace") == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1}


def test_a_disk_that_is_full_is_known_at_construction(tmp_path):
    with mounted(tmp_path / "tiny", "size=16k"), pytest.raises(UserError, match="no space left on device"):
        RunLog("toy", "smoke", tmp_path / "tiny", "repro-shared")


def test_a_read_only_disk_is_known_at_construction(tmp_path):
    with mounted(tmp_path / "ro", "ro"), pytest.raises(UserError) as error:
        RunLog("toy", "smoke", tmp_path / "ro" / "results", "repro-shared")
    assert "read-only file system" in one_line(error) and "choose another --out" in one_line(error)


def test_a_folder_that_cannot_be_made_is_known_at_construction(tmp_path):
    (tmp_path / "file").touch()
    for out in ("/proc/results", tmp_path / "file"):
        with pytest.raises(UserError, match="choose another --out") as error:
            RunLog("toy", "smoke", out, "repro-shared")
        one_line(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_known_at_construction(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="permission denied"):
        RunLog("toy", "smoke", tmp_path / "results", "repro-shared")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_every_refusal_while_recording_is_one_line_and_keeps_finished_cells(experiment, tmp_path, monkeypatch, code):
    replace, calls = os.replace, []

    def refuse(source, target):
        calls.append(target)
        if len(calls) > 5:  # run.json, then two files for each cell
            raise OSError(code, os.strerror(code), target)
        replace(source, target)

    with pytest.raises(UserError) as error, experiment() as log:
        calls.clear()
        monkeypatch.setattr(os, "replace", refuse)
        log.map()
    assert os.strerror(code).lower() in one_line(error) and "2 finished cells are kept" in one_line(error)
    monkeypatch.setattr(os, "replace", replace)
    assert len(experiment().pending()) == 2
    assert not list(log.folder.rglob("*.tmp"))


def test_a_full_disk_met_by_a_cell_in_its_scratch_is_the_users_to_mend(experiment, tmp_path, monkeypatch):
    def full(cell, scratch):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(toy, "run", full)
    with pytest.raises(UserError, match="no space left on device"), experiment() as log:
        log.map()


def test_a_bug_that_is_an_os_error_stays_a_bug(experiment, tmp_path, monkeypatch):
    def wrong_path(cell, scratch):
        open("/nonexistent/file")

    monkeypatch.setattr(toy, "run", wrong_path)
    with pytest.raises(RuntimeError, match="FileNotFoundError"), experiment() as log:
        log.map()


def test_atomic_write_leaves_the_old_file_when_it_is_stopped(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def stop(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_storage_lets_other_errors_pass(tmp_path):
    with pytest.raises(ZeroDivisionError), storage(tmp_path):
        _ = 1 / 0
