"""The confusion study on real clusters of Ray and Dask, on the loopback address."""

import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import dask
import distributed  # noqa: F401 (its settings, before one is changed)
import joblib
import pandas as pd
import psutil
import pytest

from keras_confusion import errors
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.confusion import worker
from keras_confusion.execution import backends
from keras_confusion.storage import locks
from tests.support import clusters, docs_commands

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = "scripts/run_confusion_study.py"
SETTINGS = {"pairs": ["3-8"], "repeats": 4, "baseline_repeats": 4, "epochs": 4}
NUM_NETWORKS = 8
OPTIONS = "--pairs 3-8 --repeats 4 --baseline-repeats 4 --epochs 4"
CHANGING = ["seconds", "finished_at"]


def comparable(directory):
    return confusion_store.read_networks(directory).drop(columns=CHANGING)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder with the study that all others must equal, trained in this process."""
    directory = tmp_path_factory.mktemp("undisturbed")
    confusion_study.run_confusion_study(directory, workers=1, **SETTINGS)
    return directory


@pytest.fixture(scope="module")
def expected(undisturbed):
    return comparable(undisturbed)


@pytest.fixture(scope="module")
def cluster(request, tmp_path_factory):
    if request.param == "ray":
        with clusters.ray_cluster() as running:
            yield running
    else:
        with clusters.dask_cluster(tmp_path_factory.mktemp("dask")) as running:
            yield running


def on_clusters(**marks):
    """For each backend whether its test is slow, or is left out of CI."""
    params = [
        pytest.param(backend, marks=getattr(pytest.mark, mark), id=backend)
        for backend, mark in marks.items()
    ]
    return pytest.mark.parametrize("cluster", params, indirect=True)


def command(directory, cluster, *options):
    return [
        *(sys.executable, str(ROOT / SCRIPT), *OPTIONS.split()),
        *("--out", str(directory), "--backend", cluster.backend),
        *("--address", cluster.address, *options),
    ]


@pytest.fixture
def start():
    """A function that starts a study, and waits until there is a network of it."""
    processes = []

    def start_study(directory, cluster, *options):
        process = psutil.Popen(
            command(directory, cluster, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        clusters.wait_for(
            lambda: list(directory.glob("networks/*.parquet")), "a network", process
        )
        return process

    yield start_study
    # One that is left by a failure would keep the workers of the next test.
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def run(directory, cluster, **options):
    settings = SETTINGS | options
    return confusion_study.run_confusion_study(
        directory, backend=cluster.backend, address=cluster.address, **settings
    )


@on_clusters(ray="slow", dask="slow")
def test_cluster_trains_the_same_rows_though_a_worker_is_killed(
    start, cluster, expected, tmp_path
):
    process = start(tmp_path / "study", cluster)
    victim = cluster.workers()[0]
    victim.kill()
    output, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert not victim.is_running()
    pd.testing.assert_frame_equal(comparable(tmp_path / "study"), expected)
    assert f"{NUM_NETWORKS}/{NUM_NETWORKS} networks" in said
    # Dask gives its task to another worker without a word.
    assert said.count("A worker process was killed") == (cluster.backend == "ray")
    if cluster.backend == "ray":
        # Ray tells of the worker, too.
        output = output[output.index("\ndigits: ") + 1 :]
    assert output.startswith(f"digits: {NUM_NETWORKS} networks")


@on_clusters(ray="exhaustive", dask="exhaustive")
def test_cluster_trains_the_same_rows(start, cluster, expected, tmp_path):
    process = start(tmp_path / "study", cluster)
    output, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    pd.testing.assert_frame_equal(comparable(tmp_path / "study"), expected)
    assert f"{NUM_NETWORKS}/{NUM_NETWORKS} networks" in said
    # Findings, and nothing that the cluster has to say.
    assert output.startswith(f"digits: {NUM_NETWORKS} networks")


@on_clusters(ray="exhaustive", dask="slow")
def test_killed_parent_is_resumed_on_the_cluster(start, cluster, expected, tmp_path):
    directory = tmp_path / "study"
    process = start(directory, cluster)
    process.kill()
    process.communicate()
    # What the workers had in hand may come in after the end of their parent, or not.
    before = len(list(directory.glob("networks/*.parquet")))
    assert 1 <= before < NUM_NETWORKS
    rows = []
    summary = run(
        directory,
        cluster,
        on_network=lambda row: rows.append((row["arm"], row["repeat"])),
    )
    assert len(rows) == len(set(rows)) == NUM_NETWORKS
    assert 0 < summary.num_trained <= NUM_NETWORKS - before
    pd.testing.assert_frame_equal(comparable(directory), expected)


@on_clusters(ray="slow", dask="exhaustive")
def test_sigterm_ends_a_study_on_a_cluster_in_time(start, cluster, tmp_path):
    # One worker: on Ray two that take turns.
    process = start(tmp_path / "study", cluster, "--repeats", "40", "--workers", "1")
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, said = process.communicate(timeout=30)
    assert time.monotonic() - begun < 10
    # The cluster has nothing to say.
    assert output == ""
    # Ray's own handler would end otherwise, and without a word.
    assert process.returncode == 143, said
    assert "The same command goes on with what is missing" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_ray_gives_every_worker_a_gpu_of_its_own():
    with (
        clusters.ray_cluster(cpus=4, gpus=2),
        backends.connect("ray", address="auto") as workers,
    ):
        assert workers.number == 2
        devices = workers.run(visible_devices, [(0,), (1,), (2,), (3,)])
        assert sorted(set(devices)) == ["0", "1"]


@pytest.mark.exhaustive
def test_one_gpu_of_a_ray_cluster_trains_the_same_rows(tmp_path, expected):
    with clusters.ray_cluster(cpus=4, gpus=2) as cluster:
        run(tmp_path / "study", cluster, workers=1)
    pd.testing.assert_frame_equal(comparable(tmp_path / "study"), expected)


def visible_devices(number):
    # Long enough for both workers to have their share.
    time.sleep(0.5)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.slow
def test_rows_are_sent_back_by_workers_without_the_folder(tmp_path, expected):
    directory = tmp_path / "shared" / "study"
    directory.parent.mkdir()
    scratch = tmp_path / "dask"
    scratch.mkdir()
    # Where the folder would be, the workers have an empty disk of their own.
    own_disk = f'mount -t tmpfs none "{directory.parent}" && exec "$@"'
    before = ["unshare", "--mount", "sh", "-c", own_disk, "sh"]
    if os.geteuid():
        before.insert(1, "--map-root-user")
    if subprocess.run([*before, "true"], check=False).returncode:
        assert not os.environ.get("CI")
        pytest.skip("No mount namespaces for this user.")
    with clusters.dask_cluster(scratch, before=before) as cluster:
        run(directory, cluster)
    pd.testing.assert_frame_equal(comparable(directory), expected)


@pytest.mark.slow
def test_lost_cluster_is_said_once_and_nothing_is_lost(start, tmp_path):
    directory = tmp_path / "study"
    with clusters.dask_cluster(tmp_path) as cluster:
        process = start(directory, cluster, "--repeats", "40")
        cluster.scheduler.kill()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count("The dask cluster was lost") == 1
    assert "Traceback" not in said
    assert len(confusion_store.read_networks(directory)) >= 1


@pytest.mark.slow
def test_workers_with_other_data_or_versions_are_refused(undisturbed, tmp_path):
    directory = shutil.copytree(undisturbed, tmp_path / "study")
    plan = confusion_study.StudyPlan.make(
        confusion_study.ConfusionSettings(**SETTINGS), directory, None
    )
    with locks.locked(directory) as hold:
        assignment = worker.assign(plan, hold, is_cluster=True)
        check_that_others_are_refused(assignment)


def check_that_others_are_refused(assignment):
    other = dataclasses.replace(
        assignment,
        run="other",
        fingerprint="0123",
        versions={**assignment.versions, "keras": "2.0"},
    )
    with pytest.raises(errors.ClusterError) as error:
        worker.train(other, [(None, 0)])
    assert "keras 2.0 there" in str(error.value)
    assert "data set 0123 there" in str(error.value)
    rows, is_written = worker.train(assignment, [(None, 0)])
    assert is_written
    assert rows[0]["arm"] == "baseline"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "dask"], "Use --address tcp://HOST:8786"),
        (["--address", "auto"], "Use --backend ray or --backend dask"),
    ],
)
def test_backend_without_its_address_is_refused(options, message, tmp_path, capsys):
    given = ["--out", str(tmp_path / "study"), *options]
    assert docs_commands.run_main(SCRIPT, given) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("backend", "address", "message"),
    [
        ("dask", "tcp://127.0.0.1:9", "address that `dask scheduler` printed"),
        ("dask", "missing.json", "address that `dask scheduler` printed"),
        ("ray", "127.0.0.1:9", "address that `ray start --head` printed"),
    ],
)
def test_cluster_that_is_not_there_is_named(backend, address, message, monkeypatch):
    monkeypatch.setattr(backends, "SECONDS_TO_WAIT", 0.5)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(errors.ClusterError, match=message) as error,
        backends.connect(backend, address=address),
    ):
        pass
    assert address in str(error.value)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(errors.ClusterError, match=r"keras_confusion\[dask\]"),
        backends.connect("dask", address="tcp://127.0.0.1:9"),
    ):
        pass


def test_machine_without_semaphores_works_in_one_process(monkeypatch, caplog):
    monkeypatch.setattr(joblib, "effective_n_jobs", lambda number: 1)
    with backends.connect(backends.LOKY, workers=2) as found:
        assert found.number == 1
    assert "one process does all the work" in caplog.text


def test_results_may_be_left_without_advice_on_how_to_use_joblib():
    with backends.connect(backends.LOKY, workers=2) as found:
        done = found.run(abs, [(-number,) for number in range(20)])
        assert next(done) in range(20)
        # Warnings are errors here, and Ctrl-C would print them.
        done.close()


# In an interpreter of its own: what lets signals through is started once.
WORKERS_AND_CTRL_C = """
import signal
from keras_confusion.execution import backends

if __name__ == "__main__":
    tasks = [(signal.SIG_BLOCK, ())] * 4
    with backends.connect("loky", workers=2) as found:
        masks = list(found.run(signal.pthread_sigmask, tasks))
    print([signal.SIGINT in mask for mask in masks])
"""


def test_workers_never_hear_ctrl_c(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(WORKERS_AND_CTRL_C)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(file)]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.stdout == b"[True, True, True, True]\n", done.stderr
