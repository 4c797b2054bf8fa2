"""Whether the study in a folder is the one that is asked for."""

import json
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

# Takes two identities and says in words what differs.
Differences: TypeAlias = Callable[[dict, dict], list[str]]


def different(
    stored: dict,
    asked: dict,
    added_settings: Mapping[str, Any],
    growing: Collection[str],
    differences: Differences,
) -> list[str]:
    """What makes another study of what is asked for, in words; empty if nothing.

    Args:
        stored: What `study.json` says.
        asked: What it would say of the study that is asked for.
        added_settings: See `StudyFolder.begin_or_resume`, as the others.
        growing: See there.
        differences: See there.
    """
    asked = json.loads(json.dumps(asked))
    had, wanted = ({**added_settings, **said["settings"]} for said in (stored, asked))
    has_identity = "identity" in stored
    found = []
    # A setting that is at its default may be in neither of the two.
    for name, value in (dict.fromkeys(had) | wanted).items():
        before = had.get(name)
        if name == "dataset" and (has_identity or _same_place(str(before), str(value))):
            continue
        if name in growing and before is not None and before < value:
            continue
        if before != value:
            found.append(f"{name}: {before!r} in the folder, {value!r} asked for")
    for name in ("class_names", "dataset_fingerprint"):
        if stored[name] == asked[name]:
            continue
        if name == "dataset_fingerprint" and asked[name].startswith(f"{stored[name]} "):
            found.append(
                f"{name}: the version that began the study read other pixels from "
                "these images. Its networks can be analysed (analyse_study), but no "
                "others be added"
            )
        else:
            found.append(f"{name}: the data set is not the same any more")
    if has_identity and not found:
        found += differences(stored["identity"], asked["identity"])
    return found


def _same_place(one: str, other: str) -> bool:
    """Whether two names of data are the same path, or the same name of a data set."""
    one, other = (os.path.expanduser(name) for name in (one, other))
    return one == other or (
        os.path.exists(other) and os.path.abspath(one) == os.path.abspath(other)
    )
