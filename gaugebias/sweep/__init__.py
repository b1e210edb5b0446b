"""Grids and samples of experiments: stacked, stored as they finish, resumed bit for bit."""

from ._axes import (
    Choice as Choice,
    LogUniform as LogUniform,
    Sample as Sample,
    Uniform as Uniform,
)
from ._config import Config as Config, read_config as read_config
from ._dataset import load as load
from ._run import run as run
