"""Each check of what surrounds a run finds the fault it is made for: device, disk, memory, tracking, seeds."""

from __future__ import annotations

import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from claims_examples import CLAIM, write_claims
from preflight_examples import check, config
from wandb_examples import FAKE_KEY

from repro.preflight import memory
from repro.preflight.free_memory import free_memory


def test_a_gpu_that_is_not_there(root, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = check("device", root, "training.device=cuda")
    assert not result.passed and "no CUDA device" in result.seen
    assert check("device", root, "training.device=auto").passed


def test_a_full_disk(root, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1e12, 1e12, 1e9))
    result = check("disk_space", root)
    assert not result.passed and "1.0 GB free" in result.seen


def test_the_disk_that_counts_is_the_one_of_the_runs(root, monkeypatch, tmp_path_factory):
    large = tmp_path_factory.mktemp("large")
    (root / "runs").symlink_to(large)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(1e12, 0, 1e12 if Path(path).resolve() == large else 1e9)
    )
    assert check("disk_space", root).passed


class TestMemory:
    def test_too_little_is_free(self, root, monkeypatch):
        needed = sum(memory.memory_needed(config()).values())
        monkeypatch.setattr(memory, "free_memory", lambda: 0.99 * needed)
        result = check("memory", root)
        assert not result.passed and "GB free, about" in result.seen and "rollout" in result.seen
        monkeypatch.setattr(memory, "free_memory", lambda: 1.01 * needed)
        assert check("memory", root).passed

    def test_a_system_that_does_not_say(self, root, monkeypatch):
        monkeypatch.setattr(memory, "free_memory", lambda: None)
        result = check("memory", root)
        assert result.passed and "not known" in result.seen

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_what_is_free_is_less_than_all(self):
        total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
        assert 0 < memory.free_memory() < total

    @pytest.mark.parametrize(
        ("files", "environment", "gigabytes"),
        [
            ({}, {}, 8),
            ({"proc/self/cgroup": "0::/job/step", "sys/fs/cgroup/job/memory.max": "3e9"}, {}, 2.25),  # the group above
            ({"proc/self/cgroup": "0::/outside", "sys/fs/cgroup/memory.max": "3e9"}, {}, 2.25),  # seen in a container
            ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"}, {}, 8),
            (
                {"proc/self/cgroup": "4:cpu,memory:/a:b", "sys/fs/cgroup/memory/a:b/memory.limit_in_bytes": "3e9"},
                {},
                2.25,
            ),
            ({}, {"SLURM_MEM_PER_NODE": "1000"}, 1000 * 1024**2 / 1e9),
            ({}, {"SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_ON_NODE": "2"}, 2000 * 1024**2 / 1e9),
            ({}, {"SLURM_MEM_PER_NODE": "0"}, 8),  # all there is
        ],
    )
    def test_limits_of_containers_and_jobs_count(self, tmp_path, files, environment, gigabytes):
        everything = {"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 7812500 kB"} | files
        for name in files:
            if "max" in name or "limit" in name:
                usage, cached = ("current", "") if "max" in name else ("usage_in_bytes", "total_")
                folder = name.rpartition("/")[0]
                everything |= {f"{folder}/memory.{usage}": "1e9"}
                everything |= {f"{folder}/memory.stat": f"{cached}inactive_file 250000000"}
        for name, text in everything.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
        assert free_memory(tmp_path, environment) == pytest.approx(gigabytes * 1e9)

    def test_a_longer_rollout_counts_its_observations_twice(self):
        short, long = (memory.memory_needed(config(f"agent.rollout_steps={steps}")) for steps in (64, 1064))
        assert long["rollout"] - short["rollout"] == 2 * 1000 * 4 * (4 * 36 * 36)

    def test_a_label_is_two_segments_of_single_frames(self):
        few, many = (memory.memory_needed(config(f"preferences.total_labels={count}")) for count in (700, 1700))
        assert many["labels"] - few["labels"] == 1000 * 2 * (8 + 3) * 36 * 36
        assert {name for name in few if few[name] != many[name]} == {"labels"}

    def test_labels_that_the_window_has_left_behind_do_not_count(self):
        windowed, few = (
            memory.memory_needed(config("preferences.total_labels=700", override))["labels"]
            for override in ("reward_model.label_window=100", "preferences.total_labels=100")
        )
        assert windowed == few

    def test_true_rewards_need_no_labels(self):
        learned, true = memory.memory_needed(config()), memory.memory_needed(config("reward.source=environment"))
        assert true["labels"] == 0 and true["networks"] < learned["networks"]


class TestTracking:
    def test_an_unknown_mode(self, root):
        (root / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "sometimes"\n')
        result = check("tracking", root)
        assert not result.passed and "sometimes" in result.seen

    @pytest.mark.usefixtures("no_account")
    def test_online_needs_a_login(self, root, monkeypatch):
        (root / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "online"\n')
        result = check("tracking", root)
        assert not result.passed and result.seen == "W&B mode online, but there is no login"
        assert "wandb login" in result.remedy
        monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
        assert check("tracking", root).passed

    @pytest.mark.usefixtures("no_account")
    def test_a_wandb_that_does_not_work(self, root, monkeypatch):
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_BASE_URL", "not a url")
        result = check("tracking", root)
        assert not result.passed and "W&B does not work" in result.seen

    @pytest.mark.usefixtures("no_account")
    def test_offline_needs_none(self, root):
        assert check("tracking", root).passed


class TestSeeds:
    def test_too_few_for_a_claim(self, root):
        result = check("seeds", root, "seeds.final=[0, 1, 2]")
        assert not result.passed and result.seen == "3 final seeds (10 for a claim)"

    @pytest.mark.parametrize(
        ("old", "new", "needed"),
        [
            ("min_seeds: 10", "min_seeds: 12", 12),
            ("min_seeds: 10", "min_seeds: 5", 5),
            ("experiment: moving-dot,", "experiment: [other, moving-dot],", 10),
            ("min_seeds: 10", "min_seeds: 12\n    against: {experiment: other}", 12),
            ("min_seeds: 10\n    cells: {experiment: moving-dot", "min_seeds: 12\n    cells: {experiment: other", 10),
        ],
    )
    def test_as_many_as_the_claims_about_the_experiment_say(self, root, old, new, needed):
        assert old in CLAIM
        write_claims(root, CLAIM.replace(old, new))
        assert check("seeds", root).seen == f"10 final seeds ({needed} for a claim)"
        assert check("seeds", root).passed == (needed <= 10)

    def test_as_many_as_a_claim_against_the_experiment_says(self, root):
        compared = CLAIM.replace("min_seeds: 10", "min_seeds: 12\n    against: {experiment: other}")
        write_claims(root, compared)
        assert check("seeds", root, "name=other").seen == "10 final seeds (12 for a claim)"

    @pytest.mark.parametrize("text", ["claims: 3", "- a", "", "claims: [3]", "claims: [{cells: x}]", "claims: ["])
    def test_claims_that_cannot_be_read(self, root, text):
        write_claims(root).write_text(text)
        result = check("seeds", root)
        assert not result.passed and "claims.yaml" in result.seen
