"""The images of Open-World Amodal Appearance Completion (Ao et al. 2025, commit 4f6edb2): a list of files and a JSON of
queries; the whole object is unknown:

    LIST.txt: a file name a line    FILE.json: {annotations: [{filename, labels: [words, ...]}]}
"""

from functools import partial
from pathlib import Path

from unocclude.datasets.base import Sample, frames, read_json, require


def read(root: Path, images: str | None = None, names: str | None = None) -> list[Sample]:
    """Every query of a JSON file, named IMAGE-NUMBER, with the words as the sample's text.

    names: the list of files, where only those are wanted. images: the folder that file names start from, by default the
    one that the JSON file lies in.
    """
    base = Path(images) if images else root.parent
    listed = None
    if names:
        listed = {line.strip() for line in require(Path(names)).read_text().splitlines() if line.strip()}
    return [
        Sample(f"{Path(entry['filename']).stem}-{k}", partial(frames, [base / entry["filename"]], 1.0), text=words)
        for entry in read_json(root)["annotations"]
        if listed is None or entry["filename"] in listed
        for k, words in enumerate(entry["labels"])
    ]
