"""A model and its tokenizer from a folder or the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from soonest.engines.embedded.errors import EngineError
from soonest.engines.embedded.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_LENGTH = 8192
"""Longest prompt and answer together unless asked for more: the memory of a small machine."""
SMALL_PARAMETERS = 50_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model: the network, its tokenizer, how long a text it takes, which tokens end an answer."""

    name: str
    network: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    max_length: int
    ends: tuple[int, ...]
    usual: Sampling
    """How tokens are drawn where a request does not say: as the model's own generation config has it."""

    @property
    def is_small(self) -> bool:
        """Whether a second thread costs more than it brings."""
        return bool(self.network.num_parameters() < SMALL_PARAMETERS)

    @property
    def vocabulary(self) -> int:
        """Tokens that there are."""
        return int(self.network.config.get_text_config().vocab_size)


def load(
    place: str,
    *,
    name: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    revision: str | None = None,
) -> Model:
    """Read a model folder, or a repository of the hub unless `HF_HUB_OFFLINE` is set; code in it is never run.

    It is called `name`, or as its folder or repository is.

    Raises:
        EngineError: no such model, no causal language model, or a device that is not there.
    """
    disable_progress_bar()
    where = _device(device)
    try:
        config = AutoConfig.from_pretrained(place, revision=revision, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision, trust_remote_code=False)
        network = AutoModelForCausalLM.from_pretrained(
            place,
            config=config,
            revision=revision,
            trust_remote_code=False,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            attn_implementation="sdpa",
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise EngineError(f"cannot load the model {place!r}: {str(error).splitlines()[0]}") from error
    if not tokenizer.is_fast:
        raise EngineError(f"{place}: its tokenizer has no tokenizer.json, which streaming needs")
    text = config.get_text_config()
    longest = int(getattr(text, "max_position_embeddings", None) or MOST_LENGTH)
    if max_length is not None and max_length > longest:
        raise EngineError(f"{place} takes at most {longest} tokens, prompt and answer together, not {max_length}")
    usual = getattr(network, "generation_config", None)
    return Model(
        name=name or (Path(place).resolve().name if Path(place).is_dir() else place),
        network=network.to(where).eval(),
        tokenizer=tokenizer,
        max_length=max_length or min(longest, MOST_LENGTH),
        ends=_ends(usual, tokenizer),
        usual=_usual(usual),
    )


def _device(word: str) -> str:
    if word == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if word == "cuda" and not torch.cuda.is_available():
        raise EngineError("no CUDA device is at hand: take --device cpu, or install a CUDA build of torch")
    return word


def _ends(usual: Any, tokenizer: Any) -> tuple[int, ...]:
    found = getattr(usual, "eos_token_id", None)
    ends = [found] if isinstance(found, int) else list(found or [])
    if tokenizer.eos_token_id is not None:
        ends.append(tokenizer.eos_token_id)
    return tuple(dict.fromkeys(int(end) for end in ends))


def _usual(usual: Any) -> Sampling:
    """As the generation config says; without one, as OpenAI's API has it: temperature 1."""
    said: Mapping[str, Any] = {} if usual is None else usual.to_dict()
    if said.get("do_sample") is False:
        return Sampling(temperature=0.0)

    def number(key: str, default: float) -> float:
        value = said.get(key)
        return default if value is None or not said.get("do_sample") else value

    return Sampling(
        temperature=float(number("temperature", 1.0)),
        top_p=float(number("top_p", 1.0)),
        top_k=int(number("top_k", 0)),
        min_p=float(number("min_p", 0.0)),
        repetition=float(number("repetition_penalty", 1.0)),
    )
