"""The command line: one table of verbs; heavy imports happen inside them."""

from embodied.core.verb import Verb
from harmony_dreamerv3.interop import verbs as interop
from harmony_dreamerv3.verbs import analyze, config, doctor, envs, evaluate, train
from scores import verbs as scores
from sweeps import verb as sweep

VERBS = {
    "train": Verb("train agents, or continue a run", train.arguments, train.run, takes_flags=True),
    "eval": Verb("evaluate the last checkpoint of a run", evaluate.arguments, evaluate.run),
    "config": Verb(
        "print every key of a configuration, and what it means", config.arguments, config.run,
        takes_flags=True,
    ),
    "doctor": Verb(
        "check versions, devices, games, rendering", doctor.arguments, doctor.run, takes_flags=True
    ),
    "envs": Verb(
        "list environments, or show one", envs.arguments, envs.run, takes_flags=True
    ),
    "sweep": Verb(
        "train methods x tasks x seeds, or show how that stands", sweep.arguments, sweep.run,
        takes_flags=True,
    ),
    **scores.VERBS,
    "analyze": Verb(
        "train world models on a fixed buffer and judge their predictions", analyze.arguments,
        analyze.run, takes_flags=True,
    ),
    "parity": Verb(
        "compare with numbers of the released code", interop.parity_arguments, interop.run_parity
    ),
    "import": Verb(
        "take over a checkpoint of the released code", interop.import_arguments,
        interop.run_import, takes_flags=True,
    ),
    "export": Verb(
        "write parameters under the released code's names", interop.export_arguments,
        interop.run_export,
    ),
}  # fmt: skip
