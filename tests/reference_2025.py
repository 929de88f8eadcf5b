"""The 2025 loss in float64 NumPy, written from its definitions with loops over time.

Nothing here shares code with the package; tests compare the two. Parameters are a flat dictionary
under upstream's names, settings are upstream's flat keys without `agent.`. `Hold` stands for the
stop-gradient: it remembers values at the first pass and gives them back at later ones, so that
finite differences of the total are the gradients that training takes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray


class Hold:
    """Remembers values in the order of the calls; `again` starts to give them back."""

    def __init__(self) -> None:
        self.values: list[Array] = []
        self.at: int | None = None

    def again(self) -> "Hold":
        self.at = 0
        return self

    def __call__(self, value: Array) -> Array:
        if self.at is None:
            self.values.append(value)
            return value
        self.at += 1
        return self.values[self.at - 1]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def symlog(x: Array) -> Array:
    return np.sign(x) * np.log1p(np.abs(x))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def onehot(index: Array, count: int) -> Array:
    return np.where(np.arange(count) == np.asarray(index)[..., None], 1.0, 0.0)


def linear(p: Mapping[str, Array], name: str, x: Array) -> Array:
    return x @ p[f"{name}/kernel"] + p[f"{name}/bias"]


def block_linear(p: Mapping[str, Array], name: str, x: Array) -> Array:
    """One product for each block."""
    kernel = p[f"{name}/kernel"]
    parts = np.split(x, len(kernel), -1)
    return np.concatenate([part @ k for part, k in zip(parts, kernel)], -1) + p[f"{name}/bias"]


def norm(p: Mapping[str, Array], name: str, x: Array) -> Array:
    return silu(x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-4) * p[f"{name}/scale"])


def mlp(p: Mapping[str, Array], name: str, layers: int, x: Array) -> Array:
    for i in range(layers):
        x = norm(p, f"{name}/mlp/norm{i}", linear(p, f"{name}/mlp/linear{i}", x))
    return x


def conv(p: Mapping[str, Array], name: str, x: Array, stride: int = 1) -> Array:
    """A sum over the 25 places of the kernel; `x` `[N, H, W, C]`."""
    before, after = (2, 2) if stride == 1 else (1, 2)
    padded = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    kernel, (_, height, width, _) = p[f"{name}/kernel"], x.shape
    out = 0.0
    for i in range(5):
        for j in range(5):
            shifted = padded[:, i : i + height : stride, j : j + width : stride]
            out = out + shifted @ kernel[i, j]
    return out + p[f"{name}/bias"]


def bins(count: int) -> Array:
    half = np.linspace(-20, 0, count // 2 + 1)
    half = np.sign(half) * np.expm1(np.abs(half))
    return np.concatenate([half, -half[:-1][::-1]])


def twohot_nll(logits: Array, target: Array) -> Array:
    b, logp = bins(logits.shape[-1]), np.log(softmax(logits))
    target = np.clip(target, b[0], b[-1])
    out = np.zeros(target.shape)
    for at in np.ndindex(target.shape):
        above = int(np.clip(np.searchsorted(b, target[at]), 1, len(b) - 1))
        share = (target[at] - b[above - 1]) / (b[above] - b[above - 1])
        out[at] = -(1 - share) * logp[at][above - 1] - share * logp[at][above]
    return out


def twohot_mean(logits: Array) -> Array:
    return softmax(logits) @ bins(logits.shape[-1])


def vector_input(value: Array, space: Any, squash: bool) -> Array:
    """`[B, T, V]`; zeros where anything is missing."""
    flat = np.asarray(value).reshape(*value.shape[:2], -1)
    if space.dtype.kind in "iu":
        out = onehot(flat, int(space.high) + 1).reshape(*value.shape[:2], -1)
        return np.where((flat == -1).any(-1, keepdims=True), 0.0, out)
    flat = flat.astype(np.float64)
    return symlog(flat) if squash else flat


def encode(p: Mapping[str, Array], c: Mapping[str, Any], spaces: Any, obs: Any) -> Array:
    vectors = sorted(k for k, s in spaces.items() if len(s.shape) < 3)
    images = sorted(k for k, s in spaces.items() if len(s.shape) == 3)
    out = []
    if vectors:
        parts = [vector_input(obs[k], spaces[k], c["enc.simple.symlog"]) for k in vectors]
        x = np.concatenate(parts, -1)
        for i in range(c["enc.simple.layers"]):
            x = norm(p, f"enc/mlp{i}norm", linear(p, f"enc/mlp{i}", x))
        out.append(x)
    if images:
        x = np.concatenate([obs[k] for k in images], -1).astype(np.float64) / 255 - 0.5
        lead, x = x.shape[:2], x.reshape(-1, *x.shape[2:])
        for i in range(4):
            halve = i > 0 or not c["enc.simple.outer"]
            x = conv(p, f"enc/cnn{i}", x, 2 if halve and c["enc.simple.strided"] else 1)
            if halve and not c["enc.simple.strided"]:
                cells = [x[:, a::2, b::2] for a in (0, 1) for b in (0, 1)]
                x = np.max(cells, 0)
            x = norm(p, f"enc/cnn{i}norm", x)
        out.append(x.reshape(*lead, -1))
    return np.concatenate(out, -1)


def deter_step(p: Any, c: Any, deter: Array, stoch: Array, action: Array) -> Array:
    blocks = c["dyn.rssm.blocks"]
    action = action / np.maximum(1, np.abs(action))
    inputs = (deter, stoch.reshape(len(stoch), -1), action)
    x = [norm(p, f"dyn/dynin{i}norm", linear(p, f"dyn/dynin{i}", v)) for i, v in enumerate(inputs)]
    x = np.concatenate([np.concatenate([part, *x], -1) for part in np.split(deter, blocks, -1)], -1)
    for i in range(c["dyn.rssm.dynlayers"]):
        x = norm(p, f"dyn/dynhid{i}norm", block_linear(p, f"dyn/dynhid{i}", x))
    gates = [
        np.split(part, 3, -1) for part in np.split(block_linear(p, "dyn/dyngru", x), blocks, -1)
    ]
    reset, cand, update = (np.concatenate([gate[i] for gate in gates], -1) for i in range(3))
    update = sigmoid(update - 1)
    return update * np.tanh(sigmoid(reset) * cand) + (1 - update) * deter


def latent(p: Any, c: Any, name: str, layers: int, x: Array) -> Array:
    for i in range(layers):
        x = norm(p, f"dyn/{name}{i}norm", linear(p, f"dyn/{name}{i}", x))
    x = linear(p, f"dyn/{name}logit", x)
    return x.reshape(*x.shape[:-1], c["dyn.rssm.stoch"], c["dyn.rssm.classes"])


def mix(c: Any, logit: Array) -> Array:
    share = c["dyn.rssm.unimix"]
    return (1 - share) * softmax(logit) + share / logit.shape[-1]


def draw(c: Any, logit: Array, hold: Hold) -> Array:
    """The mode, with the gradient of the probabilities."""
    probs = mix(c, logit)
    return hold(onehot(probs.argmax(-1), probs.shape[-1])) + probs - hold(probs)


def feature(deter: Array, stoch: Array) -> Array:
    return np.concatenate([deter, stoch.reshape(*stoch.shape[:-2], -1)], -1)


def decode(p: Any, c: Any, spaces: Any, deter: Array, stoch: Array, obs: Any) -> dict[str, Array]:
    """Reconstruction losses `[B, T]`."""
    stoch = stoch.reshape(*stoch.shape[:2], -1)
    feat = np.concatenate([stoch, deter], -1)
    losses = {}
    vectors = {key: space for key, space in spaces.items() if len(space.shape) < 3}
    hidden = mlp(p, "dec", c["dec.simple.layers"], feat) if vectors else feat
    for key, space in vectors.items():
        if space.dtype.kind in "iu":
            out = linear(p, f"dec/vec/{key}/logits", hidden)
            logp = np.log(softmax(out.reshape(*out.shape[:2], -1, int(space.high) + 1)))
            target = onehot(np.asarray(obs[key]).reshape(*out.shape[:2], -1), logp.shape[-1])
            losses[key] = -(target * logp).sum((-2, -1))
        else:
            target = np.asarray(obs[key], np.float64).reshape(*hidden.shape[:2], -1)
            losses[key] = ((linear(p, f"dec/vec/{key}/pred", hidden) - symlog(target)) ** 2).sum(-1)
    images = [key for key, space in spaces.items() if len(space.shape) == 3]
    if not images:
        return losses
    height = spaces[images[0]].shape[0]
    start = height // (8 if c["dec.simple.outer"] else 16)
    if c["dec.simple.bspace"]:
        parts = np.split(block_linear(p, "dec/sp0", deter), c["dec.simple.bspace"], -1)
        parts = [x.reshape(*x.shape[:2], start, start, -1) for x in parts]
        x = norm(p, "dec/sp1norm", linear(p, "dec/sp1", stoch))
        x = linear(p, "dec/sp2", x).reshape(*deter.shape[:2], start, start, -1)
        x = norm(p, "dec/spnorm", np.concatenate(parts, -1) + x)
    else:
        x = linear(p, "dec/space", feat).reshape(*deter.shape[:2], start, start, -1)
        x = norm(p, "dec/spacenorm", x)
    x = x.reshape(-1, *x.shape[2:])

    def double(x: Array) -> Array:
        out = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2], x.shape[3]))
        for a in (0, 1):
            for b in (0, 1):
                if not c["dec.simple.strided"] or (a and b):
                    out[:, a::2, b::2] = x
        return out

    for i in (2, 1, 0):
        x = norm(p, f"dec/conv{i}norm", conv(p, f"dec/conv{i}", double(x)))
    x = sigmoid(conv(p, "dec/imgout", x if c["dec.simple.outer"] else double(x)))
    x = x.reshape(*deter.shape[:2], *x.shape[1:])
    at = 0
    for key in images:  # In the order of the space, though the encoder sorts them.
        depth = spaces[key].shape[-1]
        losses[key] = ((x[..., at : at + depth] - obs[key] / 255) ** 2).sum((-3, -2, -1))
        at += depth
    return losses


def policy(p: Any, c: Any, actions: Any, feat: Array) -> dict[str, tuple[str, Array, Array]]:
    """For each key `('onehot', log-probabilities, -)` or `('normal', mean, std)`."""
    x, out = mlp(p, "pol", c["policy.layers"], feat), {}
    for key, space in actions.items():
        if space.discrete:
            logp = np.log(softmax(linear(p, f"pol/head/{key}/logits", x)))
            out[key] = ("onehot", logp, logp)
        else:
            low, high = c["policy.minstd"], c["policy.maxstd"]
            std = (high - low) * sigmoid(linear(p, f"pol/head/{key}/stddev", x) + 2) + low
            out[key] = ("normal", np.tanh(linear(p, f"pol/head/{key}/mean", x)), std)
    return out


def act(dists: Any, offset: float) -> dict[str, Array]:
    return {
        key: onehot(a.argmax(-1), a.shape[-1]) if kind == "onehot" else a + offset * b
        for key, (kind, a, b) in dists.items()
    }


def log_prob(dist: Any, action: Array) -> Array:
    kind, a, b = dist
    if kind == "onehot":
        return (a * action).sum(-1)
    return (-0.5 * ((action - a) / b) ** 2 - np.log(b) - 0.5 * np.log(2 * np.pi)).sum(-1)


def entropy(dist: Any) -> Array:
    kind, a, b = dist
    if kind == "onehot":
        return -(np.exp(a) * a).sum(-1)
    return (np.log(b) + 0.5 * np.log(2 * np.pi * np.e)).sum(-1)


def joined(actions: Mapping[str, Array]) -> Array:
    return np.concatenate([actions[key] for key in sorted(actions)], -1)


def total(
    p: Mapping[str, Array], c: Mapping[str, Any], spaces: Any, actions: Any, batch: Any,
    carry: dict[str, Array], offset: float, hold: Hold,
) -> tuple[float, dict[str, Any]]:  # fmt: skip
    """The weighted total and its parts, for plain normalisers (no valnorm, no advnorm).

    Args:
      p: parameters, with `slowval/...` and `retnorm/{lo,hi}`.
      c: settings.
      spaces: of observations by key, in order.
      actions: spaces of actions by key.
      batch: `[B, T, ...]` without context; one-hot actions.
      carry: `deter`, `stoch` and `action` before the first step.
      offset: of Gaussian draws, in deviations.
      hold: the stop-gradient.
    """
    rows, steps = batch["is_first"].shape
    tokens = encode(p, c, spaces, batch)
    recorded = joined({key: np.asarray(batch[key], np.float64) for key in actions})
    deter, stoch, action = carry["deter"], carry["stoch"], carry["action"]
    deters, stochs, posts = [], [], []
    for t in range(steps):
        keep = 1.0 - batch["is_first"][:, t].astype(np.float64)
        deter, stoch = deter * keep[:, None], stoch * keep[:, None, None]
        deter = deter_step(p, c, deter, stoch, action * keep[:, None])
        seen = [tokens[:, t]] if c["dyn.rssm.absolute"] else [deter, tokens[:, t]]
        logit = latent(p, c, "obs", c["dyn.rssm.obslayers"], np.concatenate(seen, -1))
        stoch, action = draw(c, logit, hold), recorded[:, t]
        deters.append(deter), stochs.append(stoch), posts.append(logit)
    deter, stoch, post = (np.stack(x, 1) for x in (deters, stochs, posts))
    prior = latent(p, c, "prior", c["dyn.rssm.imglayers"], deter)
    feat, losses = feature(deter, stoch), decode(p, c, spaces, deter, stoch, batch)

    def kl(p: Array, q: Array) -> Array:
        value = (p * (np.log(p) - np.log(q))).sum((-2, -1))
        return np.maximum(value, c["dyn.rssm.free_nats"])

    losses["dyn"] = kl(hold(mix(c, post)), mix(c, prior))
    losses["rep"] = kl(mix(c, post), hold(mix(c, prior)))

    def head(name: str, layers: int, x: Array, params: Any = p, out: str = "logits") -> Array:
        return linear(params, f"{name}/head/{out}", mlp(params, name, layers, x))

    rew_feat = feat if c["reward_grad"] else hold(feat)
    rew = head("rew", c["rewhead.layers"], rew_feat)
    losses["rew"] = twohot_nll(rew, np.asarray(batch["reward"], np.float64))
    gamma = 1 - 1 / c["horizon"]
    con = head("con", c["conhead.layers"], feat, out="logit")[..., 0]
    goal = (1.0 - batch["is_terminal"]) * (gamma if c["contdisc"] else 1)
    losses["con"] = -goal * np.log(sigmoid(con)) - (1 - goal) * np.log(sigmoid(-con))

    # Imagination: a loop over states, from the last K of every row.
    count = min(c["imag_last"] or steps, steps)
    d, s = (hold(x[:, -count:].reshape(rows * count, *x.shape[2:])) for x in (deter, stoch))
    root = feat[:, -count:].reshape(rows * count, -1)
    feats, taken = [root if c["ac_grads"] else hold(root)], []
    for _ in range(c["imag_length"]):
        taken.append(act(policy(p, c, actions, feature(d, s)), offset))
        d = deter_step(p, c, d, s, joined(taken[-1]))
        s = draw(c, latent(p, c, "prior", c["dyn.rssm.imglayers"], d), hold)
        feats.append(hold(feature(d, s)))
    taken.append(act(policy(p, c, actions, feats[-1]), offset))
    taken = [{key: hold(x[key]) for key in sorted(x)} for x in taken]
    feats = np.stack(feats, 1)
    r = twohot_mean(head("rew", c["rewhead.layers"], feats))
    cont = sigmoid(head("con", c["conhead.layers"], feats, out="logit")[..., 0])
    logits = head("val", c["value.layers"], feats)
    value = twohot_mean(logits)
    slow = hold(twohot_mean(head("slowval", c["value.layers"], hold(feats))))
    target = slow if c["imag_loss.slowtar"] else value
    disc = 1.0 if c["contdisc"] else gamma
    horizon, lam = c["imag_length"], c["imag_loss.lam"]
    weight = np.ones(cont.shape)
    for t in range(horizon + 1):
        before = weight[:, t - 1] * disc if t else 1.0
        weight[:, t] = before * cont[:, t]
    ret = np.zeros((rows * count, horizon + 1))
    ret[:, -1] = target[:, -1]
    for t in reversed(range(horizon)):
        live = cont[:, t + 1] * disc
        ret[:, t] = r[:, t + 1] + live * ((1 - lam) * target[:, t + 1] + lam * ret[:, t + 1])
    ret, weight, target = hold(ret[:, :-1]), hold(weight), hold(target[:, :-1])
    rate = c["retnorm.rate"]
    lo, hi = (
        (1 - rate) * p[f"retnorm/{k}/value"] + rate * np.percentile(ret, c[f"retnorm.perc{k}"])
        for k in ("lo", "hi")
    )
    scale = max(c["retnorm.limit"], hi - lo)
    adv = (ret - target) / scale
    pi = np.zeros(adv.shape)
    for t in range(horizon):
        dists = policy(p, c, actions, feats[:, t])
        pi[:, t] = -sum(
            log_prob(dists[key], taken[t][key]) * adv[:, t]
            + c["imag_loss.actent"] * entropy(dists[key])
            for key in dists
        )
    losses["policy"] = (weight[:, :-1] * pi).mean(1).reshape(rows, count)
    nll = twohot_nll(logits[:, :-1], ret)
    nll += c["imag_loss.slowreg"] * twohot_nll(logits[:, :-1], slow[:, :-1])
    losses["value"] = (weight[:, :-1] * nll).mean(1).reshape(rows, count)

    # Replayed steps.
    boot = ret[:, 0].reshape(rows, count)
    seen = feat[:, -count:]
    logits = head("val", c["value.layers"], seen if c["repval_grad"] else hold(seen))
    slow = hold(twohot_mean(head("slowval", c["value.layers"], hold(seen))))
    last, term, reward = (
        np.asarray(batch[k], np.float64)[:, -count:] for k in ("is_last", "is_terminal", "reward")
    )
    replay = np.zeros((rows, count))
    replay[:, -1] = boot[:, -1]
    for t in reversed(range(count - 1)):
        live = (1 - term[:, t + 1]) * gamma
        lam = (1 - last[:, t + 1]) * c["repl_loss.lam"]
        replay[:, t] = reward[:, t + 1] + live * (
            (1 - lam) * boot[:, t + 1] + lam * replay[:, t + 1]
        )
    replay = replay[:, :-1]
    nll = twohot_nll(logits[:, :-1], replay)
    nll += c["repl_loss.slowreg"] * twohot_nll(logits[:, :-1], slow[:, :-1])
    losses["repval"] = (1 - last[:, :-1]) * nll
    scales = {k: c[f"loss_scales.{'rec' if k in spaces else k}"] for k in losses}
    loss = sum(scales[k] * losses[k].mean() for k in losses)
    return loss, {
        **{f"losses/{k}": v for k, v in losses.items()}, "loss": loss, "repl/ret": replay,
        "imag/ret": ret, "imag/weight": weight, "imag/adv": adv, "post/deter": deter,
        "post/logit": post, "prior/logit": prior, "repl/boot": boot,
    }  # fmt: skip
