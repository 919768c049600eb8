"""IC-Amodal's attention: modulation against the explicit softmax, token sets, diffusers' own processor, kept keys."""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import FluxTransformer2DModel  # noqa: E402
from diffusers.models.embeddings import apply_rotary_emb  # noqa: E402

from support.tiny_diffusion_vas import random_tensors, shapes_of  # noqa: E402
from support.tiny_flux_fill import TRANSFORMER  # noqa: E402
from unocclude.methods.ic_amodal.grid import Grid, SubImage  # noqa: E402
from unocclude.methods.ic_amodal.modulation import AttentionGuide, GridAttention, Modulation, attend, install  # noqa: E402

torch.set_num_threads(1)
SIDE = 4


def make_grid(rows=2, columns=2, height=8, width=12, seed=0):
    rng = np.random.default_rng(seed)
    cell = lambda: SubImage(rng.integers(0, 256, (height, width, 3), np.uint8))  # noqa: E731
    return Grid([[cell() for _ in range(columns)] for _ in range(rows)])


def explicit(query, key, value, modulation):
    """softmax(q k^T / sqrt(d)) with the block's weights multiplied, in float64, as the paper writes it."""
    query, key, value = (x.double().transpose(1, 2) for x in (query, key, value))
    weights = torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, -1)
    cut = weights.shape[-2] - modulation.queries
    weights[:, :, cut:] = weights[:, :, cut:] * modulation.factors.double()
    if modulation.mode == "renormalised":
        weights = weights / weights.sum(-1, keepdim=True)
    return (weights @ value).transpose(1, 2)


@pytest.mark.parametrize("mode", ["renormalised", "unnormalised"])
@pytest.mark.parametrize("text", [0, 1, 7])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("cell", [1, 2, 3, 4])
def test_it_is_the_explicit_softmax(mode, text, heads, cell):
    generator = torch.Generator().manual_seed(text + 10 * heads + 100 * cell)
    tokens = text + 4 * 6
    query, key, value = (torch.randn(2, tokens, heads, 8, generator=generator) for _ in range(3))
    angles = (torch.randn(tokens, 4, generator=generator) * 3).repeat_interleave(2, 1)
    rotary = angles.cos(), angles.sin()
    query, key = (apply_rotary_emb(x, rotary, sequence_dim=1) for x in (query, key))
    factors = torch.ones(tokens)
    factors[text + 6 * (cell - 1) : text + 6 * cell] = 1.7
    for queries in (6, 2, 0, tokens):
        modulation = Modulation(queries, factors, mode)
        found = attend(query, key, value, modulation)
        assert torch.allclose(found.double(), explicit(query, key, value, modulation), rtol=0, atol=2e-6)
    assert torch.equal(found, attend(query, key, value, modulation))
    # a weight elsewhere is another result
    other = attend(query, key, value, Modulation(6, torch.ones(tokens), mode))
    assert not torch.allclose(other, attend(query, key, value, Modulation(6, factors, mode)), atol=1e-3)


def test_a_factor_of_zero_hides_a_block():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 12, 2, 8, generator=generator) for _ in range(3))
    factors = torch.tensor([1.0] * 4 + [0.0] * 4 + [1.0] * 4)
    found = attend(query, key, value, Modulation(12, factors, "renormalised"))
    rest = [0, 1, 2, 3, 8, 9, 10, 11]
    assert torch.allclose(found, attend(query, key[:, rest], value[:, rest], None), atol=1e-6)


