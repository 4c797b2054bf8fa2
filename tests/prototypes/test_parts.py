import threading
import time

import numpy as np
import psutil
import pytest
from joblib.externals.loky import get_reusable_executor

from keras_confusion import errors
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import study as prototype_study

SETTINGS = {
    "dataset": "digits",
    "image_size": (18, 18),
    "epochs": 2,
    "intervals": (60, 100),
    "inits": 3,
    "prototype_learning_rate": 0.2,
    "loss_threshold": 0.5,
    "dtype_policy": "float32",
    "prototype_dtype": "float32",
    "boundaries": False,
    "inits_at_a_time": 1,
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A study whose initialisations were made in this process, one after the other."""
    directory = tmp_path_factory.mktemp("alone")
    prototype_study.run_prototype_study(directory, workers=1, **SETTINGS)
    return prototype_store.read_prototype_study(directory)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_workers_make_what_one_process_makes(alone, dtype, tmp_path, capfd):
    options = SETTINGS | {"prototype_dtype": dtype}
    summary = prototype_study.run_prototype_study(
        tmp_path, workers=2, verbose=1, **options
    )
    assert summary.num_parts == 6
    made = prototype_store.read_prototype_study(tmp_path)
    if dtype == "float32":
        for name in ("image", "iterations", "features", "adversarial_image"):
            np.testing.assert_array_equal(made[name], alone[name])
    else:
        np.testing.assert_array_equal(made["start"][0], alone["start"][0])
        assert (made["image"] != alone["image"]).any()
    assert made["converged"].all()
    # Every image was counted in its worker: class prototypes once, P with them again.
    assert "330/330 prototypes at 100 %" in capfd.readouterr().err


@pytest.mark.slow
def test_study_goes_on_after_a_worker_was_killed(alone, tmp_path):
    def kill():
        me = psutil.Process()
        while not (found := [child for child in me.children() if is_worker(child)]):
            time.sleep(0.01)
        found[0].kill()

    def is_worker(process):
        return "loky.backend.popen_loky_posix" in " ".join(process.cmdline())

    # Those of other tests wait for work, and would be replaced.
    get_reusable_executor().shutdown()
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(errors.WorkersKilledError, match="what is finished is kept"):
        prototype_study.run_prototype_study(tmp_path, workers=2, **SETTINGS)
    killer.join()
    prototype_study.run_prototype_study(tmp_path, workers=2, **SETTINGS)
    np.testing.assert_array_equal(
        prototype_store.read_prototype_study(tmp_path)["image"], alone["image"]
    )
