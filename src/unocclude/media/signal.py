"""How a video means its pixels to be shown, and what may be wrong with it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_UNSPECIFIED = (0, 2)  # AVCOL_PRI_, AVCOL_TRC_
_SQUARE = Fraction(1)
_HDR = {16: "PQ", 18: "HLG"}  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # AVCOL_PRI_
_MAX_ASPECT = 10
_TO_SDR = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,"
    "format=yuv420p"
)


@dataclass(frozen=True)
class Signal:
    """The tags of a video that an export takes over, so that it lies exactly over its clip.

    aspect: the width of a pixel relative to its height. primaries, transfer: colour primaries and transfer function,
    in the code points of ITU-T H.273; None if they are not tagged.
    """

    aspect: Fraction = _SQUARE
    primaries: int | None = None
    transfer: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The tags that are not the default, as JSON."""
        tags = {"primaries": self.primaries, "transfer": self.transfer}
        aspect = {} if self.aspect == _SQUARE else {"pixel_aspect": [self.aspect.numerator, self.aspect.denominator]}
        return {**aspect, **{key: value for key, value in tags.items() if value is not None}}

    @classmethod
    def from_json(cls, tags: dict[str, Any]) -> "Signal":
        """The inverse of `to_json`."""
        return cls(Fraction(*tags.get("pixel_aspect", (1, 1))), tags.get("primaries"), tags.get("transfer"))


def read_signal(frame: Any, stream: Any, sideways: bool) -> Signal:
    """The tags of a decoded frame and its stream. sideways: whether the frame is shown turned by 90 degrees."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or _SQUARE
    if not Fraction(1, _MAX_ASPECT) <= aspect <= _MAX_ASPECT:  # damaged
        aspect = _SQUARE
    primaries, transfer = (
        None if int(tag) in _UNSPECIFIED else int(tag) for tag in (frame.color_primaries, frame.color_trc)
    )
    return Signal(1 / aspect if sideways else Fraction(aspect), primaries, transfer)


def notes(signal: Signal, interlaced: bool, name: str) -> tuple[str, ...]:
    """What may be wrong with a video, one sentence each. name: its file's name, for the remedies."""
    found = []
    if interlaced:
        found.append(f"the clip is interlaced; deinterlace it first: ffmpeg -i {name} -vf bwdif deinterlaced.mp4")
    if signal.transfer in _HDR:
        found.append(
            f"the clip is HDR ({_HDR[signal.transfer]}): its values are used as stored and look flat, and video "
            f"exports are tagged like the clip; to work in SDR: ffmpeg -i {name} -vf {_TO_SDR} sdr.mp4"
        )
    elif signal.primaries in _WIDE:
        found.append(
            f"the clip has the wide colours of {_WIDE[signal.primaries]}: its values are used as stored, and video "
            "exports are tagged like the clip"
        )
    if signal.aspect != _SQUARE:
        ratio = f"{signal.aspect.numerator}:{signal.aspect.denominator}"
        found.append(f"the clip's pixels are not square ({ratio}); boxes and points are in stored pixels")
    return tuple(found)
