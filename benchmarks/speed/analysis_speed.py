"""What the analysis of one study takes, step by step, in a process of its own.

    python -m benchmarks.speed.analysis_speed STUDY

prints seconds of every step and the peak of the process's memory as JSON on its last
line. The report holds the steps before it again, and writes tables and figures.
"""

import argparse
import json
import pathlib
import resource
import sys
import time

MEMORY = "memory"


def measure_study(directory: pathlib.Path) -> dict[str, float]:
    """Analyses a study; seconds by step, and memory in MB."""
    from keras_confusion.comparisons import responses, target_by_class, target_by_pair
    from keras_confusion.confusion import store as confusion_store
    from keras_confusion.reports import study_report
    from keras_confusion.storage.study_folder import StudyFolder

    memory_before, processor_before = peak_memory_mb(), time.process_time()
    seconds, clock = {}, time.perf_counter()

    def done(step: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[step], clock = now - clock, now

    folder = StudyFolder.open(directory)
    names = folder.class_names
    collector = responses.ResponseCollector(
        confusion_store.read_test_labels(folder),
        num_classes=len(names),
        pairs=folder.settings["pairs"],
    )
    # Networks are never in memory all together: the steps take turns.
    reading, counting = 0.0, 0.0
    for networks in confusion_store.iterate_networks(directory):
        begun = time.perf_counter()
        reading += begun - clock
        for row in networks.to_dict("records"):
            collector.add(row)
        clock = time.perf_counter()
        counting += clock - begun
    study = collector.study()
    seconds["read the networks"] = reading
    seconds["both responses"] = counting + time.perf_counter() - clock
    clock = time.perf_counter()
    target_by_pair.target_by_pair(study, names)
    done("table target x pair")
    target_by_class.target_by_class(study, names)
    done("table target x class")
    del collector, study, networks
    clock = time.perf_counter()
    study_report.write_tables_and_figures(directory)
    done("whole report")
    seconds["processor time of all this"] = time.process_time() - processor_before
    return {**seconds, MEMORY: peak_memory_mb() - memory_before}


def peak_memory_mb() -> float:
    """The most memory that this process has had so far."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # Not getrusage: what it says began as the memory of the process that forked.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes elsewhere.
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=pathlib.Path)
    print(json.dumps(measure_study(parser.parse_args().study)))


if __name__ == "__main__":
    main()
