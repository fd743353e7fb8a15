"""Wrong values meet one line that names the option, or the file and the field, and says what would be right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BeforeValidator, Field, field_validator, model_validator

from runtime.errors import UserError
from runtime.schema import Document, Options, Record, Whole, as_tuple, expected

TASKS = tuple(f"{animal}_{gait}" for animal in ("walker", "cheetah", "hopper") for gait in ("walk", "run", "hop"))


class Crpi(Options):
    alpha: Annotated[tuple[float, ...], BeforeValidator(as_tuple), expected("a number or a list")]
    mode: Literal["residual", "random"]

    @field_validator("alpha")
    @classmethod
    def _once(cls, alphas: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(alphas)) < len(alphas):
            raise ValueError("a value is given twice")
        return alphas


class Settings(Options):
    task: Literal[TASKS]
    timesteps: Whole = Field(ge=1)
    seed: Annotated[Whole, Field(ge=0, le=2**32 - 1)]
    chunk: Whole | None = Field(ge=1)
    lr: float = Field(ge=0, le=1)
    tau: float | None = Field(gt=0)
    dtype: Literal["float32", "float64"] | None
    store: Path
    video: bool
    crpi: Crpi

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.video and self.chunk == 7:
            raise ValueError("video=true chunk=7: these exclude each other")
        return self


VALUES = {
    "task": "cheetah_run",
    "timesteps": 4,
    "seed": 0,
    "chunk": None,
    "lr": 1,
    "tau": None,
    "dtype": None,
    "store": "results/cells",
    "video": False,
    "crpi": {"alpha": 0.5, "mode": "residual"},
}


def test_good_values_become_a_frozen_object():
    settings = Settings.from_dict(VALUES | {"timesteps": 1e6, "crpi": {"alpha": [0, 1], "mode": "random"}})
    assert type(settings.timesteps) is int and settings.timesteps == 10**6
    assert type(settings.lr) is float and settings.store == Path("results/cells")
    assert settings.crpi.alpha == (0.0, 1.0)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"timesteps": 0}, "timesteps=0: must be an integer of at least 1"),
        ({"timesteps": True}, "timesteps=true: must be an integer of at least 1"),
        ({"timesteps": "4"}, "timesteps=4: must be an integer of at least 1"),
        ({"timesteps": None}, "timesteps=null: must be an integer of at least 1"),
        ({"seed": 2**32}, "seed=4294967296: must be an integer from 0 to 4294967295"),
        ({"chunk": 0.5}, "chunk=0.5: must be an integer of at least 1 or null"),
        ({"lr": float("nan")}, "lr=nan: must be a number from 0 to 1"),
        ({"lr": [1]}, "lr=[1]: must be a number from 0 to 1"),
        ({"tau": 0}, "tau=0: must be a number above 0 or null"),
        ({"dtype": "float16"}, "dtype=float16: must be one of float32, float64 or null"),
        ({"task": "cheetah-run"}, "task=cheetah-run: did you mean cheetah_run"),
        ({"task": "CHEETAH"}, "task=CHEETAH: did you mean cheetah_"),
        ({"video": "yes"}, "video=yes: must be true or false"),
        ({"store": 3}, "store=3: must be a text"),
        ({"crpi": 3}, "crpi=3: crpi is a group of options: crpi.alpha, crpi.mode"),
        ({"crpi": {"alpha": "auto", "mode": "random"}}, "crpi.alpha=auto: must be a number or a list"),
        ({"crpi": {"alpha": [0, True], "mode": "random"}}, "crpi.alpha=[0,true]: must be a number or a list"),
        ({"crpi": {"alpha": [0, 0], "mode": "random"}}, "crpi.alpha=[0,0]: a value is given twice"),
        ({"crpi": {"alpha": 0.5, "mode": None}}, "crpi.mode=null: must be one of residual, random"),
        ({"crpi": {"alpha": 0.5}}, "crpi.mode: missing"),
        ({"crpi": {"alpa": 0.5, "mode": "random"}}, "crpi.alpa=0.5: unknown option; did you mean crpi.alpha?"),
        ({"video": True, "chunk": 7}, "video=true chunk=7: these exclude each other"),
    ],
)
def test_a_wrong_option_is_one_line(changes, line):
    with pytest.raises(UserError) as refusal:
        Settings.from_dict(VALUES | changes)
    assert str(refusal.value).startswith(line) and "\n" not in str(refusal.value)


class Episode(Record):
    return_: float | None = Field(validation_alias="return", serialization_alias="return")
    decisions: int = Field(ge=1)


class Result(Document):
    KIND = "result"

    episodes: list[Episode]
    notes: dict[str, Episode] = {}
    version: Literal[2] = 2

    @model_validator(mode="after")
    def _agree(self) -> Result:
        if not self.episodes:
            raise ValueError("a result needs episodes")
        return self


def test_a_document_is_read_as_it_was_written(tmp_path):
    result = Result(episodes=[Episode(return_=0.1 + 0.2, decisions=3), Episode(return_=None, decisions=1)])
    result.write(tmp_path / "result.json")
    assert Result.read(tmp_path / "result.json") == result
    assert json.loads((tmp_path / "result.json").read_text())["episodes"][0] == {"return": 0.1 + 0.2, "decisions": 3}


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "Invalid JSON"),
        ("[]", "a group of fields"),
        ('{"episodes": [], "version": 2}', "a result needs episodes"),
        ('{"episodes": [{"return": 1, "decisions": 2}], "version": 3}', "version is 3, this program reads version 2"),
        ('{"episodes": [{"return": 1, "decisions": 2}]}', "version: missing"),
        ('{"episodes": [{"return": 1}], "version": 2}', "episodes[0].decisions: missing"),
        ('{"episodes": [{"return": 1, "decisions": 0}], "version": 2}', "episodes[0].decisions: must be an integer"),
        (
            '{"episodes": [{"return": NaN, "decisions": 2}], "version": 2}',
            "episodes[0].return: must be a number or null",
        ),
        ('{"episodes": [{"return": 1, "decisions": 2.0}], "version": 2}', "episodes[0].decisions: must be an integer"),
        ('{"episodes": [], "version": 2, "note": 1}', "note: unknown field"),
        ('{"episodes": [], "notes": {"a": {"return": "x", "decisions": 1}}, "version": 2}', "notes.a.return: must be"),
    ],
)
def test_a_damaged_document_names_file_and_field(tmp_path, text, words):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(UserError) as refusal:
        Result.read(path)
    line = str(refusal.value)
    assert line.startswith(f"{path}: not a readable result (") and words in line and "\n" not in line


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    result = Result(episodes=[Episode(return_=1.0, decisions=1)])
    result.episodes.clear()
    with pytest.raises(ValueError, match="needs episodes"):
        result.write(tmp_path / "result.json")
    with pytest.raises(ValueError, match="finite"):
        Episode(return_=float("inf"), decisions=1)
    assert not list(tmp_path.iterdir())
