"""Explorers: ipywidgets in which the reader guesses before the answer is shown."""
