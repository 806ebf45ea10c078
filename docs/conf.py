"""Sphinx's settings of the site that docs/build.py builds: nothing is run again, and nothing loaded from elsewhere."""

import re

from rmapmodel import __version__

project = "rmapmodel"
author = "The rmapmodel authors"
copyright = "the rmapmodel authors, MIT licence"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
default_role = "code"
smartquotes = False
toc_object_entries = False

nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = []
myst_heading_anchors = 3
myst_heading_slug_func = "rmapmodel.report.pages.heading_id"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"rmapmodel {__version__}"
html_copy_source = False
html_show_sphinx = False


def setup(app):
    app.connect("autodoc-process-docstring", quote_message_ids)


def quote_message_ids(app, what, name, obj, options, lines):
    """The ids of mails that docstrings name as sources look like addresses to write to; they are none."""
    lines[:] = [re.sub(r"[\w.$+-]+@[\w.-]+\w", r"``\g<0>``", line) for line in lines]
