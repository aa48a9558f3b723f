"""Predictors on disk: a folder as on the Hugging Face hub, with no pickle and no code in it.

- `config.json`: which predictor, with which arguments, and its card as JSON
- `README.md`: the card for people: model, data, coverage, error
- `weights.npz`: NumPy arrays; others bring `model.safetensors`, `model.onnx` or `tokenizer.json`
- `NAME/`: a wrapped predictor, as the same kind of folder, under the argument's name
"""

from __future__ import annotations

import json
import secrets
import shutil
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import PredictorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from soonest.predict.predictor import Predictor

FORMAT: Final = "soonest-predictor"
VERSION: Final = 1
DEEPEST: Final = 8  # predictors wrapped in each other
LARGEST_JSON: Final = 1 << 26
DAMAGE: Final = (
    OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError, RuntimeError, TypeError,
)  # fmt: skip
"""What reading a file of arrays that is none may raise."""
SAFE_FILES: Final = ["*.json", "*.npz", "*.safetensors", "*.onnx", "*.md", "*.txt"]


@dataclass(frozen=True, slots=True)
class Card:
    """What a folder says of itself: whose answers, learned from what, and how good on answers held out."""

    models: tuple[str, ...] = ()
    data: str = ""
    examples: int = 0
    coverage: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    """Measures on held-out answers by name, such as `kendall_tau`, `coverage` or `mae`."""

    def text(self, name: str) -> str:
        """The card as Markdown with a YAML header, as the hub reads it."""
        rows = "".join(f"| {key} | {value:.4g} |\n" for key, value in self.measured.items())
        return (
            "---\nlibrary_name: soonest\ntags:\n- output-length-prediction\n---\n"
            f"# Forecasts of answer lengths ({name})\n\n"
            f"Predicts how many tokens {', '.join(self.models) or 'a model'} will answer. Load it with "
            "`soonest.predict.Predictor.from_pretrained`.\n\n"
            f"- Learned from: {self.data or 'not stated'}, {self.examples:,} answers\n"
            f"- Interval promised: {'none' if self.coverage is None else f'{self.coverage:.0%} of answers'}\n\n"
            + (f"Measured on answers held out:\n\n| measure | value |\n|---|---|\n{rows}" if rows else "")
        )


