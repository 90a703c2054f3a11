"""Decode as Luong published: every layer starts from the last state of the encoder's layer."""

from softlookup.decoder.luong import Luong
from softlookup.decoder.stack import EncoderInitialized


class Luong2015(EncoderInitialized, Luong):
    """As `Luong`, but s_0 is hidden and cell of the encoder's layers, unchanged, and h̃_0 = 0.

    Luong et al. 2015, sections 3 and 3.3. Raises UserError unless the encoder's final state has the width of these
    layers.
    """
