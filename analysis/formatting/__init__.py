"""Format numbers and tables as text, Markdown and LaTeX."""
