"""Rendering: figures to images, text for HTML, LaTeX and Markdown, and templates to pages."""
