"""Compute the context of a softmax attention without its weights."""
