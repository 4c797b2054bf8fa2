"""The contract between who writes a study's event files and who shows them.

A study's folder is a logdir. Runs are folders below it; these are their names, the tags
of what TensorBoard's own dashboards show, and the tags, columns and axes of what the
plugin shows. Written by `keras_confusion` alone, read by this package alone.
"""

import json

PLUGIN_NAME = "keras_confusion"
# Of the plugin's tags. A reader refuses a newer one, politely.
SCHEMA_VERSION = 2

# Scalars; rewritten when a study starts or is resumed, then appended to. Of a
# confusion study, the plugin's data too.
TRAINING_RUN = "events/training"
# Figures; rewritten with every report.
REPORT_RUN = "events/report"
# A run below it for each explanation of a generalization; rewritten with it.
EXPLANATIONS_RUN = "events/explanations"

# Scalars whose step is the number of networks that were finished. These and the
# accuracies below have a point a block of TAG_NETWORKS, its mean; numbers, the last.
TAG_NETWORKS_DONE = "progress/networks_done"
TAG_NETWORKS_FAILED = "progress/networks_failed"
TAG_SECONDS = "progress/seconds_per_network"
TAG_TRAINING_LOSS = "progress/final_training_loss"
# Scalars whose step counts the networks of the group.
TAG_BASELINE_ACCURACY = "accuracy/baseline"
TAG_CONFUSED_ACCURACY = "accuracy/confused"
# Of single classes and arms; left out of studies of more than MAX_PAIR_CURVES pairs.
PREFIX_BASELINE_CLASS = "baseline_accuracy_of_class/"
PREFIX_ARM_ACCURACY = "accuracy_of_arm/"
MAX_PAIR_CURVES = 500

# Images, one tag per figure, named like its file.
PREFIX_FIGURE = "figures/"

# A prototype study. Scalars whose step is the percentage of the training, and the
# plugin's data.
PROTOTYPES_RUN = "events/prototypes"
TAG_TEST_ACCURACY = "accuracy/test"
PREFIX_TEST_ACCURACY_OF_CLASS = "test_accuracy_of_class/"
# Means over the initialisations, columns of tables/trends.csv.
PREFIX_PROTOTYPES = "prototypes/"
PROTOTYPE_MEASURES = (
    "mean_c",
    "sd_c",
    "mean_r",
    "sd_r",
    "m_g",
    "m_adv",
    "outliers_c_pooled",
    "outliers_c_of_means",
    "outliers_r_pooled",
    "outliers_r_of_means",
    "within_cosine_mean",
    "between_cosine_mean",
    "num_not_converged",
)
# Scalars whose step counts the epochs.
TAG_EPOCH_LOSS = "training/loss"
TAG_EPOCH_ACCURACY = "training/accuracy"

# A pair of classes that was probed. Scalars and images whose step is the number of the
# initialisation.
PROBE_RUN = "events/probe"
PREFIX_PROBE_LOSS = "loss/"
PREFIX_PROBE_ITERATIONS = "iterations/"
PREFIX_PROBE_DISSIMILARITY = "dissimilarity/"
PREFIX_PROBE_IMAGE = "images/"

# --- The plugin's own tags. K classes, P pairs. -----------------------------------

# What a run is about: a JSON text, a string tensor of shape (1,) at step 0; the keys
# are those of CONFUSION_KEYS or PROTOTYPE_KEYS. A run with this tag is a study.
TAG_STUDY = "plugin/study"
KIND_CONFUSION = "confusion"
KIND_PROTOTYPES = "prototypes"

CONFUSION_KEYS = (
    "kind",  # KIND_CONFUSION
    "class_names",  # K strings, in the order of the labels
    "pairs",  # P lists [a, b] of labels, a < b
    "num_planned",  # networks of the whole study
    "columns",  # of TAG_BY_CLASS and TAG_BY_PAIR; CELL_COLUMNS today
    "reasons",  # texts to which the column `reason` points
    "has_all_pairs",  # if not, there is no TAG_BY_CLASS
    "test",  # of TEST_TITLES, whose numbers t, q_value, ... are; EARLIER_TEST without
    "settings",  # what the study was asked for: names to JSON values
)

# The significance tests that a study can be told by, and what their t is called.
TEST_TITLES = {
    "moderated": "moderated t",
    "paired": "paired t",
    "welch": "Welch's t",
}
# That of the studies of earlier versions, which do not say it.
EARLIER_TEST = "welch"

# Finished networks, counted from 1, in blocks of any number n: a block's step is the
# number of its last network, so that it holds networks step - n + 1 to step.
# float64 (n, 5): NETWORK_COLUMNS.
TAG_NETWORKS = "plugin/networks"
NETWORK_COLUMNS = (
    "pair",  # number of the pair in `pairs`, -1 for the baseline
    "repeat",
    "failed",  # 0 or 1
    "finished_at",  # seconds since 1970
    "seconds",  # that its training took
)
# The same blocks, unsigned integers (n, 2 K): how many test images of every class the
# network got right, then the same without its own pair. The largest number of the type
# stands for none: for the two classes of the pair, for the baseline's second half, for
# failed networks and for classes without test images.
TAG_CORRECT = "plugin/correct_images"
# int64 (K,): the test images of every class. A share of them is an accuracy.
TAG_TEST_IMAGES = "plugin/test_images"
# In place of these three, version 1 had one network a step: float64 (5 + 2 K,),
# NETWORK_COLUMNS, then the accuracies, then those without the pair; NaN for none.
TAG_NETWORK = "plugin/network"
# Of a baseline network, at its number: float32 (P, K), its accuracy without each pair
# in turn. Left out of studies with P * K > MAX_PAIR_CELLS, or with more than
# MAX_BASELINE_CELLS of all planned baseline networks.
TAG_BASELINE_WITHOUT_PAIR = "plugin/baseline_without_pair"
MAX_PAIR_CELLS = 50_000
MAX_BASELINE_CELLS = 50_000_000

