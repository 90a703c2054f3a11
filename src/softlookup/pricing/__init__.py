"""Price every part of a model by source length: predicted, measured, extrapolated by a law."""
