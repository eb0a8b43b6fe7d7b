"""Text sources and packing; the oracle is concatenation in one go."""

import itertools
import json
import sys

import numpy as np
import pytest
from conftest import CORPUS

from aen_sae.corpus import TokenWindows, dataset_texts, docstrings, take_windows, text_files, token_hash
from repro_shared import UserError


def packed_in_one_go(documents, tokenizer, context_size):
    ids = np.concatenate([[*tokenizer(text).input_ids, tokenizer.eos_token_id] for text in documents])
    return ids[: len(ids) // context_size * context_size].reshape(-1, context_size)


@pytest.mark.parametrize("context_size", [2, 16, 128, 500])  # 500 is longer than any document
def test_windows_are_the_documents_with_one_eos_after_each(tokenizer, context_size):
    windows = np.stack(list(TokenWindows(iter(CORPUS), tokenizer, context_size)))
    np.testing.assert_array_equal(windows, packed_in_one_go(CORPUS, tokenizer, context_size))


@pytest.mark.parametrize("taken", [0, 1, 7, 30])
def test_windows_go_on_from_a_saved_state(tokenizer, taken):
    straight = np.stack(list(TokenWindows(iter(CORPUS), tokenizer, 50)))
    first = TokenWindows(iter(CORPUS), tokenizer, 50)
    head = list(itertools.islice(first, taken))
    state = json.loads(json.dumps(first.state_dict()))
    second = TokenWindows(iter(CORPUS), tokenizer, 50)
    second.load_state_dict(state)
    np.testing.assert_array_equal(np.stack([*head, *second]), straight)


def test_a_state_is_refused_once_windows_have_been_drawn(tokenizer):
    windows = TokenWindows(iter(CORPUS), tokenizer, 50)
    state = windows.state_dict()
    next(windows)
    with pytest.raises(ValueError, match="before the first window"):
        windows.load_state_dict(state)


def test_windows_too_short_for_a_next_token_are_refused(tokenizer):
    with pytest.raises(ValueError, match="at least 2 tokens"):
        TokenWindows(iter(CORPUS), tokenizer, 1)


def test_local_datasets_stream_through_the_path_of_the_hub(text_dataset, tmp_path):
    shards = [str(text_dataset / name) for name in ("0.jsonl", "1.jsonl")]
    assert list(dataset_texts("json", data_files=shards)) == CORPUS
    assert list(dataset_texts("json", data_files=shards, skip=23)) == CORPUS[23:]
    (tmp_path / "plain.txt").write_text("one\ntwo\n")
    assert list(dataset_texts("text", data_files=str(tmp_path / "plain.txt"))) == ["one", "two"]


def test_a_dataset_that_cannot_be_had_is_one_line_that_says_what_to_do(text_dataset):
    hub = dataset_texts("EleutherAI/the_pile_deduplicated")  # conftest: HF_HUB_OFFLINE
    no_file = dataset_texts("json", data_files=str(text_dataset / "absent.jsonl"))
    no_column = dataset_texts("json", data_files=str(text_dataset / "0.jsonl"), column="body")
    for documents in (hub, no_file, no_column):
        with pytest.raises(UserError, match="--text-dir") as error:
            next(documents)
        assert "\n" not in str(error.value)


def test_text_files_are_read_in_the_order_of_their_paths(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.md").write_text("second", encoding="utf-8")
    (tmp_path / "a.txt").write_text("zürich", encoding="utf-8")
    (tmp_path / "ignored.bin").write_bytes(b"\x00\xff")
    (tmp_path / "c.txt").write_bytes(b"not \xff utf-8")
    assert list(text_files(tmp_path)) == ["zürich", "second", "not \ufffd utf-8"]


def test_an_empty_text_folder_says_so(tmp_path):
    with pytest.raises(UserError, match="no .txt, .md or .rst file"):
        next(text_files(tmp_path))


@pytest.fixture
def documented_package(tmp_path, monkeypatch):
    """A package that must not be imported."""
    package = tmp_path / "documented_package"
    (package / "tests").mkdir(parents=True)
    (package / "inner").mkdir()
    (package / "__init__.py").write_text('"""Root."""\nraise RuntimeError("imported")\n')
    (package / "silent.py").write_text("x = 1\n")
    (package / "inner" / "module.py").write_text(
        '"""Module."""\n'
        "if True:\n"
        "    class A:\n"
        '        """Class\n\n        A."""\n'
        "        def method(self):\n"
        '            """Method."""\n'
        "def last():\n"
        '    """Last."""\n'
        '    return "not a docstring"\n'
    )
    (package / "tests" / "test_it.py").write_text('"""A test."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    return "documented_package"


def test_docstrings_are_read_without_importing_the_package(documented_package):
    module = "Module.\n\nClass\n\nA.\n\nMethod.\n\nLast."
    assert sorted(docstrings([documented_package])) == [module, "Root."]
    assert list(docstrings([f"{documented_package}.inner"])) == [module]
    assert list(docstrings([f"{documented_package}.inner.module"])) == [module]
    assert documented_package not in sys.modules


def test_topics_of_the_language_reference_are_one_document_each():
    import pydoc_data.topics

    documents = list(docstrings(["pydoc_data"]))
    assert set(pydoc_data.topics.topics.values()) <= set(documents)


def test_the_order_of_docstrings_depends_on_the_seed_alone():
    packages = ["json", "logging", "pydoc_data"]
    first, again, other = (list(docstrings(packages, seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert sorted(first) == sorted(other)


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(UserError, match="'no_such_package'"):
        next(docstrings(["no_such_package.part"]))


def test_the_default_corpus_has_enough_text():
    characters = sum(map(len, docstrings()))
    assert characters > 2_000_000  # 3.4 to a token; a default run needs less than 400 k tokens


def test_too_few_windows_is_a_user_error(tokenizer):
    with pytest.raises(UserError, match="only 2 of 3 token windows"):
        take_windows(TokenWindows(iter(["x" * 100]), tokenizer, 50), 3)


def test_the_token_hash_names_tokens_and_their_cut():
    windows = np.arange(24).reshape(4, 6)
    assert token_hash(windows) == token_hash(windows.astype(np.int16))
    changed = windows.copy()
    changed[0, 0] += 1
    assert len({token_hash(windows), token_hash(changed), token_hash(windows.reshape(6, 4))}) == 3
