"""Pages of one analysis (analysis.json): what was found, as Markdown, HTML and figures."""
