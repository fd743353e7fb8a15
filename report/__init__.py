"""Results on disk → tables, figures, report.html: knows files, not torch.

Reads results only through `evaluation.result` and computes statistics only with `evaluation.statistics`.
"""
