"""The contract between who writes a study's event files and who shows them.

A study's folder is a logdir. Runs are folders below it; these are their names, and the
tags of what TensorBoard's own dashboards show.
"""

# Scalars; rewritten when a study starts or is taken up again, then appended to.
TRAINING_RUN = "events/training"
# Figures; rewritten with every report.
REPORT_RUN = "events/report"

# Scalars whose step is the number of networks that were finished.
TAG_NETWORKS_DONE = "progress/networks_done"
TAG_NETWORKS_FAILED = "progress/networks_failed"
TAG_SECONDS = "progress/seconds_per_network"
TAG_TRAINING_LOSS = "progress/final_training_loss"
# Scalars whose step counts the networks of the group.
TAG_BASELINE_ACCURACY = "accuracy/baseline"
TAG_CONFUSED_ACCURACY = "accuracy/confused"
PREFIX_BASELINE_CLASS = "baseline_accuracy_of_class/"
PREFIX_ARM_ACCURACY = "accuracy_of_arm/"

# Images, one tag per figure, named like its file.
PREFIX_FIGURE = "figures/"

# A prototype study. Scalars whose step is the percentage of the training.
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
