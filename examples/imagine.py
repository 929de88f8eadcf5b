"""Trains on CartPole, then compares what the agent imagines with what happens, in a figure.

    python examples/imagine.py FOLDER [STEPS]

Takes minutes on a CPU with the default of 10,000 steps; FOLDER/imagined.png is the figure.
"""

import sys
from pathlib import Path

import gymnasium
import matplotlib

import harmony_dreamerv3

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np


def main(folder: Path, steps: int = 10_000, **flags: object) -> Path:
    """Trains in a folder, and returns the figure's path."""
    config = harmony_dreamerv3.make_config(["cartpole"], {"run.steps": steps, **flags})
    env = gymnasium.make("CartPole-v1")
    harmony_dreamerv3.train(config, env=env, logdir=folder)
    agent = harmony_dreamerv3.load(folder, env=env)

    # Play twenty steps, and keep what was seen and done.
    obs, carry, seen, done = env.reset(seed=1)[0], None, [], []
    for step in range(20):
        action, carry = agent.act({"vector": obs[None]}, carry, seed=step)
        seen.append(obs)
        done.append(action[0])
        obs, _, terminated, truncated, _ = env.step(int(action[0].argmax()))
        if terminated or truncated:
            break
    truth, actions = np.array(seen)[None], np.array(done)[None]

    # The world model sees the first five, then predicts the rest from the actions alone.
    known = 5
    latents = agent.observe({"vector": truth[:, :known], "action": actions[:, :known]})
    start = {name: value[:, -1] for name, value in latents.items()}
    future, _ = agent.imagine(start, actions[:, known - 1 : -1])
    predicted = np.asarray(agent.decode(future)["vector"])[0]

    figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
    names = ("cart position", "cart velocity", "pole angle", "pole velocity")
    for index, (axis, name) in enumerate(zip(axes, names)):
        axis.plot(truth[0, :, index], "k", label="environment")
        axis.plot(range(known, truth.shape[1]), predicted[:, index], "r--", label="imagined")
        axis.set(title=name, xlabel="agent step")
    axes[0].legend()
    path = folder / "imagined.png"
    figure.savefig(path)
    plt.close(figure)
    env.close()
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
