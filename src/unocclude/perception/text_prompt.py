"""Checks of text prompts, and which weights can answer them."""

import os

from unocclude import weights as checkpoints
from unocclude.errors import InputError

GROUNDING_DINO, SAM, SAM2, SAM3 = "grounding-dino-tiny", "sam-vit-huge", "sam2.1-hiera-large", "sam3"
LISA = "lisa-13b-llama2-v1"
SERVER = "UNOCCLUDE_LISA"
"""Environment variable with the address of a LISA server."""
MOST_CHARACTERS = 500
NEEDED = (GROUNDING_DINO, SAM2)
"""Checkpoints to fetch for text prompts; SAM 2 both segments and tracks."""


def check_text(text: str) -> None:
    """Raise InputError if a text is empty or too long."""
    if not any(character.isalnum() for character in text):
        raise InputError("the text is empty; name the object in words")
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"the text has {len(text)} characters; name the object in at most {MOST_CHARACTERS}")


def has_lisa() -> bool:
    """Whether LISA is at hand: a server's address in $UNOCCLUDE_LISA, or its weights."""
    return bool(os.environ.get(SERVER)) or checkpoints.is_present(LISA)


def check_weights() -> None:
    """Raise InputError unless the weights for text prompts are present."""
    if has_lisa():
        return
    if checkpoints.is_present(SAM3) or (
        checkpoints.is_present(GROUNDING_DINO) and any(map(checkpoints.is_present, (SAM2, SAM)))
    ):
        return
    raise InputError(
        f"a text prompt needs weights that are not in {checkpoints.home()}; get them with "
        f"`unocclude weights fetch {' '.join(NEEDED)}`, or give the object with --box, --point or --masks"
    )
