"""The front end's files, held in memory under a path that names their version.

Names come from the package and never from a request: a request is looked up in a dict.
"""

import dataclasses
import gzip
import hashlib
import importlib.resources
from importlib.resources.abc import Traversable

# Python's `mimetypes` knows what the machine's registry says. Browsers refuse modules
# of a wrong type.
CONTENT_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


@dataclasses.dataclass(frozen=True)
class StaticFile:
    """One file.

    Args:
        content_type: Its MIME type.
        gzipped: Its contents.
    """

    content_type: str
    gzipped: bytes


@dataclasses.dataclass(frozen=True)
class StaticFiles:
    """All files.

    Args:
        version: Of all contents; other contents have another.
        files: By name, relative, with "/".
    """

    version: str
    files: dict[str, StaticFile]

    def find(self, path: str) -> StaticFile | None:
        """Returns the file of `<version>/<name>`, None where there is none."""
        version, _, name = path.partition("/")
        # A page of another version would get modules that do not fit together.
        return self.files.get(name) if version == self.version else None


def read_static_files(root: Traversable | None = None) -> StaticFiles:
    """Reads and compresses all files of known types.

    Args:
        root: The folder; the package's unless given.
    """
    root = root or importlib.resources.files("tb_plugin") / "static"
    contents = dict(_walk(root, "")) if root.is_dir() else {}
    digest = hashlib.sha256()
    files = {}
    for name, content in sorted(contents.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
        suffix = name[name.rindex(".") :]
        files[name] = StaticFile(CONTENT_TYPES[suffix], gzip.compress(content, mtime=0))
    return StaticFiles(digest.hexdigest()[:12], files)


def _walk(folder: Traversable, prefix: str):
    """Yields name and contents of all files of known types."""
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _walk(entry, name + "/")
        elif name.endswith(tuple(CONTENT_TYPES)):
            yield name, entry.read_bytes()
