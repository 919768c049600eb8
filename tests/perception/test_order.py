"""Order of masks: the network equal to the published one, the rule for depth against a slow version of itself."""

import cv2
import numpy as np
import pytest

from unocclude import InputError
from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL
from unocclude.scene import Scene

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from support.tiny_ports import published, random_tensors, with_positive_variances, write_instaorder  # noqa: E402
from unocclude.networks import instaorder  # noqa: E402
from unocclude.perception import order as orders  # noqa: E402
from unocclude.perception.order import DepthOrder, InstaOrder, by_depth, by_evidence  # noqa: E402


def full():
    """Weights of the published size, as the fixture was made with."""
    names = published("instaorder")["names"]
    return with_positive_variances(
        random_tensors({k: v for k, v in names.items() if not k.endswith("num_batches_tracked")})
    )


def test_names_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        own = instaorder.InstaOrderNet().state_dict()
    names = published("instaorder")["names"]
    assert {k: list(v.shape) for k, v in own.items()} == names and len(names) == 322


def test_forward_is_the_published_one():
    fixture = published("instaorder")
    network = instaorder.InstaOrderNet()
    network.load_state_dict(full(), strict=False)
    pairs = torch.tensor(np.random.default_rng(0).standard_normal((3, 5, 64, 96)), dtype=torch.float32)
    with torch.inference_mode():
        occlusion, depth = network(pairs)
    np.testing.assert_allclose(occlusion, fixture["occlusion"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(depth, fixture["depth"], rtol=1e-4, atol=1e-4)


def scene_of_four():
    """Image and masks on which the published code was run, pair by pair."""
    image = np.random.default_rng(1).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    y, x = np.mgrid[:90, :150]
    square = (y > 20) & (y < 60) & (x > 30) & (x < 80)
    return image, [square, (y - 45) ** 2 + (x - 95) ** 2 < 900, y > 70, x < 25]


def test_order_is_the_published_one(tmp_path):
    fixture = published("instaorder")["image"]
    biases = {name: torch.tensor(value) for name, value in fixture["biases"].items()}
    folder = write_instaorder(tmp_path, 64, **full() | biases)
    image, masks = scene_of_four()
    found = InstaOrder(folder, "cpu").orders(image, masks[:3])
    np.testing.assert_array_equal(found.over, np.array(fixture["over"])[:3, :3])
    off = ~np.eye(3, dtype=bool)  # nobody compared a mask with itself
    np.testing.assert_array_equal(found.depth[off], np.array(fixture["depth"])[:3, :3][off])
    assert (found.depth[~off] == -1).all()


def test_query_asks_for_its_pairs_alone(tmp_path):
    order = InstaOrder(write_instaorder(tmp_path), "cpu")
    image, masks = scene_of_four()
    masks = [mask.astype(np.uint8) * 255 for mask in masks][::-1] + masks[:1]  # more pairs than go through at once
    logits = []
    with order.network.fc_occ.register_forward_hook(lambda module, inputs, out: logits.append(out)):
        order(image, masks)
    order.network.fc_occ.bias.data -= torch.cat(logits).median(0).values  # so that answers differ
    whole, part = order.orders(image, masks), order.orders(image, masks, 2)
    assert 0.1 < whole.over.mean() < 0.9
    related = np.zeros((5, 5), bool)
    related[2] = related[:, 2] = True
    related[2, 2] = False
    np.testing.assert_array_equal(part.over, whole.over & related)
    assert (part.depth[~related] == -1).all()
    np.testing.assert_array_equal(order(image, masks, 2), part.over)
    # who is nearer is one answer for both, and neither is nearer where they are equal
    for i, j in zip(*np.triu_indices(5, 1), strict=True):
        assert (whole.depth[i, j], whole.depth[j, i]) in {(1, 0), (0, 1), (2, 2)}


def test_fewer_than_two_masks_have_no_order(tmp_path):
    order = InstaOrder(write_instaorder(tmp_path), "cpu")
    image, masks = scene_of_four()
    assert order(image, []).shape == (0, 0) and not order(image, masks[:1]).any()


def test_bad_masks_are_refused(tmp_path):
    order = InstaOrder(write_instaorder(tmp_path), "cpu")
    image, masks = scene_of_four()
    with pytest.raises(InputError, match=r"mask 1 has shape \(90, 149\)"):
        order(image, [masks[0], masks[1][:, 1:]])
    with pytest.raises(InputError, match="no mask 4; there are 4"):
        order(image, masks, 4)


def test_another_checkpoint_is_refused(tmp_path, monkeypatch):
    file = write_instaorder(tmp_path) / "InstaOrder_InstaOrderNet_od.pth.tar"
    content = torch.load(file)
    torch.save(content["state_dict"], file)
    with pytest.raises(InputError, match="does not hold tensors by name"):
        InstaOrder(tmp_path, "cpu")
    bare = {name.removeprefix("module."): value for name, value in content["state_dict"].items()}
    torch.save({"state_dict": bare}, file)  # the published code would load nothing of it, and say nothing
    with pytest.raises(InputError, match=r"lacks module\.bn1\.bias"):
        InstaOrder(tmp_path, "cpu")
    del content["state_dict"]["module.fc_depth.bias"]
    torch.save(content, file)
    with pytest.raises(InputError, match=r"lacks module\.fc_depth\.bias"):
        InstaOrder(tmp_path, "cpu")
    torch.save({"state_dict": {"module.conv1.weight": object}}, file)
    with pytest.raises(InputError, match="can be read safely"):
        InstaOrder(tmp_path, "cpu")
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "home"))
    with pytest.raises(InputError, match=r"occlusion order needs the checkpoint instaorder-od.*is missing"):
        InstaOrder()


