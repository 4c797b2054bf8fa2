"""Real clusters on the loopback address, for as long as a test needs them."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import psutil

# The programs beside the Python that runs the tests.
PROGRAMS = pathlib.Path(sys.executable).parent
LOOPBACK = "127.0.0.1"
SECONDS_TO_START = 240


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Args:
        backend: "ray" or "dask".
        address: What `--address` is given.
        pattern: What the command lines of its workers have in them.
        root: The process that all workers descend from; `None` for Ray, whose processes
            belong to nobody.
        scheduler: Dask's.
    """

    backend: str
    address: str
    pattern: str
    root: psutil.Process | None = None
    scheduler: psutil.Process | None = None

    def workers(self) -> list[psutil.Process]:
        """Its worker processes that run now."""
        processes = (
            psutil.process_iter()
            if self.root is None
            else self.root.children(recursive=True)
        )
        found = []
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if self.pattern in " ".join(process.cmdline()):
                    found.append(process)
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def ray_cluster(*, cpus: int = 2, gpus: int = 0):
    """`ray start --head`, and `ray stop` at the end. GPUs are numbers, and no devices.

    Only one at a time: `--address auto` is the one of this machine.
    """
    port = free_port()
    # Sockets lie in it, and their paths must be short.
    scratch = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    quiet = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    try:
        _run(
            [
                *(PROGRAMS / "ray", "start", "--head", "--node-ip-address", LOOPBACK),
                *("--port", str(port), "--temp-dir", scratch),
                *("--num-cpus", str(cpus), "--num-gpus", str(gpus)),
                *("--include-dashboard", "false", "--disable-usage-stats"),
                # Half of a small machine's memory is not needed for rows.
                *("--object-store-memory", "100000000"),
            ],
            env=quiet,
        )
        yield Cluster("ray", "auto", "ray::PoolActor")
    finally:
        _run([PROGRAMS / "ray", "stop", "--force"], env=quiet)
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def dask_cluster(directory: pathlib.Path, *, num_workers: int = 2, before=()):
    """`dask scheduler` and some `dask worker`s of one thread each.

    Args:
        directory: For what they write.
        num_workers: Processes.
        before: Words before the workers' command, such as of `unshare`.
    """
    port = free_port()
    address = f"tcp://{LOOPBACK}:{port}"
    processes = []

    def start(name, *words):
        with open(directory / f"{name}.log", "wb") as log:
            processes.append(
                psutil.Popen(
                    [str(word) for word in words],
                    stdout=log,
                    stderr=log,
                    cwd=directory,
                    start_new_session=True,
                )
            )
        return processes[-1]

    dask = PROGRAMS / "dask"
    try:
        scheduler = start(
            *("scheduler", dask, "scheduler", "--host", LOOPBACK),
            *("--port", str(port), "--no-dashboard"),
        )
        wait_for(lambda: _listens(port), "the scheduler", scheduler)
        workers = start(
            *("workers", *before, dask, "worker", address, "--nthreads", "1"),
            *("--nworkers", str(num_workers), "--no-dashboard", "--host", LOOPBACK),
            *("--local-directory", directory),
        )
        cluster = Cluster("dask", address, "spawn_main", workers, scheduler)
        log = directory / "workers.log"
        wait_for(
            lambda: log.read_text().count("Registered to") >= num_workers,
            "the workers",
            workers,
        )
        yield cluster
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in process.children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
                process.kill()
            process.wait()


def wait_for(condition, what: str, process=None) -> None:
    """Waits until something is true; an error if it is not in time."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited in vain for {what}.")
        if process is not None and not process.is_running():
            raise RuntimeError(f"A process ended that {what} needs.")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _run(command, **options) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_START,
        check=False,
        **options,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stdout} {done.stderr}")
