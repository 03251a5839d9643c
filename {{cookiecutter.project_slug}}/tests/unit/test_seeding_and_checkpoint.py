"""Random streams that stay what they are, and checkpoints that are whole, safe to read, or refused in one line."""

import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from dot_examples import small_envs

import repro
from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.device import choose_device
from repro.reading import UserError
from repro.seeding import derive_seed, numpy_generator, torch_generator

torch.set_num_threads(1)
CPU = torch.device("cpu")
STREAMS = [
    *("initial weights", "env", "policy", "initial env", "initial policy", "initial queries"),
    *("queries", "reward model weights", "reward model"),
]


def test_seeds_are_what_they_have_always_been():
    """Other numbers here mean that no earlier run can be repeated."""
    assert derive_seed(0, "env") == 1381808331687693808
    assert derive_seed(0, "policy") == 8427198540734313713
    assert derive_seed(100, "env") == 8060976609112073334
    assert derive_seed(100, "reward model") == 7251739007926617289
    assert numpy_generator(100, "queries").integers(0, 1000, 5).tolist() == [726, 915, 623, 338, 393]
    draws = torch.rand(3, generator=torch_generator(100, "policy", CPU))
    torch.testing.assert_close(draws, torch.tensor([0.69936383, 0.75923276, 0.88576317]))


def test_streams_and_seeds_all_differ():
    seeds = {derive_seed(seed, stream) for seed in range(200) for stream in STREAMS}
    assert len(seeds) == 200 * len(STREAMS)
    assert min(seeds) >= 0 and max(seeds) < 2**63
    assert max(seeds) > 2**62 and len({seed % 1024 for seed in seeds}) > 700  # all bits are used


def test_streams_do_not_touch_each_other_nor_the_global_ones():
    expected = torch.rand(5, generator=torch_generator(1, "policy", CPU)), numpy_generator(1, "env").random(5)
    torch.manual_seed(0)
    np.random.seed(0)
    untouched = torch.get_rng_state(), np.random.get_state()[1].copy()
    one, other = torch_generator(1, "policy", CPU), torch_generator(1, "env", CPU)
    numpy_one, numpy_other = numpy_generator(1, "env"), numpy_generator(1, "policy")
    torch.rand(7, generator=other), numpy_other.random(7)
    assert torch.equal(torch.rand(5, generator=one), expected[0])
    np.testing.assert_array_equal(numpy_one.random(5), expected[1])
    assert torch.equal(torch.get_rng_state(), untouched[0])
    np.testing.assert_array_equal(np.random.get_state()[1], untouched[1])


def example(size=1000):
    return {
        "weights": {"layer": torch.arange(size, dtype=torch.float32), "half": torch.ones(3, dtype=torch.bfloat16)},
        "generator": np.random.default_rng(5).bit_generator.state,  # its integers have 128 bits
        "torch": torch.Generator().manual_seed(3).get_state(),
        "list": [np.arange(6, dtype=np.uint8).reshape(2, 3), {"deeper": [None, True, 2.5, "text", -7]}],
        "done": np.array([True, False]),
    }


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert [*one] == [*other]
        one, other = [*one.values()], [*other.values()]
    if isinstance(one, list):
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other)
    else:
        assert one == other


def test_a_checkpoint_holds_what_was_saved_arrays_as_tensors(tmp_path):
    state = example()
    save_checkpoint(tmp_path / "c.pt", state)
    loaded = load_checkpoint(tmp_path / "c.pt")
    expected = example() | {
        "list": [torch.arange(6, dtype=torch.uint8).reshape(2, 3), {"deeper": [None, True, 2.5, "text", -7]}],
        "done": torch.tensor([True, False]),
    }
    assert_same(loaded, expected)
    assert isinstance(state["done"], np.ndarray)  # what was handed over is as it was
    generator = np.random.default_rng()
    generator.bit_generator.state = loaded["generator"]
    assert generator.random() == np.random.default_rng(5).random()


def test_an_environment_continues_exactly_through_a_checkpoint(tmp_path):
    envs, resumed = (small_envs(3, max_frames=20) for _ in range(2))
    envs.reset(seed=1)
    for _ in range(4):
        envs.step(np.array([1, 2, 3]))
    save_checkpoint(tmp_path / "c.pt", {"envs": envs.get_state()})
    resumed.set_state(load_checkpoint(tmp_path / "c.pt")["envs"])
    for _ in range(12):
        for one, other in zip(envs.step(np.array([1, 2, 4]))[:4], resumed.step(np.array([1, 2, 4]))[:4], strict=True):
            np.testing.assert_array_equal(one, other)


