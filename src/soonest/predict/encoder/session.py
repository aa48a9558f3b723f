"""Serving: a network in ONNX form, run by ONNX Runtime on the CPU, without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soonest.core import PredictorError
from soonest.predict.encoder.reading import MISSING, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BATCH: Final = 32
INPUTS: Final = ("tokens", "mask", "beside")


class Session:
    """A network that is ready to be asked.

    Raises:
        PredictorError: the bytes are no such network, or ONNX Runtime is not installed.
    """

    def __init__(self, model: bytes, pad: int, threads: int) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - heavy
        except ImportError:
            raise PredictorError(MISSING) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common type
            raise PredictorError("model.onnx is no network that ONNX Runtime can run") from error
        self._pad = pad
        self._inputs = [put.name for put in self._session.get_inputs()]
        if not set(self._inputs) <= set(INPUTS):
            raise PredictorError(f"model.onnx is another network: its inputs are {self._inputs}")
        self.width = self._run(*padded([[pad]], pad), np.zeros((1, self.beside), dtype=np.float32)).shape[1]
        """Outputs for one prompt."""

    @property
    def beside(self) -> int:
        """Numbers that it hears beside the text."""
        return sum(int(put.shape[-1]) for put in self._session.get_inputs() if put.name == INPUTS[-1])

    def outputs(self, rows: Sequence[Sequence[int]], beside: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the network says of each row of tokens, of shape (n, width); rows of similar length go together."""
        found = np.zeros((len(rows), self.width))
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            found[some] = self._run(*padded([rows[i] for i in some], self._pad), beside[some])
        return found

    def _run(self, *given: NDArray[np.generic]) -> NDArray[np.float32]:
        known = dict(zip(INPUTS, given, strict=True))
        outputs: NDArray[np.float32] = self._session.run(None, {name: known[name] for name in self._inputs})[0]
        return outputs
