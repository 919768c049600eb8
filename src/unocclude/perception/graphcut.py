"""Exact two-label segmentation of an image by a minimum cut."""

import numpy as np

CERTAIN = 6.0  # log-odds at which a pixel is fixed and left out of the graph
_SCALE = 256  # capacities are integers
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # half of the 8-neighbourhood


def min_cut(logit: np.ndarray, lab: np.ndarray, smoothness: float = 2.0) -> np.ndarray:
    """Label each pixel object or background, minimising Boykov & Jolly's energy (ICCV 2001)

        E(x) = sum_p -x_p logit_p + smoothness * sum_pq |x_p - x_q| exp(-|I_p - I_q|^2 / 2s) / dist(p, q)

    with s the mean squared colour difference of neighbours (Rother et al., GrabCut, 2004).

    `logit` is (H, W) float, log-odds of object against background; pixels at +-CERTAIN or beyond are fixed.
    `lab` is (H, W, 3) uint8, any colour space. Returns (H, W) bool. Deterministic.
    """
    from scipy.sparse import csr_matrix  # slow to import
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    height, width = logit.shape
    labels = logit > 0
    free = np.abs(logit) < CERTAIN
    count = int(free.sum())
    if not count:
        return labels
    node = np.full(logit.shape, -1, np.int32)
    node[free] = np.arange(count, dtype=np.int32)
    colour = lab.astype(np.float32)
    unary = logit.astype(np.float64) * free

    pairs = []
    for dy, dx in _NEIGHBOURS:
        ys, yt = slice(0, height - dy), slice(dy, height)
        xs, xt = (slice(0, width - dx), slice(dx, width)) if dx >= 0 else (slice(-dx, width), slice(0, width + dx))
        distance = ((colour[ys, xs] - colour[yt, xt]) ** 2).sum(-1)
        pairs.append(((ys, xs), (yt, xt), distance, float(np.hypot(dy, dx))))
    total = sum(float(p[2].sum()) for p in pairs)
    spread = 2.0 * max(total / max(sum(p[2].size for p in pairs), 1), 1.0)

    rows, columns, capacities = [], [], []
    for s, t, distance, length in pairs:
        weight = smoothness / length * np.exp(-distance / spread)
        a, b = node[s], node[t]
        unary[s] += weight * ((a >= 0) & (b < 0)) * np.where(labels[t], 1.0, -1.0)
        unary[t] += weight * ((b >= 0) & (a < 0)) * np.where(labels[s], 1.0, -1.0)
        both = (a >= 0) & (b >= 0)
        capacity = np.rint(weight[both] * _SCALE).astype(np.int32)
        rows += [a[both], b[both]]
        columns += [b[both], a[both]]
        capacities += [capacity, capacity]

    source, sink = count, count + 1
    evidence = np.rint(unary[free] * _SCALE).astype(np.int32)
    every = np.arange(count, dtype=np.int32)
    rows += [np.full(count, source, np.int32), every]
    columns += [every, np.full(count, sink, np.int32)]
    capacities += [np.maximum(evidence, 0), np.maximum(-evidence, 0)]
    graph = csr_matrix(
        (np.concatenate(capacities), (np.concatenate(rows), np.concatenate(columns))),
        shape=(count + 2, count + 2),
    )
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    labels[free] = reached[:count]
    return labels
