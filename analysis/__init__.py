"""Why a converted policy loses return: how its action errors grow from decision to decision, and what they cost.

Xu et al. 2026, Sections 5 and 7.2, for any policy, from state or from pixels. `study.run` plays the episodes and writes
analysis.json (`document`); `report.analysis` makes pages of it. Nothing is imported here.
"""
