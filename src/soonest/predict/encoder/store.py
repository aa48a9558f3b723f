"""What an encoder has learned, in memory and in its folder.

encoder.json        the architecture, the models known, the training's losses, and a checksum of each other file
weights.npz         the task's units, edges or scale
model.onnx          the network that serves
model.safetensors   the network that can be trained further
tokenizer.json      the tokenizer
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from soonest.core import PredictorError
from soonest.predict import folder as folders

if TYPE_CHECKING:
    from pathlib import Path

ABOUT: Final = "encoder.json"
ARRAYS, ONNX, WEIGHTS, TOKENIZER = "weights.npz", "model.onnx", "model.safetensors", "tokenizer.json"
FILES: Final = (ARRAYS, ONNX, WEIGHTS, TOKENIZER)
LONGEST_TEXT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Learned:
    """A trained network: to serve (`onnx`), to train further (`weights`, bytes or a file), and how to read for it."""

    config: dict[str, Any]
    pad: int
    length: int
    models: tuple[str, ...]
    tokenizer: str
    onnx: bytes
    weights: bytes | Path
    history: tuple[dict[str, float], ...]

    def save(self, folder: Path) -> None:
        """Write the other files, once `weights.npz` is there."""
        (folder / ONNX).write_bytes(self.onnx)
        (folder / TOKENIZER).write_text(self.tokenizer, encoding="utf-8", newline="")
        if isinstance(self.weights, bytes):
            (folder / WEIGHTS).write_bytes(self.weights)
        else:
            shutil.copyfile(self.weights, folder / WEIGHTS)
        about = {
            "encoder": self.config,
            "pad": self.pad,
            "length": self.length,
            "models": list(self.models),
            "history": list(self.history),
            "sha256": {name: _checksum(folder / name) for name in FILES},
        }
        folders.write_json(folder / ABOUT, about)

    @classmethod
    def load(cls, folder: Path) -> Learned:
        """Read what `save` wrote.

        Raises:
            PredictorError: a file is missing or is not what was written: it is named.
        """
        about = folders.read_json(folder / ABOUT)
        sums, config, models, history = (about.get(key) for key in ("sha256", "encoder", "models", "history"))
        if not (isinstance(sums, dict) and isinstance(config, dict) and isinstance(models, list)):
            raise PredictorError(f"{folder / ABOUT}: need the encoder's architecture, its models and checksums")
        if not isinstance(history, list) or not all(isinstance(name, str) for name in models):
            raise PredictorError(f"{folder / ABOUT}: its models are no names, or its history is no list")
        for name in FILES:
            if _checksum(folder / name) != sums.get(name):
                raise PredictorError(f"{folder / name}: is corrupted or foreign: its checksum is not the one saved")
        return cls(
            config,
            _whole(folder, about, "pad", 0),
            _whole(folder, about, "length", 2),
            tuple(models),
            (folder / TOKENIZER).read_bytes().decode("utf-8"),
            (folder / ONNX).read_bytes(),
            folder / WEIGHTS,
            tuple(history),
        )


def _whole(folder: Path, about: dict[str, object], key: str, least: int) -> int:
    found = about.get(key)
    if type(found) is not int or not least <= found <= LONGEST_TEXT:
        raise PredictorError(f"{folder / ABOUT}: {key!r} must be a whole number of at least {least}, got {found!r}")
    return found


def _checksum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PredictorError(f"{path}: is missing or cannot be read: {error}") from None