def plain_by_depth(depth, masks, reach):
    """The rule of `by_depth`, pixel by pixel."""
    count = len(masks)
    over = np.zeros((count, count), bool)
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            own = []
            for a, b in ((masks[i], masks[j]), (masks[j], masks[i])):
                alone = a & ~b
                own.append(np.argwhere(alone if alone.any() else a))
            if not len(own[0]) or not len(own[1]):
                continue
            far = np.linalg.norm(own[0][:, None] - own[1][None], axis=-1)
            first, second = own[0][(far <= reach).any(1)], own[1][(far <= reach).any(0)]
            if len(first):
                step = depth[tuple(first.T)].mean() - depth[tuple(second.T)].mean()
                over[i, j] = step > 0.02 * (depth.max() - depth.min())
    return over


@pytest.mark.parametrize("seed", range(6))
def test_depth_rule_is_that_of_its_docstring(seed):
    rng = np.random.default_rng(seed)
    depth = cv2.GaussianBlur(rng.uniform(0, 9, (30, 44)).astype(np.float32), (0, 0), 3)
    masks = []
    for _ in range(5):
        x, y, w, h = rng.integers((0, 0, 3, 3), (20, 20, 23, 23))
        mask = np.zeros(depth.shape, bool)
        mask[y : y + h, x : x + w] = True
        masks.append(mask)
    masks += [np.zeros(depth.shape, bool), masks[0]]
    masks.append(cv2.erode(masks[1].astype(np.uint8), np.ones((3, 3))) > 0)  # lies wholly in another
    found = by_depth(depth, masks)
    np.testing.assert_array_equal(found, plain_by_depth(depth, masks, reach=2))
    assert found.any() and not (found & found.T).any()
    related = np.zeros(found.shape, bool)
    related[3] = related[:, 3] = True
    np.testing.assert_array_equal(by_depth(depth, masks, 3), found & related)


def test_depth_is_read_at_the_shared_boundary():
    """Something that stands upright on the ground in front of a table that reaches nearer to the camera."""
    depth = np.tile(np.linspace(0, 1, 200, dtype=np.float32)[:, None], (1, 300))
    table, cup = np.zeros((2, 200, 300), bool)
    table[100:, 50:] = True
    cup[60:140, 20:50] = True
    depth[cup] = 0.8  # nearer than the table's back beside it, farther than the table's mean
    assert depth[table].mean() > 0.74
    depth[cup] = 0.73
    assert by_depth(depth, [cup, table]).tolist() == [[False, True], [False, False]]


