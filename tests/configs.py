"""Configs of runs, made from their parts or from another config."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from softlookup.config.run_config import Node, RunConfig
from softlookup.config.settings import Settings

CHOICES = {"task": "reverse", "encoder": "gru", "attention": "additive"}


def changed(config: RunConfig, **settings: Any) -> RunConfig:
    """The config with other settings."""
    return replace(config, settings=replace(config.settings, **settings))


def of_parts(parts: Mapping[str, Node], **settings: Any) -> RunConfig:
    """A config with these parts, and the default of every setting that is not given."""
    tracking = {"_target_": "softlookup.tracking.wandb_tracker.Tracker", "mode": "disabled", "project": "softlookup"}
    return RunConfig(Settings(**settings), {"task": {"_target_": "none"}, **parts}, tracking, dict(CHOICES))
