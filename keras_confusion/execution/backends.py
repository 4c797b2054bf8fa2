"""Worker processes, on this machine or a cluster, that take tasks through joblib.

    loky    processes on this machine, started here
    ray     the workers of a Ray cluster, one GPU or core each
    dask    those of a Dask cluster, one task at a time each

The last two need the extras of their names. No scheduling is done here: joblib hands
tasks out, and the cluster decides where they run.
"""

import contextlib
import dataclasses
import logging
import multiprocessing.resource_tracker
import pathlib
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import joblib
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from keras_confusion.errors import ClusterError
from keras_confusion.execution import runtime

_log = logging.getLogger(__name__)

LOKY, RAY, DASK = BACKENDS = ("loky", "ray", "dask")
# Tasks that wait at Dask's scheduler: workers may join at any time, as many as these.
_MOST_DASK_TASKS = 1024
_RAY_IS_HERE = "auto"
SECONDS_TO_CONNECT = 10.0
# For the file of a scheduler that is just being started.
SECONDS_TO_WAIT = 60.0


class WorkerDiedError(RuntimeError):
    """A worker process was killed in the middle of a task."""


@dataclasses.dataclass(frozen=True)
class Workers:
    """Processes that are there to take tasks; made by `connect`.

    Args:
        backend: One of `BACKENDS`.
        number: How many there are, or should be; of a Dask cluster as many as there
            are now.
        config: Of `joblib.parallel_config`.
        options: Of `joblib.Parallel`.
        died: What is raised where a worker was killed.
        lost: What is raised where the cluster is gone.
    """

    backend: str
    number: int
    config: Mapping[str, Any]
    options: Mapping[str, Any]
    died: tuple[type[BaseException], ...]
    lost: tuple[type[BaseException], ...] = ()

    @property
    def is_cluster(self) -> bool:
        """Whether workers may be on other machines."""
        return self.backend != LOKY

    def run(self, function: Callable, tasks: Iterable[tuple]) -> Iterator[Any]:
        """Calls a function in the workers.

        Args:
            function: Of a module that workers can import.
            tasks: Its arguments, task by task, taken as workers become free.

        Yields:
            What it returns, in any order.

        Raises:
            WorkerDiedError: If a worker was killed; other tasks are given up as well.
            ClusterError: If the cluster is gone.
        """
        with joblib.parallel_config(**self.config):
            parallel = joblib.Parallel(
                batch_size=1, return_as="generator_unordered", **self.options
            )
        with _ctrl_c_waits():
            done = parallel(joblib.delayed(function)(*task) for task in tasks)
        try:
            # No `yield from`, which would close it before the warnings are caught.
            for result in done:  # noqa: UP028
                yield result
        except self.died as error:
            raise WorkerDiedError(str(error)) from error
        except self.lost as error:
            raise ClusterError(
                f"The {self.backend} cluster was lost ({type(error).__name__}). What "
                "is finished is kept: start the cluster and run the same command again."
            ) from error
        finally:
            with warnings.catch_warnings():
                # joblib's advice to whoever does not take all results, as after Ctrl-C.
                warnings.filterwarnings("ignore", module="joblib.parallel")
                done.close()

    def ask(self, function: Callable) -> Any:
        """What a function without arguments returns in one of the workers."""
        (answer,) = self.run(function, [()])
        return answer


@contextlib.contextmanager
def connect(
    backend: str, *, address: str | None = None, workers: int | None = None
) -> Iterator[Workers]:
    """Finds workers, and lets go of them at the end.

    Args:
        backend: One of `BACKENDS`.
        address: Of the cluster: Ray's "auto" (this machine's, the default) or
            "ray://host:10001", Dask's "tcp://host:8786" or the file that its scheduler
            wrote. `None` for "loky".
        workers: How many; `None` takes one per core or GPU of this machine or of the
            Ray cluster, and all workers of a Dask cluster, also those that join later.

    Yields:
        `Workers`.

    Raises:
        ValueError: If there is no such backend, or it takes no address.
        ClusterError: If there is no such cluster, or what it needs is not installed.
    """
    check_backend(backend, address)
    if backend == LOKY:
        yield _loky(workers)
    else:
        connect_to = _ray if backend == RAY else _dask
        with connect_to(address, workers) as found:
            yield found


