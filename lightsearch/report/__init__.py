"""Reports of a study: one HTML page, Markdown, one design in full, TensorBoard event files."""

from lightsearch.report.design import design_text, write_design
from lightsearch.report.steps import write_steps
from lightsearch.report.study import write_html, write_markdown

__all__ = ["design_text", "write_design", "write_html", "write_markdown", "write_steps"]
