"""
Links to files of the repository become links to pages of the site.

In: links such as ```training <training.rst>`_``, which work wherever the repository can
be looked at. Out: references to pages; Sphinx warns of those that do not exist.
"""

import posixpath

from docutils import nodes
from sphinx import addnodes

# Files outside of this folder that pages include.
PAGES_OF_FILES = {
    "CHANGES": "changes",
    "CONTRIBUTING": "contributing",
    "LICENSE": "license",
    "README": "index",
}


def page_of(uri, docname):
    """Return the page of a file, or None if it is no file that becomes a page."""
    path, extension = posixpath.splitext(uri)
    if ":" in uri or extension not in (".rst", ".ipynb"):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(docname), path))
    path = path.removeprefix("docs/").removeprefix("../")
    return PAGES_OF_FILES.get(path, path)


def link_pages(app, doctree):
    docname = app.env.docname
    for reference in list(doctree.findall(nodes.reference)):
        page = page_of(reference.get("refuri", ""), docname)
        if page is not None:
            link = addnodes.pending_xref(
                "",
                nodes.inline("", reference.astext()),
                refdomain="std",
                reftype="doc",
                reftarget=f"/{page}",
                refdoc=docname,
                refexplicit=True,
                refwarn=True,
            )
            link.source, link.line = reference.source, reference.line
            reference.replace_self(link)


def setup(app):
    app.connect("doctree-read", link_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
