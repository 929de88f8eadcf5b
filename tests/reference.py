"""The formulas in float64 NumPy, written from their definitions, one loop for each sum.

Nothing here shares code with the package; tests compare the two.
"""

import math

import numpy as np

Array = np.ndarray


def symlog(x: float) -> float:
    return math.copysign(math.log(1.0 + abs(x)), x)


def symexp(x: float) -> float:
    return math.copysign(math.exp(abs(x)) - 1.0, x)


def softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def unimix(logits: Array, mix: float) -> Array:
    """Log of (1 - mix) softmax + mix uniform."""
    return np.log((1 - mix) * softmax(logits) + mix / logits.shape[-1])


def bins(count: int = 255) -> Array:
    return np.array([-20.0 + 40.0 * i / (count - 1) for i in range(count)])


def twohot(value: float, count: int = 255) -> Array:
    """Weights over the bins whose mean is symlog(value), all on the last bin beyond it."""
    x = min(max(symlog(value), -20.0), 20.0)
    position = (x + 20.0) * (count - 1) / 40.0
    below = min(math.floor(position), count - 2)
    weights = np.zeros(count)
    weights[below + 1] = position - below
    weights[below] = 1.0 - weights[below + 1]
    return weights


def twohot_loss(logits: Array, value: float) -> float:
    return -float((twohot(value, len(logits)) * np.log(softmax(logits))).sum())


def twohot_mean(logits: Array) -> float:
    return symexp(float((softmax(logits) * bins(len(logits))).sum()))


def kl(p: Array, q: Array) -> float:
    """KL(p || q) of log-probabilities [S, C], summed over S."""
    return float(sum(np.exp(a) * (a - b) for a, b in zip(p.ravel(), q.ravel())))


def symlog_mse(mean: Array, target: Array) -> float:
    """Squared distance in symlog space; squared distances below 1e-8 count 0."""
    squares = [(m - symlog(t)) ** 2 for m, t in zip(mean.ravel(), target.ravel())]
    return sum(s for s in squares if s >= 1e-8)


def lambda_return(reward: Array, cont: Array, value: Array, gamma: float, lam: float) -> Array:
    """R_t = r_{t+1} + gamma c_{t+1} ((1 - lam) v_{t+1} + lam R_{t+1}), R_H = v_H.

    Args:
      reward, cont, value: of states 0..H, `[H + 1]`; entry 0 of reward and cont is not used.
    """
    horizon = len(value) - 1
    returns = [0.0] * horizon + [value[horizon]]
    for t in reversed(range(horizon)):
        mixed = (1 - lam) * value[t + 1] + lam * returns[t + 1]
        returns[t] = reward[t + 1] + gamma * cont[t + 1] * mixed
    return np.array(returns[:horizon])


def percentile(values: Array, percent: float) -> float:
    """Linear interpolation between order statistics."""
    ordered = sorted(float(v) for v in values.ravel())
    place = percent / 100 * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def return_scale(low: float, high: float, returns: Array) -> tuple[float, float]:
    """EMA of the 5th and 95th percentile, decay 0.99."""
    return (
        0.99 * low + 0.01 * percentile(returns, 5),
        0.99 * high + 0.01 * percentile(returns, 95),
    )


def advantage(returns: Array, value: Array, low: float, high: float) -> Array:
    scale = max(1.0, high - low)
    return (returns - low) / scale - (value - low) / scale


def actor_loss_discrete(
    logits: Array, action: Array, adv: Array, weight: Array, actent: float = 3e-4
) -> float:
    """REINFORCE and entropy; logits [H, N, A] after unimix."""
    total = 0.0
    for h in range(len(adv)):
        for n in range(adv.shape[1]):
            p = np.exp(logits[h, n])
            entropy = -float((p * logits[h, n]).sum())
            logp = float((logits[h, n] * action[h, n]).sum())
            total += weight[h, n] * (-logp * adv[h, n] - actent * entropy)
    return total / adv.size


def normal_entropy(std: Array) -> float:
    return float(sum(0.5 * math.log(2 * math.pi * math.e * s * s) for s in std))


