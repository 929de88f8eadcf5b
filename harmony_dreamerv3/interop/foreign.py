"""Recognising checkpoints of other programs, to say what can be done with them."""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from pathlib import Path

from embodied.core.errors import UserError

# The number that older versions of PyTorch begin a file with, as a pickle.
_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_BYTES = 1 << 22  # of a file's description that is looked at
_MOST_WORDS = 20_000
# Words among the names of a PyTorch file, and whose they are.
_TORCH_WORDS = {
    "agent_state_dict": "dreamerv3-torch",
    "optims_state_dict": "dreamerv3-torch",
    "target_critic": "SheepRL",
    "world_optimizer": "SheepRL",
}
_SCORES = "its scores can be compared: harmony-dreamerv3 table RUN_FOLDER"
_TORCH_ADVICE = f"its networks are other ones, so it cannot be continued here; {_SCORES}"
_ADVICE = {
    "upstream DreamerV3 of 2025": "give a file of its parameters by name instead, OUT.npz, written "
    'where that program is installed: python -c "import pickle, numpy; '
    "numpy.savez('OUT.npz', **pickle.load(open('agent.pkl', 'rb'))['params'])\"",
    "DreamerV2 in TensorFlow": _TORCH_ADVICE,
    "Orbax": "give a file of arrays by name instead, .npz or .safetensors",
    "this program": "continue it with: harmony-dreamerv3 train --logdir {path}",
    "the released code": "give its file: {path}/checkpoint.ckpt",
}
# A file that tells a folder's program, as a pattern below it.
_FOLDERS = {
    "checkpoints/*/manifest.json": "this program",
    "checkpoint.ckpt": "the released code",
    "agent.pkl": "upstream DreamerV3 of 2025",
    "*/agent.pkl": "upstream DreamerV3 of 2025",
    "ckpt/*/agent.pkl": "upstream DreamerV3 of 2025",
    "latest.pt": "dreamerv3-torch",
    "ckpt_*.ckpt": "SheepRL",
    "checkpoint/ckpt_*.ckpt": "SheepRL",
    "*/checkpoint/ckpt_*.ckpt": "SheepRL",
    "variables.pkl": "DreamerV2 in TensorFlow",
    "_METADATA": "Orbax",
    "*/_METADATA": "Orbax",
}


def refuse(path: Path) -> None:
    """Raises UserError when a file or folder is of a known program that is not read."""
    program = program_of(path)
    if program is None:
        return
    advice = _ADVICE.get(program, _TORCH_ADVICE).format(path=path)
    kind = "run folder" if path.is_dir() and program == "this program" else "checkpoint"
    raise UserError(f"{path} is a {kind} of {program}: {advice}")


def program_of(path: Path) -> str | None:
    """Returns the name of the program that wrote a file or folder; nothing in it is executed."""
    if path.is_dir():
        return next((name for pattern, name in _FOLDERS.items() if any(path.glob(pattern))), None)
    if path.name == "variables.pkl":
        return "DreamerV2 in TensorFlow"
    if path.name == "agent.pkl":
        return "upstream DreamerV3 of 2025"
    if path.suffix == ".npz" or not path.is_file():
        return None
    with open(path, "rb") as file:
        head = file.read(4096)
    if head.startswith(_TORCH):
        return "PyTorch"
    if head.startswith(b"PK") and b"/data.pkl" in head:
        return _torch_program(path)
    return None


def _torch_program(path: Path) -> str:
    """Returns whose archive a PyTorch file is, by the words in its description."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as file:
                data = file.read(_MOST_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About escapes in the text of names.
            for count, (_, word, _) in enumerate(pickletools.genops(data)):
                if word in _TORCH_WORDS and isinstance(word, str):
                    return _TORCH_WORDS[word]
                if count > _MOST_WORDS:
                    break
    except Exception:  # Cut off or damaged: its beginning has said enough.
        return "PyTorch"
    return "PyTorch"
