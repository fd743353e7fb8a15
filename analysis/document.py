"""analysis.json: everything that one analysis measured, and what it takes to repeat it.

The file is an `Analysis` as JSON, field for field; its version counts changes of
the fields' meaning. What doesn't exist is null. Sums of rewards are returns unless `capped`.
"""

from typing import Any, ClassVar, Literal

from evaluation.result import ConversionRecord, PolicyRecord
from evaluation.statistics import Estimate, Interval
from runtime.schema import Document, Record

ANALYSIS = "analysis.json"


class EpisodeMean(Record):
    """A mean over episodes with its 95 % t interval (null below three episodes, of which none holds), and the episodes'
    own `values`. Episodes in which the quantity doesn't exist are left out of `values`."""

    mean: float
    low: float | None
    high: float | None
    values: list[float]

    @property
    def interval(self) -> Interval | None:
        """Both ends, where there are any."""
        return None if self.low is None or self.high is None else Interval(self.low, self.high)

    @property
    def ends(self) -> tuple[float, float]:
        """Those of the interval; the mean where there is none."""
        return self.interval or (self.mean, self.mean)

    @property
    def estimate(self) -> Estimate:
        """The mean and its interval alone."""
        return Estimate(self.mean, self.interval, len(self.values))


class Curve(Record):
    """A mean over episodes for each decision, with its 95 % t interval; below three episodes that is the mean
    itself."""

    mean: list[float]
    low: list[float]
    high: list[float]


class Cosine(Record):
    """One of `analysis.cosines`: over the episodes' means, and with large errors counting more; `pairs` of neighbouring
    decisions over all episodes, and how many of them were `skipped` because a difference was zero."""

    mean: EpisodeMean | None
    weighted: EpisodeMean | None
    pairs: int
    skipped: int


class Candidate(Record):
    """What an α is chosen by: `cosines` on the calibration episodes, `selection`: sums of rewards of the selection
    episodes (empty where nothing was to be chosen)."""

    alpha: float
    cosines: dict[str, Cosine]
    selection: list[float]


class Choice(Record):
    """`by_drift`: the α with the smallest mean drift, `by_return`: that with the largest mean sum of rewards, each on
    episodes that nothing else here is reported on; `given` where a single α was asked for."""

    candidates: list[Candidate]
    by_drift: float
    by_return: float
    given: bool


class LayerErrors(Record):
    """One spiking layer. `residuals`: cosine between what neighbouring decisions leave in it. The rest is relative to
    the root mean square of what a ReLU would answer to the same input: root mean squares of the layer's own `error`, of
    what is `inherited` from the layers before, and of each part (`sizes`); `shares`: of the squared error, by part,
    adding up to 1. None where nothing was taken apart, or the layer is silent."""

    name: str
    residuals: EpisodeMean | None
    error: EpisodeMean | None
    inherited: EpisodeMean | None
    sizes: dict[str, EpisodeMean]
    shares: dict[str, EpisodeMean]


class Erring(Record):
    """A policy that errs, such as the ANN with something added to its actions. `error`: root mean square size ‖δ‖ of
    what it does beside what the ANN would do there; `distance`: from the ANN's trajectory out of the same initial
    state."""

    reward_sum: EpisodeMean
    error: EpisodeMean
    cosines: dict[str, Cosine]
    distance: Curve


class MethodRecord(Erring):
    """The converted network under one α, on the report episodes.

    ann_on_snn      Σ r(s, a_ANN) over the states that it visits; snn_on_ann: Σ r(s, a_SNN) over those that the ANN
                    visits
    loss            the ANN's reward sum minus its own
    state, action   the loss in two parts: state = ANN − ann_on_snn, what the states cost with the ANN's actions;
                    action = ann_on_snn − SNN, what the actions cost where it is
    state_other, action_other  the same in the other order: snn_on_ann − SNN, and ANN − snn_on_ann
    consistency_on_ann  of its errors in the ANN's states; `error_on_ann`: root mean square of ‖δ‖ there; `bias`: share
                    of the squared error, in its own states, that is one constant vector over an episode
    growth          mean distance per window of `Analysis.windows`; `action_error`: ‖δ_k‖; `reward`: r_k
    disturbed       by kind, the ANN disturbed by its errors (see `analysis.disturbance`)
    """

    alpha: float
    ann_on_snn: EpisodeMean
    snn_on_ann: EpisodeMean
    loss: EpisodeMean
    state: EpisodeMean
    action: EpisodeMean
    state_other: EpisodeMean
    action_other: EpisodeMean
    consistency_on_ann: Cosine
    error_on_ann: EpisodeMean
    bias: EpisodeMean
    growth: list[EpisodeMean]
    action_error: Curve
    reward: Curve
    layers: list[LayerErrors]
    disturbed: dict[str, Erring]


class Chaos(Record):
    """The ANN with each action moved by one ulp, against the ANN; `unrelated`: distance of episodes from different
    initial states, for scale."""

    reward_sum: EpisodeMean
    distance: Curve
    growth: list[EpisodeMean]
    unrelated: list[float]


class Map(Record):
    """States in the plane of their two principal axes, fitted on the ANN's. `shares` of the variance; by policy ("ANN",
    "0", "0.4", ...): the whole trajectory of one episode [K][2], and states drawn evenly from all episodes [n][2]."""

    shares: list[float]
    trajectories: dict[str, list[list[float]]]
    visited: dict[str, list[list[float]]]


class Claim(Record):
    """A claim of the paper, tried on these episodes. `value`: what must be positive, in `unit`; `p`: that it is 0, and
    `adjusted` (Holm) for the number of claims that the analysis tries; both null where no interval holds. `verdict`:
    "holds" (`adjusted` is below 0.05, and the value on its side of zero), "contrary" (on the other side), "open"
    (neither) or "moot" (there is nothing to explain)."""

    name: str
    alpha: float
    text: str
    value: EpisodeMean | None
    unit: str
    verdict: str
    p: float | None = None
    adjusted: float | None = None


class Analysis(Document):
    """One analysis. `windows`: (first, last) decision of those that growth is given for; `timing`: wall-clock seconds,
    trials played and reused."""

    KIND: ClassVar[str] = "analysis"

    created: str
    config: dict[str, Any]
    versions: dict[str, str]
    task: str
    obs: str
    actions: int
    episodes: int
    capped: bool
    seeds: dict[str, Any]
    policy: PolicyRecord
    conversion: ConversionRecord
    choice: Choice
    ann: EpisodeMean
    ann_reward: Curve
    methods: list[MethodRecord]
    chaos: Chaos
    windows: list[list[int]]
    map: Map
    claims: list[Claim]
    compute: dict[str, Any]
    timing: dict[str, float]
    version: Literal[2] = 2

    def of(self, alpha: float) -> MethodRecord:
        """The method of one α. Raises StopIteration where it was not analysed."""
        return next(method for method in self.methods if method.alpha == alpha)
