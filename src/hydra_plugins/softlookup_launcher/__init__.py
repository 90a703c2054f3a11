"""How Hydra's -m runs many jobs here. Hydra runs every file of this folder at every start, but those named _*.py."""
