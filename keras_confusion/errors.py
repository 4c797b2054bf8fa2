"""Exceptions shared by modules that must not import each other."""


class StudyFolderError(RuntimeError):
    """A study folder cannot be used as asked; the message says why and what to do."""


class StudyLockedError(StudyFolderError):
    """Another process is writing to the study."""


class NonFiniteLossError(RuntimeError):
    """Training went to NaN or infinity; the message says in which epoch."""


class DeviceMemoryError(RuntimeError):
    """Networks do not fit into the memory of the device; the message says what does."""


class WorkersKilledError(RuntimeError):
    """Worker processes die again and again; the message says what to try."""


class ClusterError(RuntimeError):
    """A cluster cannot be used as asked, or was lost; the message says what to do."""
