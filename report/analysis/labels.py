"""Names and colours of an analysis' policies."""

from analysis.document import Analysis, MethodRecord
from evaluation.summary import label as method_label
from report import method, plot

INKS = {"flipped": "#E69F00", "ordered": "#CC79A7", "shuffled": "#56B4E9", "gaussian": "#7a6f9b"}
TITLES = {"correction": "ANN correction", "consistency": "SNN consistency", "drift": "SNN drift"}
NOISES = {
    "flipped": "its error in each state, with a random sign",
    "ordered": "its errors, in order, from another episode",
    "shuffled": "its errors, shuffled in time",
    "gaussian": "Gaussian noise of their covariance",
}
SHORT = {
    "flipped": "errors with random signs",
    "ordered": "errors in order",
    "shuffled": "errors shuffled",
    "gaussian": "Gaussian noise",
}


def label(analysis: Analysis, alpha: float) -> str:
    """A converted network's name: "IF", "IF+CRPI α=0.4"; the controls by their mode's name."""
    return method_label(analysis.conversion.neuron, analysis.conversion.mode, alpha)


def network(analysis: Analysis) -> method.Network:
    """The converted network, whose label says what departs from the paper's settings."""
    return method.of_conversion(analysis.obs, analysis.conversion, {})[0].network


def named(analysis: Analysis) -> str:
    """The task, headed by the policy's label."""
    return method.headed(analysis.task, analysis.config.get("label"))


def unit(analysis: Analysis) -> str:
    """What a sum of rewards is called."""
    return "sum of rewards (episodes cut short)" if analysis.capped else "return"


def best(analysis: Analysis) -> float:
    """The α that stands for CRPI: the one chosen by return, or by drift where return chose plain conversion."""
    return analysis.choice.by_return or analysis.choice.by_drift


def shown(analysis: Analysis) -> list[tuple[str, str, MethodRecord]]:
    """Name, colour and record of plain conversion, then of the best α, then of any other."""
    inks = {0.0: plot.PLAIN} | ({best(analysis): plot.CRPI} if best(analysis) else {})
    methods = sorted(analysis.methods, key=lambda method: (method.alpha != 0, method.alpha != best(analysis)))
    return [(label(analysis, method.alpha), inks.get(method.alpha, plot.OTHER), method) for method in methods]
