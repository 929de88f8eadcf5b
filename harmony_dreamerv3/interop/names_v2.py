"""Names and layouts of the variables of HarmonyDream's torch code and of DreamerPro's bundles.

Paths are those into `{'world_model', 'balance', 'actor', 'critic', 'slow_critic', 'stats',
'target'}`. Torch keeps linear kernels as out, in, convolutions as out, in, height, width,
transposed ones as in, out, height, width, and flattens images channel by channel; DreamerPro's
bundles have our layouts.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

from harmony_dreamerv3.agents.dreamerv2 import Agent

Path = tuple[str, ...]
Rules = tuple[tuple[str, str], ...]
TASKS = ("reward", "observation", "dynamics")  # of the harmonizers s1, s2, s3

_TORCH: Rules = (
    (r"^world_model/(encoder|decoder)/", r"wm.\1/"),
    (r"^stats/(encoder|decoder)/", r"wm.\1/"),
    (r"^wm.decoder/", "wm.heads.decoder/"),
    (r"/cnn_in/", "/convin/"),
    (r"(?<=encoder/cnn)/(kernel|bias)$", r"/convin/\1"),
    (r"(?<=decoder/cnn)/(kernel|bias)$", r"/convout/\1"),
    (r"/cnn/in/", "/cnn/convin/"),
    (r"/cnn/", "/"),
    (r"/cnn(\d+)/", r"/conv\1/"),
    (r"/stage(\d)_(\d)/", r"/res\1.stack.\2/"),
    (r"/conv0/kernel$(?<=stack.\d/conv0/kernel)", "/res_block.0/kernel"),
    (r"/conv1/kernel$(?<=stack.\d/conv1/kernel)", "/res_block.3/kernel"),
    (r"/norm0/", "/res_block.1/"),
    (r"/norm1/", "/res_block.4/"),
    (r"/skip/", "/identity.0/"),
    (r"/skip_norm/", "/identity.1/"),
    (r"/mean$", "/running_mean"),
    (r"/var$", "/running_var"),
    (r"^world_model/rssm/gru/", "wm.rssm._cell._layer/"),
    (r"^world_model/rssm/gru_norm/", "wm.rssm._cell._norm/"),
    (r"^world_model/rssm/img_out/", "wm.rssm.img_out_0/"),
    (r"^world_model/rssm/img_stats/", "wm.rssm.img_dist_0/"),
    (r"^world_model/rssm/obs_stats/", "wm.rssm.obs_dist/"),
    (r"^world_model/rssm/", "wm.rssm/"),
    (r"^world_model/(reward|discount)/", r"wm.heads.\1/"),
    (r"^(actor|critic)/", r"_task_behavior.\1/"),
    (r"^slow_critic/", "_task_behavior._target_critic/"),
    (r"/mlp/h(\d+)/", r"/dense\1/"),
    (r"/(out|std)/", r"/out.\1/"),
    (r"/(kernel|scale)$", "/weight"),
    (r"/", "."),
)
_TENSORFLOW: Rules = (
    (r"^world_model/projections/", "rssm/"),
    (r"^target/encoder/", "ema_encoder/"),
    (r"^target/obs_proj/", "ema_obs_proj/"),
    (r"^world_model/", ""),
    (r"encoder/cnn(\d+)/", r"encoder/h\1/"),
    (r"^rssm/gru/", "rssm/cell/dense/"),
    (r"^rssm/gru_norm/scale", "rssm/cell/norm/gamma"),
    (r"^rssm/gru_norm/bias", "rssm/cell/norm/beta"),
    (r"^rssm/(img|obs)_stats/", r"rssm/\1_dist/"),
    (r"^slow_critic/", "target_critic/"),
    (r"/mlp/h", "/h"),
)


def _apply(rules: Rules, path: Path) -> str:
    name = "/".join(path)
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


@dataclasses.dataclass(frozen=True)
class Naming:
    """One code's names and layouts."""

    name: Callable[[Path], str]  # path to name
    load: Callable[[Path, np.ndarray], np.ndarray]  # (path, their array) to ours
    dump: Callable[[Path, np.ndarray], np.ndarray]  # (path, our array) to theirs
    embed: Callable[[np.ndarray], np.ndarray]  # our embeddings `[..., E]` to theirs


def tensorflow() -> Naming:
    """DreamerPro's bundles: our layouts."""

    def same(path: Path, value: np.ndarray) -> np.ndarray:
        del path
        return value

    return Naming(lambda path: _apply(_TENSORFLOW, path), same, same, lambda embed: embed)


def torch(agent: Agent, sizes: Mapping[str, int]) -> Naming:
    """HarmonyDream's torch code.

    Args:
      agent: the agent.
      sizes: `encoder`, `decoder`: height and width of the images where they are flattened, 0
        without images.
    """
    c = agent.c
    embedded = sizes["encoder"] ** 2 * c.encoder.cnn_depth
    embedded *= 4 if c.encoder.kind == "residual" else 2 ** (len(c.encoder.kernels) - 1)
    # Place in our flattened image (rows, columns, channels) of each place in theirs.
    encoded = _order(sizes["encoder"], embedded)
    begun = 4 * c.decoder.cnn_depth * sizes["decoder"] ** 2
    decoded = _order(sizes["decoder"], begun)

    def name(path: Path) -> str:
        if path[0] == "balance" and path[-1] in TASKS:
            return f"wm.harmony_s{TASKS.index(path[-1]) + 1}"
        return _apply(_TORCH, path)

    def axes(value: np.ndarray, back: bool) -> np.ndarray:
        if value.ndim == 2:
            return value.T
        order = (3, 2, 0, 1) if back else (2, 3, 1, 0)
        return value.transpose(order) if value.ndim == 4 else value

    def place(path: Path, value: np.ndarray, back: bool) -> np.ndarray:
        """Moves what meets a flattened image; `value` has our axes."""
        value = value.copy()
        if path[-2:] == ("obs_out", "kernel"):
            rows = value[c.rssm.deter : c.rssm.deter + embedded]
            value[c.rssm.deter : c.rssm.deter + embedded] = _move(rows, encoded, back)
        if path[-4:-1] == ("decoder", "cnn", "in"):
            value = _move(value.T, decoded, back).T
        return value

    def load(path: Path, value: np.ndarray) -> np.ndarray:
        return place(path, axes(value, back=False), back=False)

    def dump(path: Path, value: np.ndarray) -> np.ndarray:
        return axes(place(path, value, back=True), back=True)

    def embed(value: np.ndarray) -> np.ndarray:
        image = _move(np.moveaxis(value[..., :embedded], -1, 0), encoded, back=True)
        return np.concatenate([np.moveaxis(image, 0, -1), value[..., embedded:]], -1)

    return Naming(name, load, dump, embed)


def _order(side: int, size: int) -> np.ndarray:
    """For each place of an image flattened by channel, row, column: the place in ours."""
    if not size:
        return np.arange(0)
    return np.arange(size).reshape(side, side, -1).transpose(2, 0, 1).reshape(-1)


def _move(rows: np.ndarray, order: np.ndarray, back: bool) -> np.ndarray:
    """Their rows to ours, or back."""
    if back:
        return rows[order]
    out = np.empty_like(rows)
    out[order] = rows
    return out
