"""Auto-encoders of two identities that share what both have: DF and LIAE of DeepFaceLab.

Perov et al. 2020, arXiv 2005.05535, section 3.2. DF: one dense middle, a decoder for each
identity; the swap is the source's decoder on the target's code. LIAE: one decoder; the middle AB
sees both identities, B the target alone; the source's code is AB twice, the target's B and AB,
and the swap's the target's AB twice.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.swappers.saehd.dense_codes import Encoder, Middle, begin
from models.swappers.saehd.masked_decoder import MaskedDecoder


class Sizes(NamedTuple):
    """Side of the pictures in px, length of the code, channels of encoder, decoder and mask."""

    size_px: int
    code: int
    encoder: int
    decoder: int
    mask: int


class Drawn(NamedTuple):
    """Both sides as drawn: code maps (B,C,s,s); pictures (B,3,S,S), masks (B,1,S,S) in [0,1]."""

    codes: tuple[Tensor, Tensor]
    pictures: tuple[Tensor, Tensor]
    masks: tuple[Tensor, Tensor]


class PairedAutoencoder(nn.Module):
    """Pictures of source and target in [0,1] -> both restored, with their masks.

    Args:
        sizes: of all parts.
        letters: options, some of "udt" (models/swappers/saehd/dense_codes.py).
        apart: DF, decoders apart; else LIAE.

    Attributes:
        channels: of the code map that a middle gives.
        target_middle: LIAE's B.
        target_decoder: DF's decoder of the target.
    """

    def __init__(self, sizes: Sizes, letters: str, *, apart: bool) -> None:
        super().__init__()
        self.encoder = Encoder(sizes.size_px, sizes.encoder, letters)
        self.channels = sizes.code if apart else 2 * sizes.code
        given = self.channels if apart else 2 * self.channels

        def middle() -> Middle:
            shape = (self.encoder.features, sizes.code, self.channels, sizes.size_px)
            return Middle(*shape, letters)

        def decoder() -> MaskedDecoder:
            return MaskedDecoder(given, sizes.decoder, sizes.mask, letters)

        self.middle = middle()
        self.target_middle = None if apart else middle()
        self.decoder = decoder()
        self.target_decoder = decoder() if apart else None
        begin(self)

    def forget(self) -> None:
        """New middles: what they knew was other people."""
        for network in (self.middle, self.target_middle):
            if network is not None:
                begin(network)

    def source_code(self, features: Tensor) -> Tensor:
        """Flat features (B,F) of the source -> code map for `decoder`."""
        code: Tensor = self.middle(features)
        return code if self.target_middle is None else torch.cat([code, code], dim=1)

    def target_code(self, features: Tensor) -> Tensor:
        """Flat features (B,F) of the target -> code map for the target's decoder, or the only."""
        code: Tensor = self.middle(features)
        if self.target_middle is None:
            return code
        return torch.cat([self.target_middle(features), code], dim=1)

    def swapping(self, target_code: Tensor) -> Tensor:
        """The target's code map as `decoder` draws the source from it."""
        if self.target_middle is None:
            return target_code
        shared = target_code.chunk(2, dim=1)[1]
        return torch.cat([shared, shared], dim=1)

    def target_mask(self, target_code: Tensor) -> Tensor:
        """Mask of the target itself (B,1,S,S)."""
        return (self.target_decoder or self.decoder).mask(target_code)

    def codes(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Code maps of both sides."""
        features = self.encoder(torch.cat([source, target])).split([len(source), len(target)])
        return self.source_code(features[0]), self.target_code(features[1])

    def forward(self, source: Tensor, target: Tensor) -> Drawn:
        """Both sides, each from its own picture."""
        codes = self.codes(source, target)
        if self.target_decoder is not None:
            first, second = self.decoder(codes[0]), self.target_decoder(codes[1])
            return Drawn(codes, (first[0], second[0]), (first[1], second[1]))
        picture, mask = self.decoder(torch.cat(codes))
        end = len(source)
        return Drawn(codes, (picture[:end], picture[end:]), (mask[:end], mask[end:]))