def forward(transformer, text=5, guide=None, tokens=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    config = transformer.config
    ids = torch.zeros(tokens, 3)
    ids[:, 1], ids[:, 2] = torch.arange(tokens) // 6, torch.arange(tokens) % 6
    with torch.no_grad():
        return transformer(
            hidden_states=torch.randn(1, tokens, config.in_channels, generator=generator),
            encoder_hidden_states=torch.randn(1, text, config.joint_attention_dim, generator=generator),
            pooled_projections=torch.randn(1, config.pooled_projection_dim, generator=generator),
            timestep=torch.tensor([0.6]), guidance=torch.tensor([30.0]), img_ids=ids, txt_ids=torch.zeros(text, 3),
            joint_attention_kwargs=None if guide is None else {"guide": guide}, return_dict=False,
        )[0]  # fmt: skip


@pytest.fixture
def transformer():
    network = FluxTransformer2DModel(**TRANSFORMER).eval()
    network.load_state_dict(random_tensors(shapes_of(network)))
    return network


@pytest.mark.parametrize("fused", [False, True])
def test_without_a_guide_and_with_factors_of_one_it_is_the_stock_processor(transformer, fused):
    stock = forward(transformer)
    if fused:
        transformer.fuse_qkv_projections()
    install(transformer, single=True)
    assert all(isinstance(processor, GridAttention) for processor in transformer.attn_processors.values())
    bound = 1e-6 * float(stock.abs().max())
    assert (forward(transformer) - stock).abs().max() <= (bound if fused else 0)
    for mode in ("renormalised", "unnormalised"):
        guide = AttentionGuide(5, Modulation(6, torch.ones(29), mode))
        assert (forward(transformer, guide=guide) - stock).abs().max() <= bound


def test_only_the_blocks_asked_for_are_modulated(transformer):
    factors = torch.ones(29)
    factors[5 + 6 : 5 + 12] = 3.0
    guide = AttentionGuide(5, Modulation(6, factors))
    stock = forward(transformer)
    install(transformer)
    double = forward(transformer, guide=guide)
    install(transformer, single=True)
    both = forward(transformer, guide=guide)
    assert min((a - b).abs().max() for a, b in ((stock, double), (double, both), (stock, both))) > 1e-4


@pytest.mark.parametrize("mode", ["renormalised", "unnormalised"])
def test_more_lambda_is_more_of_the_exemplar(transformer, mode):
    """What reaches sub-image 4 of a change in sub-image 2, through one block, grows with lambda up and falls with
    lambda down."""
    block = transformer.transformer_blocks[0]
    install(transformer)
    generator = torch.Generator().manual_seed(3)
    width = TRANSFORMER["attention_head_dim"] * TRANSFORMER["num_attention_heads"]
    image, text = torch.randn(1, 24, width, generator=generator), torch.randn(1, 5, width, generator=generator)
    change = torch.zeros_like(image)
    change[:, 6:12] = 1e-3 * torch.randn(1, 6, width, generator=generator)

    def reach(factor):
        factors = torch.ones(29)
        factors[5 + 6 : 5 + 12] = factor
        kwargs = {"guide": AttentionGuide(5, Modulation(6, factors, mode))}
        with torch.no_grad():
            before, after = (block.attn(x, text, guide=kwargs["guide"])[0][:, 18:] for x in (image, image + change))
        return float((after - before).norm())

    reached = [reach(factor) for factor in (0.0, 0.3, 0.7, 1.0, 1.5, 2.5, 4.0)]
    assert all(a < b for a, b in pairwise(reached))
    # unnormalised, a hidden key still counts in the softmax's sum
    assert reached[0] == 0 or (mode == "unnormalised" and reached[0] < 0.2 * reached[3])


@pytest.mark.parametrize("mode", ["renormalised", "unnormalised"])
def test_the_network_moves_steadily_with_lambda(transformer, mode):
    """The more lambda, up and down, the further the answer for sub-image 4 is from that of the plain network."""
    install(transformer)
    plain = forward(transformer)

    def away(strength):
        factors = torch.ones(29)
        factors[5:11], factors[11:17], factors[17:23] = 1 / strength, strength, 1 / strength
        answer = forward(transformer, guide=AttentionGuide(5, Modulation(6, factors, mode)))
        return float((answer - plain)[:, 18:].norm())

    moved = [away(strength) for strength in (1.0, 1.2, 1.5, 2.0, 3.0)]
    assert moved[0] < 1e-4 and all(a < b for a, b in pairwise(moved)) and moved[-1] > 100 * max(moved[0], 1e-6)


def test_painting_a_cell_changes_its_tokens_alone():
    from diffusers import FluxFillPipeline

    for rows, columns in ((1, 1), (2, 2), (3, 2)):
        grid = make_grid(rows, columns)

        def pack(picture):
            planes = torch.tensor(picture).permute(2, 0, 1)[None]
            return FluxFillPipeline._pack_latents(planes, 1, 3, *picture.shape[:2])

        # a latent of two pixels here: the packing is what is looked at
        for number in range(1, rows * columns + 1):
            painted = grid.picture.copy()
            grid.sub_image(painted, number)[:] += 1
            changed = (pack(painted) != pack(grid.picture)).any(-1)[0]
            assert np.array_equal(np.flatnonzero(changed), grid.token_indices(number, 2))
        sets = np.concatenate([grid.token_indices(n + 1, SIDE) for n in range(rows * columns)])
        assert np.array_equal(np.sort(sets), np.arange(rows * 2 * columns * 3))


def test_tokens_in_order_are_slices_and_those_to_fill_come_last():
    hole = np.zeros((8, 12), bool)
    hole[3, 4:6] = True
    grid = make_grid()
    grid = Grid([grid.rows[0], [grid.rows[1][0], SubImage(grid.rows[1][1].picture, hole)]])
    order, wanted = grid.token_order(SIDE)
    assert wanted == 1 and np.array_equal(np.sort(order), np.arange(24))
    for number in (1, 2, 3):
        assert np.array_equal(order[6 * number - 6 : 6 * number], grid.token_indices(number, SIDE))
    assert order[-1] == 2 * 6 + 3 + 1 and set(order[18:]) == set(grid.token_indices(4, SIDE))
    assert grid.hole.sum() == 2 and grid.hole[8 + 3, 12 + 4]
    assert np.array_equal(grid.sub_image(grid.picture, 4), grid.rows[1][1].picture)


def test_kept_keys_and_values_stand_where_the_tokens_would(transformer):
    """In a stack of one block, where nothing flows back, a forward over the exemplar's kept keys is the whole one."""
    install(transformer)
    block = transformer.transformer_blocks[0]
    generator = torch.Generator().manual_seed(1)
    width = TRANSFORMER["attention_head_dim"] * TRANSFORMER["num_attention_heads"]
    image, text = torch.randn(1, 24, width, generator=generator), torch.randn(1, 5, width, generator=generator)
    factors = torch.rand(29, generator=generator)
    modulation = Modulation(6, factors)
    with torch.no_grad():
        whole = block.attn(image, text, guide=AttentionGuide(5, modulation))
        guide = AttentionGuide(5, keeping=True)
        block.attn(image[:, :12], text, guide=guide)
        guide.keeping, guide.modulation = False, modulation
        part = block.attn(image[:, 12:], text, guide=guide)
    assert torch.allclose(part[0], whole[0][:, 12:], atol=1e-6) and torch.allclose(part[1], whole[1], atol=1e-6)