def save(predictor: Predictor, folder: str | Path) -> None:
    """Write a predictor into a folder beside the target, then rename."""
    target = Path(folder).resolve()
    if target.exists() and not (target / "config.json").is_file() and (target.is_file() or any(target.iterdir())):
        raise PredictorError(f"{target}: is there and holds no predictor: choose another folder")
    part = target.with_name(f".{target.name}-{secrets.token_hex(6)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(predictor, part)
        if target.exists():
            old = part.with_name(f"{part.name}-old")
            target.rename(old)
            try:
                part.rename(target)
            except OSError:
                old.rename(target)
                raise
            shutil.rmtree(old)
        else:
            part.rename(target)
    except OSError as error:
        raise PredictorError(f"{target}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load(name: str | Path, revision: str | None = None) -> Predictor:
    """The predictor in a folder, or in a repository of the hub."""
    path = Path(name)
    return _read(path if path.is_dir() else _download(str(name), revision), DEEPEST)


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a file, or the error that names the file."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise PredictorError(f"{path}: is larger than any such file of ours")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PredictorError(f"{path}: is missing; is this the folder of a predictor?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PredictorError(f"{path}: is no JSON that can be read: {error}") from error
    if not isinstance(found, dict):
        raise PredictorError(f"{path}: need a JSON object")
    return found


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """A JSON object into a file."""
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_arrays(folder: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Arrays into `weights.npz`."""
    np.savez_compressed(folder / "weights.npz", allow_pickle=False, **arrays)


def read_arrays(folder: Path, shapes: Mapping[str, tuple[str, int]]) -> dict[str, NDArray[np.generic]]:
    """Arrays from `weights.npz`: each name with its kind (NumPy's letter: `f`, `i`, `u`) and number of dimensions."""
    path = folder / "weights.npz"
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            found = {name: file[name] for name in shapes}
    except FileNotFoundError:
        raise PredictorError(f"{path}: is missing") from None
    except DAMAGE as error:
        raise PredictorError(f"{path}: is corrupted or foreign: {error}") from error
    for name, (kind, dimensions) in shapes.items():
        array = found[name]
        if array.dtype.kind != kind or array.ndim != dimensions or (kind == "f" and not np.isfinite(array).all()):
            raise PredictorError(f"{path}: {name!r} is not what this predictor saves: {array.dtype}, {array.shape}")
    return found


def _write(predictor: Predictor, folder: Path) -> None:
    from soonest.predict.predictor import Predictor as Kind  # noqa: PLC0415 - they know each other

    folder.mkdir()
    parts = {key: value for key, value in predictor.parameters.items() if isinstance(value, Kind)}
    write_json(
        folder / "config.json",
        {
            "format": FORMAT,
            "version": VERSION,
            "predictor": predictor.name,
            "parameters": {key: value for key, value in predictor.parameters.items() if key not in parts},
            "parts": list(parts),
            "card": None if predictor.card_ is None else asdict(predictor.card_),
        },
    )
    if predictor.card_ is not None:
        (folder / "README.md").write_text(predictor.card_.text(predictor.name), encoding="utf-8")
    for key, part in parts.items():
        _write(part, folder / key)
    predictor.save_state(folder)


def _read(folder: Path, depth: int) -> Predictor:
    from soonest.predict.registry import PREDICTORS  # noqa: PLC0415 - it names every predictor, which all use this

    path = folder / "config.json"
    config = read_json(path)
    if config.get("format") != FORMAT:
        raise PredictorError(f"{path}: is no predictor's: its format is {config.get('format')!r}, not {FORMAT!r}")
    if config.get("version") != VERSION:
        raise PredictorError(f"{path}: has version {config.get('version')!r}; this soonest reads {VERSION}")
    name, parameters, parts = (config.get(key) for key in ("predictor", "parameters", "parts"))
    if not (isinstance(name, str) and isinstance(parameters, dict) and isinstance(parts, list)):
        raise PredictorError(f"{path}: need a predictor's name, its parameters and its parts")
    if depth == 0 or not all(isinstance(p, str) and p.isidentifier() for p in parts):
        raise PredictorError(f"{path}: its parts are no names, or too many predictors are wrapped in each other")
    wrapped = {part: _read(folder / part, depth - 1) for part in parts}
    try:
        made = PREDICTORS.named(name)(**parameters, **wrapped)
    except PredictorError as error:
        raise PredictorError(f"{path}: {error}") from error
    except TypeError as error:
        raise PredictorError(f"{path}: predictor {name!r} does not take these parameters: {error}") from error
    made.card_ = _card(path, config.get("card"))
    made.load_state(folder)
    return made


def _card(path: Path, value: object) -> Card | None:
    if value is None:
        return None
    try:
        card = Card(**value)  # type: ignore[arg-type]
        measured = {str(key): float(number) for key, number in card.measured.items()}
        return Card(
            tuple(map(str, card.models)), str(card.data), int(card.examples), _coverage(card.coverage), measured
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise PredictorError(f"{path}: its card is no card: {error}") from error


def _coverage(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def _download(name: str, revision: str | None) -> Path:
    """A copy of a hub's repository: data files alone."""
    if Path(name).exists() or name.count("/") != 1 or name.startswith((".", "/")):
        raise PredictorError(f"{name}: there is no such folder; give one made by `soonest fit`, or a hub's OWNER/NAME")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for a hub
    except ImportError:
        raise PredictorError(f"{name}: is no folder here, and the hub needs: pip install 'soonest[hub]'") from None
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=SAFE_FILES))
    except Exception as error:
        raise PredictorError(f"{name}: cannot be had from the hub: {error}") from error
