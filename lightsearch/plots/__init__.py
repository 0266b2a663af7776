"""Plots of a study and of a design. The first plot loads matplotlib."""

from lightsearch.plots.plots import Plots, plot_design

__all__ = ["Plots", "plot_design"]