def check_backend(backend: str, address: str | None) -> None:
    """Raises `ValueError` for a backend or address that makes no sense."""
    if backend not in BACKENDS:
        raise ValueError(
            f"Expected `backend` to be one of {BACKENDS}. Received: {backend!r}."
        )
    if backend == LOKY and address is not None:
        raise ValueError(
            "Expected no `address` for workers on this machine. Received: "
            f"{address!r}. Use --backend ray or --backend dask for a cluster."
        )
    if backend == DASK and address is None:
        raise ValueError(
            "Expected the `address` of Dask's scheduler. Received: none. Use "
            "--address tcp://HOST:8786, or the file that --scheduler-file names."
        )


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Holds SIGINT back while processes and threads are started here.

    They inherit that: Ctrl-C reaches every process of a terminal, and only this one is
    to handle it. Workers that it met in their imports would print tracebacks.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _loky(workers: int | None) -> Workers:
    number = workers or runtime.default_num_workers()
    with joblib.parallel_config(backend=LOKY):
        if number > 1 and joblib.effective_n_jobs(number) == 1:
            _log.warning(
                "This machine gives no semaphores to worker processes (is /dev/shm "
                "there, and can it be written?): one process does all the work."
            )
            number = 1
    # Python's, and joblib's before 1.6, let SIGINT through again when they are started,
    # whoever held it back.
    multiprocessing.resource_tracker.ensure_running()
    loky_tracker.ensure_running()
    return Workers(
        LOKY,
        number,
        config={"backend": LOKY},
        # joblib trains in this process for n_jobs=1; where TensorFlow has more than one
        # thread here, one task at a time goes to another process instead.
        options={
            "n_jobs": max(number, 2),
            "pre_dispatch": 1 if number == 1 else "2*n_jobs",
        },
        died=(TerminatedWorkerError,),
    )


@contextlib.contextmanager
def _ray(address: str | None, workers: int | None) -> Iterator[Workers]:
    with _needs(RAY):
        import ray
        from ray.util.joblib.ray_backend import RayBackend

    class GeneratingRayBackend(RayBackend):
        # What joblib says of its multiprocessing pool; Ray's hands results over as
        # they come.
        supports_return_generator = True

    joblib.register_parallel_backend(RAY, GeneratingRayBackend)
    # Ray's pool warns of an argument that joblib passes.
    logging.getLogger("ray.util.multiprocessing.pool").setLevel(logging.ERROR)
    address = address or _RAY_IS_HERE
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if ":" in address:
            # Ray would try for minutes.
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"Expected a Ray cluster at {address}. Received: {error}. Use the address "
            "that `ray start --head` printed."
        ) from error
    try:
        # Ray has a handler of its own, which says nothing and ends otherwise.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)
        resources = ray.cluster_resources()
        per_worker = "num_gpus" if resources.get("GPU") else "num_cpus"
        number = workers or int(resources.get("GPU") or resources.get("CPU", 1))
        # One worker alone would be this process: two take turns on its place.
        share = 1 if number > 1 else 0.5
        yield Workers(
            RAY,
            number,
            config={
                "backend": RAY,
                "ray_remote_args": {per_worker: share, "max_restarts": 0},
            },
            options={
                "n_jobs": max(number, 2),
                "pre_dispatch": 1 if number == 1 else "3*n_jobs",
            },
            died=(
                ray.exceptions.RayActorError,
                ray.exceptions.WorkerCrashedError,
                ray.exceptions.OutOfMemoryError,
            ),
            lost=(ray.exceptions.RaySystemError, ConnectionError),
        )
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _dask(address: str | None, workers: int | None) -> Iterator[Workers]:
    with _needs(DASK):
        import distributed
        from distributed.comm import CommClosedError

    # Where the scheduler is lost, the error says so once.
    for name in ("distributed.client", "distributed.utils", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    is_file = address is not None and address.endswith(".json")
    where = {"scheduler_file" if is_file else "address": address}
    try:
        if address is not None and is_file:
            _wait_for(pathlib.Path(address))
        client = distributed.Client(**where, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"Expected a Dask scheduler at {address}. Received: {error}. Use the "
            "address that `dask scheduler` printed."
        ) from error
    with client:
        threads = client.nthreads()
        if any(number > 1 for number in threads.values()):
            raise ClusterError(
                "Expected Dask workers of one thread each: a network is trained in "
                f"one thread, and one at a time. Received: {max(threads.values())} "
                "threads in a worker. Use `dask worker --nthreads 1 --nworkers N`."
            )
        yield Workers(
            DASK,
            workers or max(len(threads), 1),
            config={"backend": DASK, "client": client},
            options={"n_jobs": -1, "pre_dispatch": workers or _MOST_DASK_TASKS},
            died=(distributed.KilledWorker,),
            lost=(CommClosedError, *_cancelled()),
        )


def _wait_for(file: pathlib.Path) -> None:
    """A job starts its scheduler and the study together; Dask would wait for ever."""
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    file.stat()


def _cancelled() -> tuple[type[BaseException], ...]:
    """What futures raise whose scheduler is gone."""
    import asyncio
    import concurrent.futures

    return asyncio.CancelledError, concurrent.futures.CancelledError


@contextlib.contextmanager
def _needs(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ClusterError(
            f"Expected {extra} to be installed for --backend {extra}. Received: "
            f"{error}. Use `pip install 'keras_confusion[{extra}]'`."
        ) from error
