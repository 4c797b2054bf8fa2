"""What the commands do: run it, with a progress bar, and print what came out."""

import dataclasses
import pathlib
import shlex
import shutil
import sys
from typing import Unpack

from keras_confusion.cli.exit_codes import EXIT_ERROR, EXIT_OK
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import planner
from keras_confusion.confusion import study as confusion_study
from keras_confusion.confusion.settings import ConfusionOptions, ConfusionSettings
from keras_confusion.errors import StudyLockedError
from keras_confusion.execution import backends, provenance, runtime
from keras_confusion.execution.progress import Progress
from keras_confusion.explanations import run
from keras_confusion.prototypes import study as prototype_study
from keras_confusion.prototypes.settings import PrototypeOptions, PrototypeSettings
from keras_confusion.reports import study_report
from keras_confusion.reports.report_files import Report
from keras_confusion.reports.tensorboard.confusion_events import (
    StudySummaries,
)
from keras_confusion.reports.tensorboard.prototype_events import (
    PrototypeSummaries,
)
from keras_confusion.storage.study_folder import StudyFolder
from keras_confusion.training.settings import ClassifierOptions, ClassifierSettings


def run_confusion_study(
    directory,
    *,
    data_dir=None,
    test=None,
    workers=None,
    backend=backends.LOKY,
    address=None,
    networks_per_program=None,
    readout_baselines=confusion_study.READOUT_BASELINES,
    keep_logits=False,
    **options: Unpack[ConfusionOptions],
) -> int:
    """Runs a confusion study with a progress bar, writes the report and prints it.

    Args are those of `study.run_confusion_study`, and `test` that of
    `study_report.write_report`.

    Returns:
        0, or 1 if a network has no result.

    Raises:
        ValueError: If there is no such test, or one within repeats is asked for where
            no networks share their seeds, and as `study.run_confusion_study`.
    """
    directory = pathlib.Path(directory)
    settings = ConfusionSettings(**options)
    if test == comparison_findings.PAIRED and not settings.shared_seeds:
        raise ValueError(
            "Expected networks that share the seeds of their repeat for the paired "
            "test. Received: --own-seeds. Use another --test, whose networks need not."
        )
    writer = StudySummaries(directory, test or comparison_findings.DEFAULT_TEST)
    try:
        summary = confusion_study.run_confusion_study(
            directory,
            settings,
            workers=workers,
            backend=backend,
            address=address,
            networks_per_program=networks_per_program,
            readout_baselines=readout_baselines,
            keep_logits=keep_logits,
            data_dir=data_dir,
            on_network=writer.add_network,
            verbose=1,
        )
    finally:
        writer.close()
    print(
        f"{summary.num_trained} of {summary.num_networks} networks trained in "
        f"{summary.seconds / 60:.1f} minutes.\n",
        file=sys.stderr,
    )
    _print_report(StudyFolder.open(directory), test=test)
    for title, networks in (
        ("Trained a second time, as the first failed", summary.retried),
        ("FAILED twice, without a result", summary.failed),
    ):
        if networks:
            print(f"{title}: {'; '.join(networks)}.")
    return EXIT_ERROR if summary.failed else EXIT_OK


def run_prototype_study(
    directory,
    *,
    data_dir=None,
    networks_of=None,
    workers=None,
    inits_at_a_time=None,
    images_at_a_time=None,
    **options: Unpack[PrototypeOptions],
) -> int:
    """Runs a prototype study with progress bars, writes the report and prints it.

    Returns:
        0.
    """
    directory = pathlib.Path(directory)
    settings = PrototypeSettings(**options)
    listener = _PrototypeListener(directory)
    try:
        summary = prototype_study.run_prototype_study(
            directory,
            settings,
            data_dir=data_dir,
            networks_of=networks_of,
            workers=workers,
            inits_at_a_time=inits_at_a_time,
            images_at_a_time=images_at_a_time,
            listener=listener,
            verbose=1,
        )
    finally:
        listener.summaries.close()
    print(
        f"{summary.num_trained} intervals trained, prototypes of {summary.num_parts} "
        f"of {summary.num_all_parts} intervals x initialisations made in "
        f"{summary.seconds / 60:.1f} minutes.\n",
        file=sys.stderr,
    )
    _print_report(StudyFolder.open(directory))
    return EXIT_OK


class _PrototypeListener(prototype_study.Listener):
    def __init__(self, directory: pathlib.Path):
        self.summaries = PrototypeSummaries(directory)

    def network(self, percentage):
        self.summaries.add_network(percentage)

    def interval(self, percentage):
        self.summaries.add_prototypes(percentage)


def train_classifier(
    directory, *, data_dir=None, **options: Unpack[ClassifierOptions]
) -> int:
    """Trains a classifier with a progress bar, tests it and saves it.

    Args:
        directory: The folder of the saved model; replaced if it is one already.
        data_dir: Where TensorFlow Datasets keeps its data.
        **options: The fields of `settings.ClassifierSettings`.

    Returns:
        0.
    """
    directory = pathlib.Path(directory)
    settings = ClassifierSettings(**options)
    runtime.start_tensorflow(deterministic=settings.deterministic)
    from keras_confusion.training import trained_model

    trained, dataset = trained_model.train_and_save(
        directory, settings, data_dir=data_dir
    )
    print(
        f"Test accuracy {trained.tested.accuracy:.4f} (cross-entropy "
        f"{trained.tested.loss:.3f}) on {dataset.test.num_examples} images, trained in "
        f"{trained.seconds / 60:.1f} minutes."
    )
    for name, accuracy in zip(
        dataset.class_names, trained.tested.class_accuracies, strict=True
    ):
        print(f"  {accuracy:.3f}  {name}")
    if (tested := trained.robustness) is not None:
        print(
            f"Under PGD with 20 steps, {tested['norm']}, on {tested['num_images']} of "
            "these images:"
        )
        for eps, accuracy in zip(tested["eps"], tested["accuracy"], strict=True):
            print(f"  {accuracy:.3f}  eps {eps:.4g}")
    print(f"Saved in {directory}: model.keras, saved_model/, model.json")
    return EXIT_OK


