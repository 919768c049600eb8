"""What to do about visible masks that the tracker was not sure of."""

from typing import Any

from unocclude.completion import doubtful_spans
from unocclude.perception.locate import has_sam2
from unocclude.perception.sam2_video import ORIGIN
from unocclude.perception.text_prompt import SAM2

SAM2_SIZE = "0.9 GB"
"""Size of its weights: 224.4 million parameters in float32 (model card of SAM 2.1, hiera large)."""
MAX_SPANS = 6
"""Maximum number of spans of frames in a line."""


def tracker_line(info: dict[str, Any]) -> str:
    """Says that our own tracker was used, and how to get the better one; "" otherwise.

    info: the content of result.json or track.json.
    """
    if info["tracker"] in ("given", ORIGIN) or has_sam2():
        return ""
    return f"tracked without weights; for SAM 2, which tracks better: {_fetch()}"


def doubt_line(info: dict[str, Any]) -> str:
    """Says which frames are doubtful and what to do about them; "" if there are none."""
    objects = info.get("objects") or [info]
    return "\n".join(filter(None, (_doubt(item, info) for item in objects)))


def _doubt(item: dict[str, Any], info: dict[str, Any]) -> str:
    spans = doubtful_spans(item["frames"])
    if not spans:
        return ""
    total = sum(map(len, spans))
    longest = max(spans, key=len)
    listed = ", ".join(f"{s[0]}-{s[-1]}" if len(s) > 1 else f"{s[0]}" for s in spans[:MAX_SPANS])
    more = ", ..." if len(spans) > MAX_SPANS else ""
    name = f"{item['name']}: " if "name" in item else ""
    remedy = f"mark the object in frame {longest[len(longest) // 2]} too, such as with --box X0,Y0,X1,Y1@FRAME"
    better = "" if info["tracker"] == ORIGIN else f", or use SAM 2: {_fetch()}"
    verb = "is" if total == 1 else "are"
    return f"{name}{total} of {len(item['frames'])} frames {verb} doubtful ({listed}{more}); {remedy}{better}"


def _fetch() -> str:
    return f"`unocclude weights fetch {SAM2}` ({SAM2_SIZE}, needs unocclude[diffusion])"
