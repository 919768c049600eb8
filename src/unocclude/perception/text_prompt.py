"""What words may be, and what understands them here."""

import os

from unocclude import weights as checkpoints
from unocclude.errors import InputError

GROUNDING_DINO, SAM, SAM2, SAM3 = "grounding-dino-tiny", "sam-vit-huge", "sam2.1-hiera-large", "sam3"
LISA = "lisa-13b-llama2-v1"
SERVER = "UNOCCLUDE_LISA"
"""Where a LISA server runs."""
MOST_CHARACTERS = 500
NEEDED = (GROUNDING_DINO, SAM2)
"""What to fetch for text prompts: SAM 2 tracks what was found as well."""


def check_text(text: str) -> None:
    """Raise InputError unless a text can name something."""
    if not any(character.isalnum() for character in text):
        raise InputError("the text is empty; name the object in words")
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"the text has {len(text)} characters; name the object in at most {MOST_CHARACTERS}")


def asks(text: str) -> bool:
    """Whether a text is a question that LISA can answer here."""
    return text.rstrip().endswith("?") and (bool(os.environ.get(SERVER)) or checkpoints.have(LISA))


def check_weights(text: str = "") -> None:
    """Raise InputError unless a text can be understood here."""
    if asks(text):
        return
    if checkpoints.have(SAM3) or (checkpoints.have(GROUNDING_DINO) and any(map(checkpoints.have, (SAM2, SAM)))):
        return
    raise InputError(
        f"a text prompt needs weights that are not in {checkpoints.home()}; get them with "
        f"`unocclude weights fetch {' '.join(NEEDED)}`, or give the object with --box, --point or --masks"
    )
