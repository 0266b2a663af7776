"""Pictures of a study and of a design, drawn by matplotlib, which is loaded with the first one."""

from lightsearch.plots.plots import Plots, plot_design

__all__ = ["Plots", "plot_design"]
