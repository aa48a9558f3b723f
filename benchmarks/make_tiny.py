"""Make the tiny language model that comes with the package, and the forecasts of its answers.

    python -m benchmarks.make_tiny --out src/soonest/engines/tiny/model

Makes its text, trains a tokenizer and a Llama of about a million parameters on the CPU, asks it thousands of questions,
fits a predictor on the lengths of its answers, and writes a Hugging Face model folder with a card and the predictor in
`forecasts/`. One thread, and the same weights for the same seed, PyTorch and machine. `--steps 50 --questions 200` is a
quick trial. Needs the extras `encoder` and `text`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from benchmarks.tiny.answers import Answer, answers, scores
from benchmarks.tiny.card import Measured, model_card
from benchmarks.tiny.corpus import ASSISTANT, END, PAD, SYSTEM, TEMPLATE, USER, make_tokenizer
from benchmarks.tiny.train import Size, Trained, make_model, train
from transformers import GenerationConfig, PreTrainedTokenizerFast

from soonest.core import Prompt
from soonest.engines.tiny import NAME
from soonest.engines.tiny.tasks import Dice, Example, example
from soonest.predict import Card, Predictor, predictor
from soonest.report.forecasts import assess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenizers import Tokenizer

OUT: Final = Path(__file__).parents[1] / "src" / "soonest" / "engines" / "tiny" / "model"
PREDICTOR: Final = "conformal(text)"
TEXT_SEED, TOKENIZER_SEED, LEARN_SEED, TEST_SEED = 1000, 2000, 3000, 4000
"""Added to the seed given, so that no question is drawn from the stream of another part."""


def sampling(model: Any) -> GenerationConfig:
    """How the model samples where a request does not say."""
    config = model.config
    return GenerationConfig(
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        do_sample=True,
        temperature=1.0,
        top_p=0.95,
        max_length=config.max_position_embeddings,
    )


def write(model: Any, tokenizer: Tokenizer, out: Path) -> None:
    """The model's folder, with weights in half precision; what was there goes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    model.half().save_pretrained(out)
    model.float()
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]  # where readers from before Transformers 5 look
    write_json(out / "config.json", config)
    tokenizer.save(str(out / "tokenizer.json"))
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": PAD,
            "additional_special_tokens": [SYSTEM, USER, ASSISTANT],
            "model_max_length": model.config.max_position_embeddings,
            "clean_up_tokenization_spaces": False,
            "padding_side": "left",
            "chat_template": TEMPLATE,
        },
    )
    for file in out.iterdir():
        file.chmod(0o644)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """As Transformers writes it."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def asked_of(drawn: bool, asked: Sequence[Example]) -> list[Prompt]:  # noqa: FBT001 - the answers' kind
    """The questions as a predictor sees them; of drawn answers, half the requests state the temperature."""
    warmth = [(1.0 if i % 2 else None) if drawn else 0.0 for i in range(len(asked))]
    return [
        Prompt.of(one.prompt, temperature=warm, conversation=one.prompt)
        for one, warm in zip(asked, warmth, strict=True)
    ]


def measures(
    made: Predictor, prompts: Sequence[Prompt], said: Sequence[Answer], learned: Sequence[int]
) -> Mapping[str, float]:
    """Of forecasts beside the answers that came."""
    tokens, cut = [one.tokens for one in said], [not one.ended for one in said]
    return assess(made.predict(prompts), tokens, cut, [one.conversation for one in prompts], learned).measures


def forecasts(model: Any, tokenizer: Tokenizer, seed: int, questions: int, out: Path) -> Measured:
    """Fit a predictor on one half of twice as many questions, and measure it, and the model, on the other."""
    parts: dict[int, tuple[list[Example], list[list[Answer]], list[Prompt]]] = {}
    for part in (LEARN_SEED, TEST_SEED):
        dice = Dice(seed + part)
        asked = [example(dice) for _ in range(questions)]
        said = [answers(model, tokenizer, asked, drawn=drawn, seed=seed + part) for drawn in (False, True)]
        parts[part] = asked, said, asked_of(False, asked) + asked_of(True, asked)  # noqa: FBT003
    _, learned, prompts = parts[LEARN_SEED]
    lengths = [one.tokens for one in learned[0] + learned[1]]
    cut = [not one.ended for one in learned[0] + learned[1]]
    made = predictor(PREDICTOR).fit(prompts, lengths, cut)
    asked, (greedy, drawn), test = parts[TEST_SEED]
    both = measures(made, test, greedy + drawn, lengths)
    apart = [
        measures(made, part, said, lengths) for part, said in ((test[:questions], greedy), (test[questions:], drawn))
    ]
    data = f"answers of {NAME}, greedy and drawn, to questions of its own tasks"
    stated = {key: value for key, value in both.items() if math.isfinite(value)}
    made.card_ = Card((NAME,), data, len(lengths), 0.9, stated)
    made.save_pretrained(out / "forecasts")
    return Measured(scores(asked, greedy), scores(asked, drawn), greedy, drawn, both, *apart)


def main() -> None:
    """Make everything, and print the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="the model's folder; what is there is replaced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=Size().steps, help="of training")
    parser.add_argument("--questions", type=int, default=700, help="asked to fit the forecasts, and as many to test")
    parser.add_argument("--reuse", action="store_true", help="the model is there: make the forecasts and the card anew")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size = Size(steps=given.steps)
    log = given.out / "training.json"
    if given.reuse:
        from transformers import LlamaForCausalLM  # noqa: PLC0415

        model = LlamaForCausalLM.from_pretrained(given.out, dtype=torch.float32)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(given.out).backend_tokenizer
        trained = Trained(**json.loads(log.read_text(encoding="utf-8")))
    else:
        tokenizer = make_tokenizer(given.seed + TOKENIZER_SEED)
        model = make_model(size, tokenizer, given.seed)
        trained = train(model, tokenizer, size, given.seed + TEXT_SEED)
        model.generation_config = sampling(model)
        write(model, tokenizer, given.out)
        write_json(log, asdict(trained))
    measured = forecasts(model, tokenizer, given.seed, given.questions, given.out)
    command = f"python -m benchmarks.make_tiny --seed {given.seed} --steps {given.steps} --questions {given.questions}"
    parameters = sum(p.numel() for p in model.parameters())
    card = model_card(size, trained, measured, command, parameters, tokenizer.get_vocab_size())
    (given.out / "README.md").write_text(card, encoding="utf-8")
    print(card)


if __name__ == "__main__":
    main()