def layer_norm(x: Array, scale: Array, bias: Array) -> Array:
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-3) * scale + bias


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def mlp(x: Array, params: dict) -> Array:
    """Layers h0, h1, ...: linear without bias, layer norm, SiLU."""
    for index in range(len(params)):
        layer = params[f"h{index}"]
        x = x @ layer["kernel"]
        x = silu(layer_norm(x, layer["norm"]["scale"], layer["norm"]["bias"]))
    return x


def harmonized(losses: dict[str, float], s: dict[str, float], alpha: float) -> float:
    """HarmonyDream Eq. 5 and 15: L / sigma + log(1 + sigma), sigma = exp(s)."""
    tasks = {
        "observation": losses["observation"],
        "reward": losses["reward"],
        "dynamics": alpha * losses["dyn"] + (1 - alpha) * losses["rep"],
    }
    total = losses["cont"]
    for name, loss in tasks.items():
        sigma = math.exp(s[name])
        total += loss / sigma + math.log(1 + sigma)
    return total


def world_model(params: dict, batch: dict, vectors: list[str], stoch: int, classes: int) -> dict:
    """Losses [B, T] and posterior states of a world model of vectors that draws modes.

    Args:
      params: nested dictionaries of float64 arrays.
      batch: `[B, T, ...]`.
      vectors: keys, in order.
      stoch, classes: of the latent.
    """
    w = params["rssm"]

    def dense(x: Array, layer: dict) -> Array:
        norm = layer["norm"]
        return layer_norm(x @ layer["kernel"], norm["scale"], norm["bias"])

    def logits(x: Array, layer: dict) -> Array:
        raw = silu(x) @ layer["kernel"] + layer["bias"]
        return unimix(raw.reshape(stoch, classes), 0.01)

    def mode(logit: Array) -> Array:
        return np.eye(classes)[logit.argmax(-1)]

    first = np.tanh(w["initial"])
    initial = first, mode(logits(dense(first, w["img_out"]), w["img_stats"]))
    names = ["reward", "cont", "dyn", "rep", *vectors]
    shape = batch["reward"].shape
    losses = {name: np.zeros(shape) for name in names}
    states = np.zeros((*shape, len(first) + stoch * classes))
    for b in range(shape[0]):
        for t in range(shape[1]):
            if t == 0 or batch["is_first"][b, t]:
                (deter, z), action = initial, np.zeros(batch["action"].shape[-1])
            else:
                action = batch["action"][b, t - 1].astype(np.float64)
                action = action / np.maximum(1.0, np.abs(action))
            x = silu(dense(np.concatenate([z.ravel(), action]), w["img_in"]))
            reset, cand, update = np.split(dense(np.concatenate([deter, x]), w["gru"]), 3)
            update = sigmoid(update - 1.0)
            deter = update * np.tanh(sigmoid(reset) * cand) + (1 - update) * deter
            prior = logits(dense(deter, w["img_out"]), w["img_stats"])
            seen = [symlog(float(v)) for key in vectors for v in batch[key][b, t].ravel()]
            embed = mlp(np.array(seen), params["encoder"]["mlp"])
            post = logits(dense(np.concatenate([deter, embed]), w["obs_out"]), w["obs_stats"])
            z = mode(post)
            feat = states[b, t] = np.concatenate([deter, z.ravel()])
            hidden = mlp(feat, params["decoder"]["mlp"])
            for key in vectors:
                out = params["decoder"][f"vector_{key}"]
                mean = hidden @ out["kernel"] + out["bias"]
                losses[key][b, t] = symlog_mse(mean, batch[key][b, t].astype(np.float64))
            head = params["reward"]
            reward = mlp(feat, head["mlp"]) @ head["out"]["kernel"] + head["out"]["bias"]
            losses["reward"][b, t] = twohot_loss(reward, float(batch["reward"][b, t]))
            head = params["cont"]
            cont = (mlp(feat, head["mlp"]) @ head["out"]["kernel"] + head["out"]["bias"])[0]
            sign = -1.0 if batch["is_terminal"][b, t] else 1.0
            losses["cont"][b, t] = math.log1p(math.exp(-sign * cont))
            losses["dyn"][b, t] = losses["rep"][b, t] = max(1.0, kl(post, prior))
    return {"losses": losses, "feat": states}
