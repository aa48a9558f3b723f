"""The measures again, slowly, one answer and one pair after the other."""

import math
from itertools import combinations, pairwise


def sign(x):
    return int(x > 0) - int(x < 0)


def kendall_tau(forecast, truth):
    concordant = forecast_differs = truth_differs = 0
    for i, j in combinations(range(len(truth)), 2):
        a, b = sign(forecast[i] - forecast[j]), sign(truth[i] - truth[j])
        concordant += a * b
        forecast_differs += a != 0
        truth_differs += b != 0
    scale = math.sqrt(forecast_differs * truth_differs)
    return concordant / scale if scale else math.nan


def pairwise_accuracy(forecast, truth):
    points = [
        {1: 1.0, 0: 0.5, -1: 0.0}[sign(forecast[i] - forecast[j]) * sign(truth[i] - truth[j])]
        for i, j in combinations(range(len(truth)), 2)
        if truth[i] != truth[j]
    ]
    return sum(points) / len(points) if points else math.nan


def inversions(values):
    return sum(values[i] > values[j] for i, j in combinations(range(len(values)), 2))


def interval_score(forecasts, tokens):
    total = 0.0
    for f, y in zip(forecasts, tokens, strict=True):
        alpha = 1 - (0.9 if f.coverage is None else f.coverage)
        total += f.high - f.low
        if y < f.low:
            total += 2 / alpha * (f.low - y) if alpha else math.inf
        if y > f.high:
            total += 2 / alpha * (y - f.high) if alpha else math.inf
    return total / len(tokens)


def pinball(forecasts, tokens, levels):
    losses = []
    for level in levels:
        for f, y in zip(forecasts, tokens, strict=True):
            q = f.quantile(level)
            losses.append(level * (y - q) if y >= q else (1 - level) * (q - y))
    return sum(losses) / len(losses)


def covered(f, y, cut):
    return y <= f.high if cut else f.low <= y <= f.high


def likeliest(f, edges):
    below = [0.0, *(f.below(edge) for edge in edges), 1.0]
    shares = [b - a for a, b in pairwise(below)]
    return shares.index(max(shares))


def true_class(y, edges):
    return sum(y > edge for edge in edges)


def clustered_half_width(hits, groups, t):
    p, n = sum(hits) / len(hits), len(hits)
    names = sorted(set(groups))
    sums = [sum(h - p for h, g in zip(hits, groups, strict=True) if g == name) for name in names]
    g = len(names)
    return t * math.sqrt(g / (g - 1) * sum(s * s for s in sums)) / n
