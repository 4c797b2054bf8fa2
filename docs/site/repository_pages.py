"""A Sphinx extension: the pages of a repository as a site.

Links to source files and folders lead to pages that show them, and so do names of the
Python API. Settings and examples
in docstrings, which napoleon does not know, are written as it knows them.
"""

import ast
import dataclasses
import importlib
import inspect
import operator
import pathlib
import re
from collections.abc import Iterator
from html import escape

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

# Other files, such as tables of results, are downloads.
SHOWN = {".py": "python", ".js": "javascript", ".cff": "yaml"}
PAGE = re.compile(r"\b(docs/\w+)\.md\b")
FOLDER = "source"
# Of the place of a line on such a page.
LINE = "line"


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_config_value("site_contents", {}, "env", [dict])
    app.connect("source-read", _add_contents)
    # Before Sphinx collects what it takes for downloads, and napoleon its sections.
    app.connect("doctree-read", _lead_to_source_pages, priority=400)
    app.connect("autodoc-process-docstring", _write_sections, priority=400)
    app.connect("missing-reference", _find_by_its_last_words)
    app.connect("html-collect-pages", _source_pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def _add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """What is at the side of every page, which the first page does not show."""
    if docname != app.config.root_doc:
        return
    for caption, pages in app.config.site_contents.items():
        lines = "\n".join(pages)
        source[0] += (
            f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"
        )


def _lead_to_source_pages(app: Sphinx, document: nodes.document) -> None:
    """Of every documented name a link to its lines, and every link to a file."""
    for signature in document.findall(addnodes.desc_signature):
        if found := _where_defined(signature["module"], signature["fullname"]):
            path, line = found
            uri = f"{_shown(app, path)}#{LINE}-{line}"
            text = nodes.inline("", "[source]", classes=["viewcode-link"])
            signature.append(nodes.reference("", "", text, refuri=uri))
    links = [
        *document.findall(addnodes.download_reference),
        *document.findall(addnodes.pending_xref),
    ]
    for link in links:
        if link.get("reftype") != "myst" or link.get("refdomain"):
            continue
        _, name = app.env.relfn2path(link["reftarget"], app.env.docname)
        path = pathlib.Path(name)
        if path.suffix in SHOWN or path.is_dir():
            uri = _shown(app, path)
            link.replace_self(nodes.reference("", "", *link.children, refuri=uri))


def _shown(app: Sphinx, path: pathlib.Path) -> str:
    """The address of a file's or folder's page, which will be made."""
    shown = app.env.__dict__.setdefault("shown_files", set())
    shown.update([path, *_files_of(path)])
    page = _page_name(path.relative_to(app.srcdir).as_posix())
    return app.builder.get_relative_uri(app.env.docname, page)


def _where_defined(module: str, name: str) -> tuple[pathlib.Path, int] | None:
    """File and line of a class or function; `None` of an attribute."""
    try:
        value = operator.attrgetter(name)(importlib.import_module(module))
        value = getattr(value, "fget", None) or getattr(value, "func", value)
        lines = inspect.getsourcelines(value)
        return pathlib.Path(inspect.getsourcefile(value)).resolve(), lines[1]
    except (AttributeError, TypeError):
        return None


def _page_name(name: str) -> str:
    return f"{FOLDER}/{name}"


def _files_of(path: pathlib.Path) -> list[pathlib.Path]:
    """What the page of a folder lists."""
    if not path.is_dir():
        return []
    return sorted(file for file in path.iterdir() if file.suffix in SHOWN)


def _source_pages(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    for path in sorted(app.env.__dict__.get("shown_files", ())):
        name = path.relative_to(app.srcdir).as_posix()
        if path.is_dir():
            items = "".join(_item(file, path.name) for file in _files_of(path))
            body = f"<ul>{items}</ul>"
        else:
            body = app.builder.highlighter.highlight_block(
                path.read_text(), SHOWN[path.suffix], force=True, lineanchors=LINE
            )
        title = escape(name)
        context = {"title": title, "body": f"<h1>{title}</h1>{body}"}
        yield _page_name(name), context, "page.html"


def _item(file: pathlib.Path, folder: str) -> str:
    """A file of a folder, with what its first line says."""
    about = ""
    if file.suffix == ".py":
        docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
        about = escape(docstring.partition("\n")[0])
    link = f'<a href="{folder}/{file.name}.html"><code>{file.name}</code></a>'
    return f"<li>{link} {about}</li>"


def _write_sections(app, kind, name, documented, options, lines: list[str]) -> None:
    """Settings as arguments, examples as code, links to pages."""
    lines[:] = [PAGE.sub(r":doc:`/\1`", line) for line in lines]
    if kind == "property":
        # What is before a colon in a line would be the type.
        lines[:1] = lines[0].replace(": ", ":\n").split("\n")
    if "Example:" in lines:
        place = lines.index("Example:")
        lines[place : place + 1] = [".. rubric:: Example", "", "::", ""]
    if kind != "class" or not dataclasses.is_dataclass(documented):
        return
    fields = [f for f in dataclasses.fields(documented) if f.metadata.get("help")]
    if fields:
        arguments = [f"    {field.name}: {_about(field)}" for field in fields]
        place = lines.index("Raises:")
        lines[place:place] = ["Args:", *arguments, ""]


def _find_by_its_last_words(app, env, link, contents):
    """A name that a docstring has without its package, such as `ConfusionResults`."""
    if link.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    found = [name for name in domain.objects if name.endswith(f".{link['reftarget']}")]
    if len(found) != 1:
        return None
    return domain.resolve_xref(
        env, link["refdoc"], app.builder, "obj", found[0], link, contents
    )


def _about(field: dataclasses.Field) -> str:
    """What a setting does, as --help prints it."""
    unset = field.metadata["unset"]
    default = unset if field.default is None and unset else f"``{field.default!r}``"
    # Else two hyphens become a dash.
    text = re.sub(r"--\w[\w-]*", r"``\g<0>``", field.metadata["help"])
    return f"{text} (default: {default})"