def analyse_study(directory, *, test=None) -> int:
    """Rebuilds everything in a study's folder that is not a result, and prints it.

    Args:
        directory: The study's folder.
        test: See `study_report.write_report`.
    """
    folder = StudyFolder.open(directory)
    try:
        study_report.rewrite_events(folder, test=test)
    except StudyLockedError:
        print("The study is running: its scalars are left to it.", file=sys.stderr)
    _print_report(folder, test=test)
    return EXIT_OK


def plan_study(source, effect, **options) -> int:
    """Prints how many repeats a study needs; see `planner.plan_study`."""
    print(planner.sentence(planner.plan_study(source, effect, **options)))
    return EXIT_OK


def probe_saved_model(
    model,
    *,
    from_class,
    to_class,
    out,
    image_size=None,
    input_range=None,
    class_names=None,
    answers=None,
    **settings,
) -> int:
    """Probes two classes of a saved model, writes what came out and prints it.

    Args:
        model: See `loading.load_probe`.
        from_class: Name or label of the class that is dragged to the other.
        to_class: Name or label of the other.
        out: The folder to write, see `pair_report.check_folder`.
        image_size: See `loading.load_probe`.
        input_range: See `loading.Meaning`, as the next two.
        class_names: Names in the order of the classes.
        answers: What the model answers with.
        **settings: The fields of `pair.PairSettings`.

    Returns:
        0.
    """
    directory = pathlib.Path(out)
    runtime.start_tensorflow()
    from keras_confusion.models import loading
    from keras_confusion.prototypes import pair as prototype_pair
    from keras_confusion.reports import pair_report

    chosen = prototype_pair.PairSettings(**settings)
    pair_report.check_folder(directory)
    meaning = loading.Meaning(input_range, class_names, answers)
    probe = loading.load_probe(model, image_size=image_size, meaning=meaning)
    labels = prototype_pair.resolve_pair((from_class, to_class), probe.class_names)
    num_images = prototype_pair.num_images(chosen)
    print(f"Loaded {model}; {num_images} images to optimise.", file=sys.stderr)
    progress = Progress(num_images, done=0, unit="images")
    try:
        probed = prototype_pair.probe_pair(
            probe, labels, chosen, on_progress=progress.show
        )
    finally:
        progress.close()
    optimizer = chosen.optimizer(probe)
    made = pair_report.write_pair_report(
        directory,
        probed,
        {
            "model": str(model),
            "input_shape": list(probe.input_shape),
            "num_classes": len(probe.class_names),
            "input_range": list(probe.input_range),
            "answers": probe.answers,
            "assumed": list(probe.assumed),
            "settings": dataclasses.asdict(chosen)
            | {
                name: getattr(optimizer, name)
                for name in ("update_rule", "learning_rate", "steps", "transformations")
            },
            "provenance": provenance.provenance(),
        },
    )
    print(made.text)
    print(f"Arrays:      {directory}/prototypes.npz")
    print(f"Images:      {directory}/images/*.png")
    _print_files(directory, made)
    return EXIT_OK


def explain_generalization(
    directory,
    *,
    target,
    pair,
    repeats=3,
    units=6,
    dataset=None,
    data_dir=None,
    model=None,
) -> int:
    """Explains a generalization, see `run.explain_generalization`; prints it.

    Returns:
        0.
    """
    folder = StudyFolder.open(directory)
    explanation = run.explain_generalization(
        folder,
        target=target,
        pair=pair,
        repeats=repeats,
        units=units,
        dataset=dataset,
        data_dir=data_dir,
        model=model,
    )
    from keras_confusion.reports import explanation_report

    made = explanation_report.write_explanation(
        folder.path,
        explanation,
        explanation_report.study_finding(folder, explanation.target, explanation.pair),
    )
    print(made.text)
    print("Tables:      " + "\n             ".join(map(str, made.table_files)))
    _print_figures(folder.path, made)
    return EXIT_OK


def _print_report(folder: StudyFolder, *, test: str | None = None) -> None:
    made = study_report.write_tables_and_figures(folder, test=test)
    print(made.text)
    _print_files(folder.path, made)


def _print_files(directory: pathlib.Path, made: Report) -> None:
    print(f"Tables:      {directory}/tables/*.csv ({len(made.table_files)} files)")
    _print_figures(directory, made)


def _print_figures(directory, made: Report) -> None:
    print("Figures:     " + "\n             ".join(map(str, made.figure_files)))
    print(f"TensorBoard: {_tensorboard()} --logdir {shlex.quote(str(directory))}")


def _tensorboard() -> str:
    """How to start TensorBoard from here; `make study` activates no environment."""
    beside_python = pathlib.Path(sys.executable).with_name("tensorboard")
    if shutil.which("tensorboard") or not beside_python.exists():
        return "tensorboard"
    if beside_python.is_relative_to(pathlib.Path.cwd()):
        beside_python = beside_python.relative_to(pathlib.Path.cwd())
    return shlex.quote(str(beside_python))