def refusal(path):
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message.splitlines()) == 1 and len(message) < 300
    return message


def test_damaged_checkpoints_are_refused_wherever_the_damage_is(tmp_path):
    path = tmp_path / "c.pt"
    save_checkpoint(path, example(200))
    whole, expected = path.read_bytes(), load_checkpoint(path)
    chance = random.Random(0)
    for length in [0, 1, 4, len(whole) - 1, *chance.sample(range(len(whole)), 40)]:
        path.write_bytes(whole[:length])
        assert "not a readable checkpoint" in refusal(path)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            assert_same(load_checkpoint(path), expected)  # between the entries of the archive
        except UserError:
            refused += 1
    assert refused > 60


@pytest.mark.parametrize("content", [b"", b"text", b'{"a": 1}', b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x80\x04.", b"0."])
def test_files_of_other_kinds_are_refused(content, tmp_path):
    (tmp_path / "c.pt").write_bytes(content)
    assert "not a readable checkpoint" in refusal(tmp_path / "c.pt")


@pytest.mark.parametrize("content", [b"", b"0.", b"(0.", b"text", b"\x80\x02N}\x93.", b"\x80\x02}}s.", b"\x80\x02N."])
def test_whole_archives_of_other_contents_are_refused(content, tmp_path):
    save_checkpoint(tmp_path / "whole.pt", {"step": 1})
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "c.pt", "w") as other:
        for name in whole.namelist():
            other.writestr(name, content if name.endswith("data.pkl") else whole.read(name))
    refusal(tmp_path / "c.pt")


def test_random_files_are_refused(tmp_path):
    chance = random.Random(1)
    for _ in range(200):
        (tmp_path / "c.pt").write_bytes(chance.randbytes(chance.randrange(200)))
        refusal(tmp_path / "c.pt")


def test_missing_files_folders_and_other_contents_are_refused(tmp_path):
    assert "no such checkpoint" in refusal(tmp_path / "nowhere.pt")
    (tmp_path / "folder").mkdir()
    assert "not a readable checkpoint" in refusal(tmp_path / "folder")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "not a checkpoint" in refusal(tmp_path / "list.pt")
    torch.save({"module": torch.nn.Linear(2, 2)}, tmp_path / "module.pt")
    assert "not a readable checkpoint" in refusal(tmp_path / "module.pt")


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(zipped, tmp_path):
    proof = tmp_path / "proof"
    torch.save({"weights": Exploit(proof)}, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped)
    refusal(tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes(pickle.dumps({"weights": Exploit(proof)}))
    refusal(tmp_path / "c.pt")
    assert not proof.exists()
    pickle.loads(pickle.dumps(Exploit(proof)))  # noqa: S301  so that the test can fail
    assert proof.exists()


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(UserError, match=r"c\.pt: the disk is full"):
            save_checkpoint(path, {"step": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["c.pt"]
    with pytest.raises(UserError, match=r"the folder .* is gone"):
        save_checkpoint(tmp_path / "gone" / "c.pt", {})


SAVER = """
import sys
from pathlib import Path
import torch
from repro.checkpoint import save_checkpoint
for step in range(1_000_000):
    save_checkpoint(Path(sys.argv[1]), {"step": step, "weights": torch.full((50_000,), float(step))})
    print(step, flush=True)
"""


def test_a_killed_process_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "c.pt"
    environment = {**os.environ, "PYTHONPATH": str(Path(repro.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    lines = [process.stdout.readline() for _ in range(5)]
    for _ in range(20):  # meanwhile a reader sees whole ones too
        state = load_checkpoint(path)
        assert (state["weights"] == state["step"]).all()
        time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    state = load_checkpoint(path)
    assert (state["weights"] == state["step"]).all()
    assert state["step"] - int(lines[-1]) in (0, 1)  # none that was reported is lost


def test_the_device_is_the_one_that_was_asked_for():
    assert choose_device("cpu") == CPU
    if torch.cuda.is_available():
        assert choose_device("cuda").type == choose_device("auto").type == "cuda"
    else:
        assert choose_device("auto") == CPU
        with pytest.raises(UserError, match=r"training\.device: cuda was asked for"):
            choose_device("cuda")


def test_resident_memory_follows_what_is_allocated():
    """In a process of its own, where nothing else grows meanwhile."""
    program = (
        "from repro.machine import resident_memory\n"
        "before = resident_memory()\n"
        "block = bytearray(b'1') * (64 * 2**20)\n"
        "grown = resident_memory() - before\n"
        "assert 60 < grown < 80, grown"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
