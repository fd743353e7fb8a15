"""Episodes and results for tests."""

from evaluation.episode_store import ANN, Compute, EpisodeKey, Method, Source

SNN = Method("snn", "if", "rate", None, 4, "residual", None, False, "theta")


def episode_key(
    alpha=0.5, episode=0, *, stream="report", seed=1, method=SNN, chunk=4, max_decisions=None, snapshot="abc", **compute
):
    values = dict(
        device="cpu", threads=1, dtype=None, chunk=chunk, max_batch_bytes=1, renderer=None, packages=(), code=""
    )
    source = Source(snapshot, "cartpole_swingup", "state", 3, 2)
    method, alpha = (ANN, None) if alpha is None else (method, alpha)
    return EpisodeKey(source, method, alpha, stream, seed, episode, max_decisions, Compute(**(values | compute)))
