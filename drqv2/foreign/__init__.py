"""Readers of other programs' policies, behind `drqv2.snapshot.load_policy`. None of them runs anything of a file.

drqv2_agent        whole DrQ-v2 agents, as facebookresearch/drqv2 and the conversion paper's repository publish them
state_dicts        the conversion paper's DDPG, TD3 and SAC actors, CleanRL's models, plain chains of layers
stable_baselines3  zips of stable-baselines3 and sb3-contrib, with their VecNormalize statistics (vecnormalize)
network            layers → a network for the task's observations and actions
"""
