"""Pages of analyses (analysis.json), of one or several side by side: Markdown, HTML and figures."""
