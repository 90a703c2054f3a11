"""Log runs to W&B."""

from softlookup.tracking.wandb_tracker import Tracker

__all__ = ["Tracker"]
