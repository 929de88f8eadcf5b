"""Files that are no bundles: always an error that says why, never a traceback."""

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import bundle
from harmony_dreamerv3.main import main

META = {
    "configs": ["defaults", "atari100k"],
    "overrides": {"harmony": False},
    "obs_space": {"image": {"shape": [64, 64, 3], "dtype": "uint8"}},
    "act_space": {"action": {"shape": [6], "discrete": True}},
    "sampling": "mode",
}
ARRAYS = {
    "params/a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "batch/reward": np.zeros((2, 3), np.float32),
    "expect/embed": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}


def pack(meta: object = META, **arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, meta=np.array(json.dumps(meta)), **(arrays or ARRAYS))
    return stream.getvalue()


def npy(shape: str, descr: str = "'<f4'", data: bytes = b"1234") -> bytes:
    """An npy file whose header says anything."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


def zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO(pack())
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def test_reads_all_parts(tmp_path):
    path = tmp_path / "b.npz"
    path.write_bytes(pack())
    found = bundle.read(path)
    assert found.meta == META and found.base == "dreamerv3" and found.more == {}
    np.testing.assert_array_equal(found.params["a/b"], ARRAYS["params/a/b"])
    np.testing.assert_array_equal(found.expect["embed"], ARRAYS["expect/embed"])


def test_a_base_and_what_only_some_bundles_have(tmp_path):
    path = tmp_path / "b.npz"
    path.write_bytes(pack({**META, "base": "dreamerv2"}, **ARRAYS, **{"noise/u": np.ones(3)}))
    found = bundle.read(path)
    assert found.base == "dreamerv2" and list(found.more) == ["noise"]
    np.testing.assert_array_equal(found.more["noise"]["u"], np.ones(3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable bundle"),
        (b"PK\x03\x04 nonsense", "not a readable bundle"),
        (pack()[:-40], "not a readable bundle"),
        (zipped("expect/x.npy", npy("(9999999999, 999999)")), "claims the shape"),
        (zipped("expect/x.npy", npy("(-1,)")), "claims the shape"),
        (zipped("expect/x.npy", npy("(3,)")), "do not fill"),
        (zipped("expect/x.npy", npy("()", data=b"12345678")), "do not fill"),
        (zipped("expect/x.npy", npy("(1,)", "'|O'")), "pickled objects"),
        (zipped("expect/x.npy", npy("(1,)", "'<U1'")), "expected numbers"),
        (zipped("expect/x.npy", npy("(1,)", "[('a', '<f4')]")), "expected numbers"),
        (zipped("expect/x.npy", npy("__import__('os')")), "not a readable bundle"),
        (zipped("expect/x.npy", b"\x93NUMPY\x09\x00"), "not a readable bundle"),
        (zipped("grads/x.npy", npy("(1,)")), "unexpected entry 'grads/x'"),
        (pack(**{"params/a": np.zeros(1)}), "no entries under batch/"),
        (pack([1]), "meta.configs must be a list, got list"),
        (pack({**META, "configs": "atari100k"}), "meta.configs must be a list"),
        (pack({**META, "overrides": None}), "meta.overrides must be a dict"),
        (pack({**META, "obs_space": {"x": [3]}}), "obs_space.x must have a shape"),
        (
            pack({**META, "obs_space": {"x": {"shape": [-3], "dtype": "uint8"}}}),
            "must have a shape",
        ),
        (pack({**META, "obs_space": {"x": {"shape": [3], "dtype": "object"}}}), "dtype 'object'"),
        (pack({**META, "act_space": [3]}), "meta.act_space must be a dict"),
    ],
)
def test_malformed(tmp_path, data, message):
    path = tmp_path / "b.npz"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        bundle.read(path)


def test_command_says_it_in_one_line(tmp_path, capsys):
    assert main(["parity", str(tmp_path / "missing.npz")]) == 2
    assert "missing.npz" in capsys.readouterr().err
    stream = io.BytesIO()
    np.savez(stream, meta=np.array(["a", "b"]))
    (tmp_path / "b.npz").write_bytes(stream.getvalue())
    assert main(["parity", str(tmp_path / "b.npz")]) == 2
    assert "one JSON text" in capsys.readouterr().err


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_bytes(tmp_path_factory, data):
    """A bundle with some bytes changed is read or refused, nothing else."""
    content = bytearray(pack())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "b.npz"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(UserError):
        bundle.read(path)
