"""Luong's decoder as published: every layer goes on where the encoder's own layer ended."""

from softlookup.decoder.luong import Luong
from softlookup.decoder.stack import HandedOn


class Luong2015(HandedOn, Luong):
    """As `Luong`, but s_0 is hidden and cell of the encoder's layers, unchanged, and h̃_0 = 0.

    Luong et al. 2015, sections 3 and 3.3. Raises UserError when the encoder's final state has another width than that
    of these layers.
    """
