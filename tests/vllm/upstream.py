"""Run vLLM's own scheduler tests with our scheduler in place of theirs, and compare.

    .venv-vllm/bin/python -m tests.vllm.upstream --folder FOLDER

The tests come from vLLM's source distribution, and run in that folder, outside the repository. Each file runs three
times: with vLLM's schedulers, with its `AsyncScheduler` everywhere, and with ours (policy `fcfs`). What passes with
`AsyncScheduler` must pass with ours, but for the EXCEPTIONS; a difference is printed and ends with status 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

VERSION = "0.32.0"
FILES = (
    "core/test_async_scheduler.py",
    "core/test_scheduler.py",
    "core/test_deferred_block_free.py",
    "core/test_mamba_align_chunk_split.py",
    "core/test_prefix_replay.py",
    "core/test_swa_inflight_window_free.py",
    "streaming_input/test_scheduler_streaming.py",
)
EXCEPTIONS: dict[str, str] = {
    "priority": "vLLM's priority scheduling beside our class is refused at start",
    "test_scheduler_reset_prefix_cache": "it indexes the waiting queue, which vLLM does not ask of one",
}
"""Part of a test's name, and why it cannot pass with our class."""
MODELS = {
    "facebook/opt-125m": {
        "architectures": ["OPTForCausalLM"],
        "model_type": "opt",
        "activation_function": "relu",
        "hidden_size": 768,
        "ffn_dim": 3072,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "vocab_size": 50272,
        "max_position_embeddings": 2048,
        "word_embed_proj_dim": 768,
        "bos_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 1,
        "torch_dtype": "float16",
    },
}
"""Configurations that the tests want from a model hub; tests that want others fail with either scheduler."""


def fetch(folder):
    """vLLM's tests, from its source distribution."""
    if (folder / "tests").is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    tools = ["setuptools", "setuptools_rust", "setuptools_scm", "wheel", "packaging", "jinja2"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *tools], check=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", f"vllm=={VERSION}", "--no-binary", "vllm", "--no-deps"),
            *("--no-build-isolation", "--quiet", "--dest", str(folder)),
        ],
        env={**os.environ, "VLLM_TARGET_DEVICE": "cpu", "VLLM_VERSION_OVERRIDE": VERSION},
        check=True,
    )
    with tarfile.open(folder / f"vllm-{VERSION}.tar.gz") as archive:
        for member in archive.getmembers():
            inside = member.name.partition("/")[2]
            if inside.startswith("tests/"):
                member.name = inside
                archive.extract(member, folder, filter="data")


def outcomes(folder, file, kind, chosen):
    """How each test of a file ends with this scheduler."""
    out = folder / f"{Path(file).stem}.{kind}.txt"
    command = [
        *(sys.executable, "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider", "-p", "in_place"),
        *("--in-place", kind, "--outcomes", str(out), f"tests/v1/{file}", *(("-k", chosen) if chosen else ())),
    ]
    variables = {
        "PYTHONPATH": str(Path(__file__).parent),
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "SOONEST_VLLM_POLICY": "fcfs",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if not out.exists():
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    return {name: (outcome, reason) for outcome, name, reason in rows}


def main():
    """Fetch, run, compare."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--folder", type=Path, required=True)
    asked.add_argument("--file", action="append", choices=FILES)
    asked.add_argument("-k", help="only tests that pytest's -k selects")
    given = asked.parse_args()
    fetch(given.folder)
    for name, facts in MODELS.items():
        (given.folder / name).mkdir(parents=True, exist_ok=True)
        (given.folder / name / "config.json").write_text(json.dumps(facts))
    wrong = 0
    for file in given.file or FILES:
        theirs, fair, ours = (outcomes(given.folder, file, kind, given.k) for kind in ("theirs", "async", "ours"))
        good = [name for name, (outcome, _) in fair.items() if outcome == "passed"]
        same = sum(ours.get(name, ("missing",))[0] == "passed" for name in good)
        passed = sum(outcome == "passed" for outcome, _ in theirs.values())
        print(f"{file}: {passed} of {len(theirs)} pass as they are, {len(good)} with AsyncScheduler, {same} with ours")  # noqa: T201
        for name in good:
            outcome, reason = ours.get(name, ("missing", ""))
            if outcome == "passed":
                continue
            known = next((why for part, why in EXCEPTIONS.items() if part in name), None)
            wrong += known is None
            print(f"  {name.rpartition('::')[2]}: {known or f'{outcome}: {reason}'}")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