# The comparisons. Their step is the number of networks that entered.
RESPONSES = ("accuracy", "accuracy_without_pair")
# float64 (2, K, K, columns): response, target, class; NaN on the diagonal.
TAG_BY_CLASS = "plugin/target_by_class"
# float64 (2, P, K, columns): response, pair, target. Left out of studies with
# P * K > MAX_PAIR_CELLS.
TAG_BY_PAIR = "plugin/target_by_pair"
# float64 (P, K): what is taken from a network's accuracy_without_pair before the
# networks of different pairs are compared (target by class).
TAG_LEVEL_SHIFTS = "plugin/level_shifts"
# int64 (K,): labels, similar classes beside each other. Only where they were clustered.
TAG_CLASS_ORDER = "plugin/class_order"

# Accuracies are shares; points are percentage points, confused minus comparison; bits
# are positive where not confusing gains information. The difference, its interval, t,
# df, p_value, q_value and reason are those of the study's test; those of every test are
# in columns of their own.
CELL_COLUMNS = (
    "n_confused",
    "n_comparison",
    "mean_confused",
    "mean_comparison",
    "sd_confused",
    "sd_comparison",
    "difference_points",
    "ci_low_points",
    "ci_high_points",
    "t",
    "df",
    "p_value",
    "q_value",
    "hedges_g",
    "hedges_g_ci_low",
    "hedges_g_ci_high",
    "kl_bits",
    "kl_noise_floor_bits",
    "entropy_bits",
    "mutual_information_bits",
    "log_likelihood_bits",
    "welch_difference_points",
    "welch_ci_low_points",
    "welch_ci_high_points",
    "welch_t",
    "welch_df",
    "welch_p_value",
    "welch_q_value",
    "paired_n",
    "paired_difference_points",
    "paired_ci_low_points",
    "paired_ci_high_points",
    "paired_t",
    "paired_p_value",
    "paired_q_value",
    "paired_correlation",
    # With variances that the cells of a target share.
    "moderated_n",
    "moderated_difference_points",
    "moderated_ci_low_points",
    "moderated_ci_high_points",
    "moderated_t",
    "moderated_df",
    "moderated_p_value",
    "moderated_q_value",
    "reason",  # number of the text in `reasons` why there is no test; 0: there is one
)
# Those that studies of earlier versions lack: NaN there.
ADDED_COLUMNS = frozenset(
    name
    for name in CELL_COLUMNS
    if name.startswith(("welch_", "moderated_")) or name == "paired_q_value"
)

PROTOTYPE_KEYS = (
    "kind",  # KIND_PROTOTYPES
    "class_names",  # K strings, in the order of the labels
    "intervals",  # percent of the training, rising
    "num_initialisations",
    "image_shape",  # [height, width, channels], of 1 or 3 channels
    "num_frames",  # of TAG_FRAMES; 0 without
    "image_scale",  # side of a cell of the overview / side of an image, at most 1
    "measures",  # columns of TAG_MEASURES
    "trends",  # columns of TAG_TRENDS
    # Digits of its weights at the first interval: studies with the same ones show the
    # same network. "" where unknown, as in studies of earlier versions.
    "network",
    # What the study was asked for: names to JSON values. `accuracy_of`, "validation" or
    # "training", says what test_accuracy is measured on; without it, on test data.
    "settings",
)

# Of a prototype study; their step is the number of the interval, from 0.
# float64 (initialisations, measures): one row of tables/by_initialisation.csv each,
# without interval and initialisation; NaN where a part is not finished.
TAG_MEASURES = "plugin/measures"
# float64 (trends,): a row of tables/trends.csv.
TAG_TRENDS = "plugin/trends"
# One tag per initialisation, its number at the end.
# float32 (K, K, 4): target, origin, IMAGE_COLUMNS.
PREFIX_CELLS = "plugin/cells/"
IMAGE_COLUMNS = (
    "loss",  # cross-entropy toward the target, nats
    "iterations",
    "converged",  # 0 or 1
    "predicted",  # the most probable label, -1 where unknown
)
# Dissimilarities, (K, K, K): float32, or float16 of more than MAX_FULL_CLASSES classes.
# Left out where the network shows no features, or there are class prototypes only.
PREFIX_C = "plugin/c/"  # C[target, origin, other target]
PREFIX_R = "plugin/r/"  # R[target, origin, other origin]
# PNG files, a blob sequence. First the overview, K x K images, targets as rows and
# origins as columns, scaled by `image_scale`; where that is below 1, K more: the row of
# each target in full size.
PREFIX_IMAGES = "plugin/images/"
# PNG files, a blob sequence of K: of each target, origins as rows and frames as
# columns, from the first image to the last. Of at most MAX_FULL_CLASSES classes.
PREFIX_FRAMES = "plugin/frames/"
MAX_FULL_CLASSES = 32
# Longest side of an overview, pixels; images are made smaller to fit.
MAX_OVERVIEW_PIXELS = 1200
# Of any picture; what is larger is not sent to a browser.
MAX_PICTURE_SIDE = 2**15
MAX_PICTURE_PIXELS = 2**26


def plugin_content() -> bytes:
    """What the metadata of every plugin tag says: the version of this contract."""
    return json.dumps({"version": SCHEMA_VERSION}).encode()
