"""The options of a conversion, checked before anything is read, computed or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from envs import tasks
from evaluation.alpha_selection import requested
from runtime.schema import Options, Whole, expected
from snn import neuron as neurons
from snn.carry import MAX_ALPHA

# Rows of one network call, by kind of observation: enough for the arithmetic to be efficient and as many as the
# default number of report episodes, so that these fill every row once.
_CHUNK = {"pixels": 10, "state": 20}
# With two lanes the workers step one while the network serves the other.
_LANES = 2
# Layers of a state policy take less time than handing half of them to another thread, above all when the workers want
# that core too: 40,000 decisions at T=8 took 39 s of processor time with 2 threads and 6 s with 1 on a busy machine.
_THREADS = {"pixels": None, "state": 1}


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) else value


def _null_means(usual: Callable[[dict[str, Any]], Any]) -> BeforeValidator:
    """What null stands for, by the options that stand before this one as far as they are valid."""
    return BeforeValidator(lambda value, info: usual(info.data) if value is None else value)


File = Annotated[Path, BeforeValidator(_text), AfterValidator(lambda path: path.expanduser().absolute())]
Name = Annotated[str, BeforeValidator(_text)]  # the command line takes the name 2 for a number
_Count = Annotated[Whole, Field(ge=1), expected("an integer of at least 1 or null")]  # see _null_means
Alpha = Annotated[float, Field(ge=0, le=MAX_ALPHA)]
Alphas = Annotated[
    tuple[Alpha, ...],
    Field(min_length=1),
    BeforeValidator(requested),
    expected(f"a number from 0 to {MAX_ALPHA:g}, a list of them, or grid"),
]


class NeuronSettings(Options):
    """A file of the cfgs/neuron group: `rule` under `coding`; `n_thresholds` is None for rules of one magnitude."""

    name: Name
    rule: Name
    coding: Name
    n_thresholds: Whole | None = Field(None, ge=1, le=16)

    @model_validator(mode="after")
    def _known(self) -> NeuronSettings:
        # The converter knows which rules there are and which codings they work under; it refuses the rest by name.
        rule = neurons.make(self.rule, self.coding, self.n_thresholds or 1).rule
        if rule.levels and self.n_thresholds is None:
            raise ValueError(f"neuron.n_thresholds=null: the {rule.name} rule needs a number of magnitudes, such as 4")
        if not rule.levels and (self.n_thresholds or 1) > 1:
            raise ValueError(
                f"neuron.n_thresholds={self.n_thresholds}: the {rule.name} rule has spikes of one magnitude; "
                "leave it out or choose neuron=mt"
            )
        return self if rule.levels else self.model_copy(update={"n_thresholds": None})


class CrpiSettings(Options):
    """What is carried between decisions, and the α to play: in the order given, one of them chosen where they are
    several."""

    alpha: Alphas
    mode: Literal["residual", "random", "shuffled", "carry"]
    select_episodes: Whole = Field(ge=1)

    @field_validator("alpha")
    @classmethod
    def _distinct(cls, alphas: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(alphas)) < len(alphas):
            raise ValueError("a value is given twice")
        return alphas


class SelectingCrpiSettings(CrpiSettings):
    """`select`: on which episodes one of several α is chosen (see `evaluation.alpha_selection`)."""

    select: Literal["honest", "paper"]


class CalibrationSettings(Options):
    """Decisions of the ANN over which thresholds are taken; `percentile` None: their maximum."""

    steps: Whole = Field(ge=1)
    percentile: float | None = Field(ge=1, le=100)


class RenderSettings(Options):
    """`device`: index of the EGL device."""

    device: Whole | None = Field(ge=0)


class ConversionSettings(Options):
    """What convert.py and analyze.py share: which policy, which converted network, which episodes, computed how.

    Field for field the options of cfgs/convert.yaml. `chunk` (rows of one network call), `num_envs` (environments at
    once) and `threads` (of torch's arithmetic; None: its own choice) are what was asked for or, where that was null,
    what `obs` suggests.
    """

    env_name: Annotated[Name, AfterValidator(lambda name: tasks.check(name, "env_name"))]
    obs: Literal["pixels", "state"]
    snapshot: Literal["shipped"] | File | None
    network: Name | None
    label: Name | None
    root: Annotated[Path, AfterValidator(Path.expanduser)]
    run: Name | None
    hybrid: bool
    SNN_ts: Whole = Field(ge=1)
    neuron: NeuronSettings
    crpi: CrpiSettings
    calibration: CalibrationSettings
    num_eval_episodes: Whole = Field(ge=1)
    seed: Whole = Field(ge=0, le=2**32 - 1)
    max_decisions: Whole | None = Field(ge=1)
    store: File
    device: Name
    dtype: Literal["float32", "float64", "bfloat16"] | None
    max_batch_bytes: Whole | None = Field(ge=1)
    chunk: Annotated[_Count, _null_means(lambda options: _CHUNK.get(options.get("obs")))]
    num_envs: Annotated[_Count, _null_means(lambda options: _LANES * options.get("chunk", 1))]
    threads: Annotated[Whole | None, _null_means(lambda options: _THREADS.get(options.get("obs")))] = Field(ge=1)
    num_workers: Whole | None = Field(ge=0)
    render: RenderSettings

    @model_validator(mode="after")
    def _agree(self) -> ConversionSettings:
        if tasks.is_gymnasium(self.env_name) and self.obs != "state":
            raise ValueError(f"obs={self.obs}: Gymnasium's tasks are observed by their states; write obs=state")
        if self.num_envs < self.chunk:
            # Calibration fills a chunk, whatever the rollouts need: thresholds must not depend on num_envs.
            raise ValueError(
                f"num_envs={self.num_envs}: must be at least chunk={self.chunk}, or null; for fewer lower chunk as well"
            )
        if self.snapshot is not None and self.run is not None:
            raise ValueError(f"snapshot={self.snapshot} run={self.run}: each names a policy; give one of them")
        return self

    def episodes(self, stream: str) -> int:
        """How many episodes each policy plays on a stream of environment seeds."""
        return self.num_eval_episodes if stream == "report" else self.crpi.select_episodes


class ConvertSettings(ConversionSettings):
    """One run of convert.py. Made by `from_dict` of cfgs/convert.yaml's plain nested dictionary."""

    crpi: SelectingCrpiSettings
    no_policy: Literal["fail", "skip"]
    video: bool
    save: bool
    tune: bool


class AnalyzeSettings(ConversionSettings):
    """One run of analyze.py. Made by `from_dict` of cfgs/analyze.yaml's plain nested dictionary.

    `layer_decisions`: decisions per episode at which the layers are taken apart.
    """

    # Errors of one episode are replayed in another, and an interval over one episode says nothing.
    num_eval_episodes: Whole = Field(ge=2)
    layer_decisions: Whole = Field(ge=0)

    @property
    def compared(self) -> tuple[float, ...]:
        """The α compared, ascending; α = 0, plain conversion, is always among them."""
        return tuple(sorted({0.0, *self.crpi.alpha}))
