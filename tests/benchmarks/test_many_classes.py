import numpy as np
import pytest

from benchmarks import timing
from benchmarks.speed import many_classes


def test_every_initialisation_is_done_once_by_any_number_of_processes(monkeypatch):
    monkeypatch.setattr(timing, "num_cores", lambda: 2)
    shared = many_classes._shared_out("model", "growing", 5, 3)
    for works in shared.values():
        inits = [init for work in works for init in work.inits]
        assert inits == [0, 1, 2]
        assert {work.rule for work in works} == {"growing"}
    assert [len(works) for works in shared.values()] == [1, 2]


@pytest.mark.slow
def test_both_rules_make_images_of_which_the_network_is_sure():
    folder = str(timing.ROOT / "saved_models" / "cifar10_cnn")
    found = {}
    for rule in many_classes.RULES:
        answer = many_classes.one(many_classes.Work(folder, rule, 0, 3, (0, 1)))
        assert answer["images"] == 2 * 3 * 3
        assert [one["converged"] for one in answer["said"]] == [1, 1]
        said = {
            name: [one[name] for one in answer["said"]] for name in answer["said"][0]
        }
        found[rule] = said | {many_classes.ONE: [9.0], many_classes.ONE_A_CORE: [27.0]}
    poster, growing = (np.mean(found[rule]["distance"]) for rule in many_classes.RULES)
    assert growing == pytest.approx(poster, rel=0.15)
    lines = many_classes.table({"cnn": found}).splitlines()
    assert len(lines) == 4
    assert "| cnn | growing | 9 (9 to 9) | 27 (27 to 27) | 3.0 |" in lines[3]
