"""Batched rollouts of any policy, α selection, statistics, and the result file.

Nothing is imported here: the report reads `evaluation.result` and `evaluation.statistics` without loading torch.
"""
