"""Launch Hydra's multirun jobs. Hydra imports every file of this folder at every start, except those named _*.py."""
