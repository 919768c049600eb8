"""Generated clips with exact ground truth, including hidden parts."""

from unocclude.synthesis.footage import footage_world
from unocclude.synthesis.rigid import rigid_world
from unocclude.synthesis.sprites import sprite_world
from unocclude.synthesis.world import World, write_world
from unocclude.synthesis.worlds import physics_worlds

__all__ = ["World", "footage_world", "physics_worlds", "rigid_world", "sprite_world", "write_world"]
