"""Where `benchmarks/vllm_benefit.py` runs vLLM: on one thread of a processor, or on a GPU."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from soonest.engines import tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LLAMA_8B: Final = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "vocab_size": 128256,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
"""The shape of Llama 3 8B, whose weights can be anything here: every answer's length is set."""


@dataclass(frozen=True)
class Place:
    """Where vLLM runs, and what.

    Attributes:
        budget: tokens of an iteration.
        now: seconds.
        steady: whether the machine's speed is its own, and nothing to correct for.
        together: iterations that are fitted as one, by their means. The host launches an iteration while the device is
            at the one before, so a single one's time can be that of another.
        arguments: vLLM's.
    """

    slots: int
    budget: int
    now: Callable[[], float]
    steady: bool
    together: int
    arguments: Mapping[str, Any]


def processor() -> Place:
    """The model that comes with the package on one thread."""
    arguments = {"model": str(tiny.path()), "dtype": "float32", "enforce_eager": True}
    return Place(4, 512, time.thread_time, steady=False, together=1, arguments=arguments)


def gpu(folder: Path) -> Place:
    """A model as large as Llama 3 8B with random weights, whose configuration is written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(LLAMA_8B))
    arguments = {
        "model": str(folder),
        "dtype": "bfloat16",
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "attention_backend": "TRITON_ATTN",
        "compilation_config": {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY", "custom_ops": ["none"]},
    }
    return Place(16, 2048, time.perf_counter, steady=True, together=8, arguments=arguments)
