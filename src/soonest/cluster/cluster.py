"""A Ray cluster, our own or one that runs, and tasks spread over it."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar

from soonest.core import SoonestError
from soonest.report.study import origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Task = TypeVar("Task")
Found = TypeVar("Found")
LOCAL: Final = "local"
"""The address of a cluster of our own, on this machine."""
CHUNKS: Final = 16
"""Pieces that the work of one core is handed out in: progress is told after each."""
RETRIES: Final = 5
"""How often a piece of work is done again whose worker was lost."""
PATIENCE: Final = 10.0
"""Seconds for an address to be reached in."""
THREADS: Final = "OMP_NUM_THREADS"
ALIKE: Final = ("soonest", "numpy")
"""What must have the same version everywhere, or results may differ."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Ray cluster that this process has joined; `cores` is how many tasks run at once."""

    cores: int

    def map(self, work: Callable[[Task], Found], tasks: Sequence[Task]) -> Iterator[Found]:
        """`work` of every task, in their order; what a lost worker was doing is done again, up to five times.

        `work` is a function of a module and a task is picklable; what is random in it comes from a seed in the task, so
        where it is done changes nothing. An error in `work` is raised here.

        Raises:
            SoonestError: the same piece was lost over and over.
        """
        ray = imported_ray()
        size = max(1, len(tasks) // (self.cores * CHUNKS))
        given = ray.put(pickle.dumps(work))
        run = ray.remote(num_cpus=1, max_retries=RETRIES)(_run)
        pieces = [pickle.dumps(tasks[i : i + size]) for i in range(0, len(tasks), size)]
        waiting = deque(run.remote(given, piece) for piece in pieces)
        try:
            while waiting:
                yield from pickle.loads(_got(ray, waiting.popleft()))  # noqa: S301 - our own workers wrote it
        finally:
            for piece in waiting:
                ray.cancel(piece)  # not by force: Ray 2.60 aborts when a task ends at that moment


@contextmanager
def joined(address: str = LOCAL, cores: int | None = None) -> Iterator[Cluster]:
    """A cluster while this lasts: one of our own of so many `cores`, or the running one at `address`.

    Our own listens on the loopback interface alone, tells nobody of its use, has no dashboard, and leaves neither
    processes nor files behind. A running one must hold the same soonest; it goes on running.

    Raises:
        SoonestError: Ray is not installed, there is no cluster at the address, or this soonest is not on it.
    """
    ray = imported_ray()
    if ray.is_initialized():
        raise SoonestError("this process is part of a Ray cluster already: leave that first, with ray.shutdown()")
    with TemporaryDirectory(prefix="soonest-ray-", dir=_near(), ignore_cleanup_errors=True) as folder:
        before, constants = _children(), ray._private.ray_constants  # noqa: SLF001 - Ray has no other way
        everywhere = constants.ENABLE_RAY_CLUSTER
        try:
            _begin(ray, address, cores, folder)
            yield Cluster(max(1, int(ray.cluster_resources().get("CPU", 1))))
        finally:
            _end(ray, [child for child in _children() if child not in before])
            constants.ENABLE_RAY_CLUSTER = everywhere  # for whoever joins another cluster afterwards


def _begin(ray: Any, address: str, cores: int | None, folder: str) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    usual = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": False,
        "runtime_env": {"env_vars": {THREADS: os.environ.get(THREADS, str(origin.cores()))}},
    }
    if address == LOCAL:
        from ray._common.usage.usage_lib import set_usage_stats_enabled_via_env_var as report  # noqa: PLC0415

        report(False)  # noqa: FBT003 - Ray's own
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # noqa: SLF001 - or it listens on every interface
        try:
            ray.init(LOCAL, num_cpus=cores or origin.cores(), include_dashboard=False, _temp_dir=folder, **usual)
        except Exception as error:  # which kind, Ray leaves open
            raise SoonestError(f"no Ray cluster starts here, perhaps for want of time: {_line(error)}") from error
        return
    try:
        _reach(address)
        ray.init(address, **usual)
    except (OSError, RuntimeError, ValueError) as error:
        raise SoonestError(f"no Ray cluster can be joined at {address!r}: {_line(error)}") from error
    _check(ray)


def _end(ray: Any, children: list[Any]) -> None:
    """Leave the cluster; of our own, wait for the agents too, which end after Ray has returned."""
    import psutil  # noqa: PLC0415 - Ray brings it along

    ray.shutdown(wait_for_processes=True)
    _, alive = psutil.wait_procs(children, PATIENCE)
    for child in alive:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(alive, PATIENCE)


def _children() -> list[Any]:
    import psutil  # noqa: PLC0415 - as above

    return list(psutil.Process().children(recursive=True))


def _reach(address: str) -> None:
    """Find out at once that nobody listens; Ray would try for two minutes."""
    host, sign, port = address.removeprefix("ray://").rpartition(":")
    if sign:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()


def _near() -> str | None:
    """Where sockets have short names: a system's own temporary folder may be too deep for them."""
    return "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - the folder made in it is ours alone


def _check(ray: Any) -> None:
    """Refuse a cluster a node of which would do the work with other versions."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - as in `imported_ray`

    asked = ray.remote(num_cpus=0)(_versions)
    nodes = [(node["NodeID"], node["NodeName"]) for node in ray.nodes() if node["Alive"]]
    asking = [
        (name, asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote())
        for node, name in nodes
    ]
    for node, answer in asking:
        try:
            there = ray.get(answer)
        except ray.exceptions.RayError as error:
            raise SoonestError(f"{node} cannot run soonest: install it on every node ({_line(error)})") from error
        for name, number in _versions().items():
            if there[name] != number:
                raise SoonestError(f"{node} has {name} {there[name]}, this machine {number}: make them the same")


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ALIKE}


def _run(work: bytes, tasks: bytes) -> bytes:
    """In a worker. All travels as bytes: arrays that Ray itself hands over cannot be written to."""
    do = pickle.loads(work)  # noqa: S301 - whoever shares out the work wrote it
    return pickle.dumps([do(task) for task in pickle.loads(tasks)])  # noqa: S301 - as above


def _got(ray: Any, piece: Any) -> bytes:
    try:
        return bytes(ray.get(piece))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise SoonestError(f"the cluster lost the same work {RETRIES + 1} times: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)


def imported_ray() -> Any:
    """The module `ray`.

    Raises:
        SoonestError: Ray is not installed.
    """
    try:
        import ray  # noqa: PLC0415 - only where a cluster is asked for
        import ray.exceptions  # noqa: PLC0415
    except ImportError as error:
        raise SoonestError(f"--ray needs Ray: pip install 'soonest[ray]' ({error})") from None
    return ray