def test_masks_apart_or_at_one_depth_have_no_order():
    depth = np.tile(np.arange(100, dtype=np.float32), (100, 1))
    left, right, apart = np.zeros((3, 100, 100), bool)
    left[:50, 10:12] = right[50:, 10:12] = apart[:50, 60:70] = True
    assert not by_depth(depth, [left, right, apart]).any()
    assert not by_depth(np.full((100, 100), 3.0), [left, right]).any()


def test_depth_network_stands_in(tmp_path, monkeypatch):
    image, masks = scene_of_four()
    seen = []

    def depth(picture):
        seen.append(picture)
        return picture[..., 0].astype(np.float32) + 100 * masks[0]

    np.testing.assert_array_equal(DepthOrder(depth)(image, masks, 0), by_depth(depth(image), masks, 0))
    assert all(picture is image for picture in seen)
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match="depth needs the checkpoint depth-anything-v2-large"):
        orders.best("cpu")
    write_instaorder(tmp_path / "instaorder-od")
    assert isinstance(orders.best("cpu"), InstaOrder)


def moving_behind_a_bar(given):
    """A square that moves 5 pixels a frame, columns 4 to 199, behind a bar that stands at columns 90 to 109."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 256, (120, 200, 3), np.uint8), (0, 0), 1.5)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (40, 40, 3), np.uint8), (0, 0), 1.5)
    bar = np.zeros((120, 200), bool)
    bar[:, 90:110] = True
    frames, masks = [], []
    for x in range(4, 164, 5):
        frame, mask = ground.copy(), np.zeros_like(bar)
        frame[40:80, x : x + 40], mask[40:80, x : x + 40] = texture, True
        frame[bar] = (20, 200, 20)
        frames.append(frame)
        masks.append(mask & ~bar)
    occluders = MaskTrack.from_masks([bar] * len(frames)) if given else None
    return Scene(Clip.from_frames(frames), MaskTrack.from_masks(masks), occluders), bar


@pytest.mark.parametrize("given", [False, True])
def test_evidence_tells_what_hides_the_object(given):
    scene, bar = moving_behind_a_bar(given)
    met = set()
    for i in range(1, len(scene)):
        visible = scene.visible(i)
        behind = ~visible & ~bar  # and the object was there before, or will be
        behind[:40] = behind[80:] = False
        touching = bool(visible[:, 88:112].any())
        met.add(touching)
        expected = [[False, touching, False], [False, False, True], [False, False, False]]
        assert by_evidence(scene, i, [bar, visible, behind], 1).tolist() == expected, i
    assert met == {False, True}


@pytest.mark.parametrize("own", [0, 1])
def test_evidence_is_weighed_near_the_object(monkeypatch, own):
    scene, _ = moving_behind_a_bar(given=True)
    depth = np.full((120, 200), orders.NEARNESS[orders.UNKNOWN], np.float32)
    monkeypatch.setattr(orders, "LayerDepth", lambda scene: lambda i: depth)
    visible, beside = np.zeros((2, 120, 200), bool)
    visible[:, :50] = beside[:, 50:] = True
    masks = [visible, beside] if own == 0 else [beside, visible]

    def over():
        found = by_evidence(scene, 0, masks, own)
        return found[1 - own, own], found[own, 1 - own]

    assert over() == (False, False)  # what nobody knows says nothing
    depth[:, 55:] = orders.NEARNESS[FOREIGN]
    assert over() == (False, False)  # nor does what is far away
    depth[:2, 51] = orders.NEARNESS[STILL]
    assert over() == (True, False)
    depth[2:5, 52] = orders.NEARNESS[BACKGROUND]
    assert over() == (False, True)
    depth[5, 52] = orders.NEARNESS[FOREIGN]
    assert over() == (False, False)
