"""The verbs `parity`, `import` and `export` of the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from embodied.core.errors import UserError


def parity_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `parity`."""
    parser.description = (
        "Builds the agent that each bundle describes, loads its parameters, and compares losses, "
        "gradients, predictions, imagined trajectories, actions and updated parameters. Exits "
        "with 1 when one is outside tolerance."
    )
    add = parser.add_argument
    add("bundles", nargs="+", type=Path, metavar="BUNDLE.npz")
    add("--json", action="store_true", help="print the comparison as JSON")
    add("--platform", default="cpu", help="cpu, gpu or tpu (cpu)")
    add("--products", default="highest", choices=("highest", "tensorfloat32", "bfloat16"),
        help="precision of products (highest, which tolerances are for)")  # fmt: skip


def import_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `import`."""
    parser.description = (
        "Reads a checkpoint of the 2023 code base, or parameters by name for another base "
        "(--configs), without executing anything in it, and writes a run folder that `eval` and "
        "`train` continue from. Further flags are those of `train`. On the 2023 base sizes and "
        "losses come from the config.yaml beside the checkpoint when there is one, laid over the "
        "blocks; flags are laid over it."
    )
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="UPSTREAM_CHECKPOINT")
    add("--logdir", type=Path, required=True, help="run folder to write; must be new")
    add("--configs", nargs="+", default=[], metavar="BLOCK", help="config blocks")
    add("--upstream-config", type=Path, help="default: config.yaml beside the checkpoint")


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `export`."""
    parser.description = (
        "Writes the parameters of a run's newest checkpoint under the released code's names, as "
        ".safetensors or .npz; or with --hub a folder with weights, configuration and model card "
        "that `load` and `train --init` read. Uploading it is up to you."
    )
    parser.add_argument("folder", type=Path, metavar="RUN")
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT")
    parser.add_argument("--hub", type=Path, metavar="FOLDER", help="instead of OUT")


def run_parity(args: argparse.Namespace) -> int:
    """Compares with bundles; returns 1 when something is outside tolerance."""
    from harmony_dreamerv3.interop import parity
    from harmony_dreamerv3.runtime import devices

    devices.use_cache()
    return parity.main(args.bundles, args.json, args.platform, args.products)


def run_import(args: argparse.Namespace) -> int:
    """Takes over a checkpoint of the released code."""
    from harmony_dreamerv3.config import overrides
    from harmony_dreamerv3.interop import folders

    flags = overrides.parse_flags(args.flags)
    theirs = args.upstream_config
    print(folders.import_checkpoint(args.checkpoint, args.logdir, args.configs, flags, theirs))
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Writes parameters under the released code's names, or a hub folder."""
    from harmony_dreamerv3.interop import folders, hub

    if (args.out is None) == (args.hub is None):
        raise UserError("export: expected either OUT.npz (or .safetensors) or --hub FOLDER")
    if args.hub:
        print(hub.export(args.folder, args.hub))
        return 0
    print(folders.export_run(args.folder, args.out))
    return 0
