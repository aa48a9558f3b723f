import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import httpx2 as httpx
import psutil
import pytest

from soonest.engines.child import Child, ChildError

STAND_IN = textwrap.dedent(
    """
    import json, os, signal, sys, time
    from soonest.engines.parent import live_with_parent
    live_with_parent()
    how = sys.argv[1]
    if how == "never":
        time.sleep(60)
    if how == "fails":
        sys.exit(7)
    if how == "once" and os.path.exists(sys.argv[2]):
        sys.exit(7)
    if how == "once":
        open(sys.argv[2], "w").close()
    if how == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("some words first")
    ready = json.dumps({"url": f"http://127.0.0.1:{os.getpid()}", "model": "x"})
    print(f"{ready}\\nand some more", flush=True)
    time.sleep(60)
    """
)


def stand_in(*arguments, **more):
    """A child that is ready at once, and no engine."""
    return Child(arguments, command=(sys.executable, "-c", STAND_IN), first_pause=0.05, **more)


async def until(true, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - it is another process's doing
            await asyncio.sleep(0.01)


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_child_comes_back_with_a_call():
    heard = []

    async def run():
        child = stand_in("well", changed=heard.append)
        first = await child.start()
        assert child.alive
        assert child.model == "x"
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: len(heard) == 2)
        assert child.alive
        assert heard == [None, child.url]
        assert child.url != first
        assert child.restarts == 1
        pid = child.pid
        await child.stop()
        assert not child.alive
        assert child.pid is None
        assert gone(pid)

    asyncio.run(run())


def test_what_a_child_says_goes_to_stderr(capfd):
    async def run():
        child = stand_in("well")
        await child.start()
        await asyncio.sleep(0.1)
        await child.stop()

    asyncio.run(run())
    said = capfd.readouterr()
    assert said.out == ""
    assert "some words first\nand some more\n" in said.err


def test_a_child_that_ends_before_it_is_ready_is_an_error():
    with pytest.raises(ChildError, match="status 7"):
        asyncio.run(stand_in("fails").start())


def test_a_child_that_says_nothing_is_ended():
    async def run():
        child = stand_in("never", timeout=0.5)
        with pytest.raises(ChildError, match=r"not ready within 0\.5 s"):
            await child.start()
        assert child.pid is None

    asyncio.run(run())


def test_a_child_that_cannot_start_again_is_tried_with_pauses(tmp_path):
    async def run():
        child = stand_in("once", str(tmp_path / "mark"), longest_pause=0.2)
        await child.start()
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: not child.alive)
        await asyncio.sleep(0.3)
        assert not child.alive
        (tmp_path / "mark").unlink()
        await until(lambda: child.alive)
        await child.stop()

    asyncio.run(run())


def test_a_child_can_be_stopped_while_it_starts_again():
    async def run():
        child = stand_in("well")
        await child.start()
        child.command = (sys.executable, "-c", "import time; time.sleep(60)")
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: not child.alive and child.pid is not None)
        pid = child.pid
        await child.stop()
        assert gone(pid)

    asyncio.run(run())


def test_a_child_that_does_not_listen_is_killed():
    async def run():
        child = stand_in("deaf", grace=0.3)
        await child.start()
        pid = child.pid
        await child.stop()
        assert gone(pid)

    asyncio.run(run())


def test_a_child_dies_with_its_parent(tmp_path):
    parent = textwrap.dedent(
        f"""
        import asyncio, sys
        from soonest.engines.child import Child

        async def run():
            child = Child(("well",), command=(sys.executable, "-c", {STAND_IN!r}))
            await child.start()
            print(child.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(run())
        """
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    pid = int(process.stdout.readline())
    assert not gone(pid)
    process.kill()
    process.wait()
    process.stdout.close()
    limit = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.slow
def test_a_real_engine_that_is_killed_answers_again(model_folder):
    heard = []

    async def run():
        child = Child((str(model_folder), "--port", "0", "--threads", "1"), changed=heard.append)
        try:
            url = await child.start()
            first = await ask(url)
            os.kill(child.pid, signal.SIGKILL)
            await until(lambda: len(heard) == 2, 120)
            assert child.alive
            assert await ask(heard[1]) == first
        finally:
            await child.stop()

    async def ask(url):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.post("/v1/completions", json={"prompt": "one two", "max_tokens": 8})
            return answer.json()["choices"][0]["text"]

    asyncio.run(run())
