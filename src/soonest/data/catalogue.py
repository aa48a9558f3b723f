"""Traces by name: public ones that are downloaded once, and the sample that comes with the package."""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from soonest.core import TraceError
from soonest.data.reading import read_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from soonest.data.trace import Trace

TIMEOUT = 30.0  # seconds without a byte
BLOCK = 1 << 16
RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class PublicTrace:
    """Where a public trace is, what its bytes are, and under which licence.

    Without a published hash (`sha256` is `None`) the first download is taken on trust: its hash is told and pinned
    beside the file, and every later use is checked against the pin.
    """

    url: str
    file: str
    format: str
    licence: str
    about: str
    sha256: str | None = None


CATALOGUE: Mapping[str, PublicTrace] = {
    "azure-conv": PublicTrace(
        url=f"{RAW}/Azure/AzurePublicDataset/master/data/AzureLLMInferenceTrace_conv.csv",
        file="AzureLLMInferenceTrace_conv.csv",
        format="azure",
        licence="CC-BY-4.0",
        about="19,366 calls of a conversation service in one hour of 2023 (Patel et al., 2024, arXiv:2311.18677)",
    ),
    "azure-code": PublicTrace(
        url=f"{RAW}/Azure/AzurePublicDataset/master/data/AzureLLMInferenceTrace_code.csv",
        file="AzureLLMInferenceTrace_code.csv",
        format="azure",
        licence="CC-BY-4.0",
        about="8,819 calls of a coding service in one hour of 2023, very bursty (Patel et al., 2024, arXiv:2311.18677)",
    ),
    "mooncake-conversation": PublicTrace(
        url=f"{RAW}/kvcache-ai/Mooncake/3cca71daccf2a7afb8fe3f0295358f70e3a69fdb"
        "/FAST25-release/traces/conversation_trace.jsonl",
        file="conversation_trace.jsonl",
        format="mooncake",
        licence="Apache-2.0",
        about="12,031 calls of a chat service in one hour, with prefix blocks (Qin et al., 2024, arXiv:2407.00079)",
        sha256="b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
    ),
    "burstgpt": PublicTrace(
        url="https://github.com/HPMLL/BurstGPT/releases/download/v2.0/BurstGPT_1.csv",
        file="BurstGPT_1.csv",
        format="burstgpt",
        licence="CC-BY-4.0",
        about="1.4 million calls in two months, 52 MB (Wang et al., 2024, arXiv:2401.17644)",
        sha256="4bb3783693d0a435686fbfc885615d2349bd067239079fa4b749f2e679e12122",
    ),
}


def fetch(name: str, cache_dir: str | Path | None = None, progress: Callable[[str], None] | None = None) -> Path:
    """The file of a public trace: from the cache, or downloaded into it, checked either way.

    `cache_dir` defaults to `~/.cache/soonest`. `progress` is told what happens, a sentence at a time.

    Raises:
        TraceError: the name is unknown, the download failed, or the bytes are not the expected ones (they are deleted).
    """
    if name not in CATALOGUE:
        raise TraceError(f"no public trace {name!r}; known: {', '.join(CATALOGUE)}; or read a file of yours")
    entry = CATALOGUE[name]
    tell = progress or _silent
    folder = Path(cache_dir) if cache_dir is not None else Path.home() / ".cache" / "soonest"
    target = folder / entry.file
    pin = folder / f"{entry.file}.sha256"
    by_hand = f"download {entry.url} by hand and save it as {target}, or pass --trace PATH"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        expected = entry.sha256 or (pin.read_text(encoding="ascii").split()[0] if pin.exists() else None)
        if target.exists():
            found = _digest(target)
            _check(name, target, found, expected)
        else:
            tell(f"{name}: downloading {entry.url} ({entry.licence})")
            found = _download(name, entry.url, target, expected)
        if expected is None:
            pin.write_text(f"{found}  {entry.file}\n", encoding="ascii")
            tell(f"{name}: no published hash; pinned SHA-256 {found} in {pin}, later uses are checked against it")
    except (OSError, http.client.HTTPException) as error:
        raise TraceError(f"{name} cannot be fetched: {_reason(error)}; {by_hand}") from error
    except (IndexError, UnicodeDecodeError) as error:
        raise TraceError(f"{pin} is no SHA-256 file: delete it and fetch {name} again") from error
    return target


def sample() -> Trace:
    """The sample trace: 1,500 synthetic calls of four tenants, bursty, with predicted classes of length.

    Made by `benchmarks/make_sample.py`, not recorded. `predicted` holds five percentile classes (limits p25, p50, p75,
    p99) as a classifier that is right in about 60 % of cases would give them.
    """
    with resources.as_file(resources.files("soonest.data") / "sample" / "sample.csv") as path:
        return read_trace(path, format="csv")


def _download(name: str, url: str, target: Path, expected: str | None) -> str:
    """Fetch into a file beside the target, check it, rename it; the hash of what came."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        part = Path(file.name)
        try:
            found = _copy(url, file)
            file.close()
            _check(name, part, found, expected)
            part.chmod(0o644)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return found


def _copy(url: str, file: IO[bytes]) -> str:
    """The body of a URL into a file; its hash."""
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310 - the catalogue's own addresses
            declared = response.headers.get("Content-Length")
            while block := response.read(BLOCK):
                file.write(block)
                digest.update(block)
                size += len(block)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise http.client.HTTPException(f"the server said {error.code} {error.reason}") from error
    if declared is not None and size != int(declared):
        raise http.client.HTTPException(f"the connection ended after {size} of {declared} bytes")
    return digest.hexdigest()


def _check(name: str, path: Path, found: str, expected: str | None) -> None:
    """Delete a file that is not what it should be."""
    if expected is not None and found != expected:
        path.unlink(missing_ok=True)
        raise TraceError(
            f"{name}: SHA-256 is {found}, expected {expected}: the file was deleted; fetch again, and if it stays so "
            "the source has changed: pass --trace PATH for a file you trust"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.URLError):
        return f"no connection: {error.reason}"
    return str(error) or type(error).__name__


def _silent(message: str) -> None:
    """Tell nobody."""
