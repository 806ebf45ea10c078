"""Figures: plots and structure diagrams of what studies and machines hold, and how notebooks publish them."""
