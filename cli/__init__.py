"""The edge between the command line and the libraries; nothing below imports Hydra or OmegaConf."""
