"""Parameter files and overrides: what is taken, and that whatever is wrong gives one line that helps."""

import sys
from pathlib import Path

import pydantic
import pytest

from repro.config import load_config
from repro.config.health import HealthConfig
from repro.reading import UserError, read_yaml

PRESETS = sorted((Path(__file__).parents[2] / "presets").glob("*.yaml"))
DEFAULT = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"

# What Python says of a character whose number is larger than a C int.
TOO_LARGE = "chr() arg not in range" if sys.version_info >= (3, 13) else "Python int too large"


@pytest.fixture
def refusal(tmp_path):
    """The message for the default preset with `old` replaced by `new`, or for a whole other content."""

    def refuse(old=None, new=None, *, content=None, overrides=()):
        path = tmp_path / "params.yaml"
        if content is None:
            content = DEFAULT.read_text()
            if old is not None:
                assert old in content
                content = content.replace(old, new, 1)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UserError) as caught:
            load_config(path, overrides)
        message = str(caught.value)
        assert len(message.splitlines()) == 1 and len(message) < 500
        assert message.startswith((str(path), "--set "))
        return message.removeprefix(f"{path}: ")

    return refuse


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_loads_under_its_own_name(path):
    assert load_config(path).name == path.stem


def test_there_are_presets():
    assert DEFAULT in PRESETS and len(PRESETS) >= 4


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001", "1E-4", "1e-04"])
def test_floats_are_read_by_the_rules_of_yaml_1_2(text, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(DEFAULT.read_text().replace("learning_rate: 5.0e-4", f"learning_rate: {text}", 1))
    assert load_config(path).agent.learning_rate == 1e-4
    assert load_config(DEFAULT, [f"agent.learning_rate={text}"]).agent.learning_rate == 1e-4


def test_whole_numbers_are_taken_for_floats():
    discount = load_config(DEFAULT, ["agent.discount=1"]).agent.discount
    assert discount == 1.0 and isinstance(discount, float)


def test_the_reward_model_must_fit_what_is_observed_and_who_answers():
    cnn = ["reward_model.network=cnn", "reward_model.batch_norm=true", "reward_model.dropout=0.5"]
    assert load_config(DEFAULT, [*cnn, "env.image_size=43"]).reward_model.dropout == 0.5
    for overrides, message in (
        ([*cnn, "env.image_size=42"], r"env.image_size \(42\) must be at least 43 for reward_model.network: cnn"),
        (["reward_model.target=true_return", "preferences.annotator=person"], "is what only an oracle knows"),
    ):
        with pytest.raises(UserError, match=message):
            load_config(DEFAULT, overrides)
        load_config(DEFAULT, [*overrides, "reward.source=environment", "preferences.annotator=oracle"])  # not used
    vectors = DEFAULT.with_name("cartpole-preferences.yaml")
    with pytest.raises(UserError, match="keypoints will not do: CartPole-v1 is observed as vectors; write mlp"):
        load_config(vectors, ["reward_model.network=keypoints"])


def test_a_person_is_not_announced_where_nobody_is_asked():
    line = "preferences.annotator: person is asked nothing where reward.source is environment; write oracle, or reward"
    with pytest.raises(UserError, match=line):
        load_config(DEFAULT, ["preferences.annotator=person", "reward.source=environment"])


def test_a_configuration_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError):
        load_config(DEFAULT).agent.epochs = 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("learning_rate: 5", "learning_rte: 5", "agent.learning_rte: unknown entry; did you mean 'learning_rate'?"),
        (
            "algorithm: ppo",
            "algorithm: dqn",
            "agent.anneal_learning_rate: is a parameter of ppo, not of dqn; start from",
        ),
        ("id: moving-dot", "id: CartPole-v1", "env.actions: is a parameter of moving-dot, not of gym; start from"),
        ("agent:", "agnet:", "agnet: unknown entry; did you mean 'agent'?"),
        ("name:", "zzz: 1\nname:", "zzz: unknown entry; known: name, env, agent,"),
        ("  epochs: 3\n", "", "agent.epochs: missing; add it"),
        ("  id: moving-dot\n", "", "env.id: missing; add it"),
        ("gate:\n  after_minutes: 30\n", "", "gate: missing; add it"),
        ("gate:\n  after_minutes: 30\n", "gate: 30\n", "gate: 30 will not do"),
        ("gate:\n  after_minutes: 30\n", "gate: [30]\n", "gate: [30] will not do"),
        ("gate:\n  after_minutes: 30\n", "gate:\n", "gate: null will not do"),
        ("epochs: 3", "epochs: '3'", 'agent.epochs: "3" will not do: input should be a valid integer'),
        ("epochs: 3", "epochs: 3.0", "agent.epochs: 3.0 will not do"),
        ("epochs: 3", "epochs: true", "agent.epochs: true will not do"),
        ("epochs: 3", "epochs: 0", "agent.epochs: 0 will not do: input should be greater than 0"),
        ("epochs: 3", "epochs: 2024-01-31", "agent.epochs: 2024-01-31 will not do"),
        ("epochs: 3", "epochs: &loop [*loop]", "agent.epochs: [[...]] will not do"),
        ("epochs: 3", "epochs: {[1, 2]: 3}", "agent.epochs: {(1, 2): 3} will not do"),
        ("epochs: 3", "epochs: " + "very" * 99, 'agent.epochs: "veryvery'),
        ("epochs: 3", 'epochs: "two\\nlines"', 'agent.epochs: "two\\nlines" will not do'),
        ("learning_rate: 5.0e-4", "learning_rate: true", "agent.learning_rate: true will not do"),
        ("learning_rate: 5.0e-4", "learning_rate: .nan", "agent.learning_rate: NaN will not do"),
        ("learning_rate: 5.0e-4", "learning_rate: .inf", "agent.learning_rate: Infinity will not do"),
        ("discount: 0.9", "discount: .nan", "agent.discount: NaN will not do"),
        (
            "discount: 0.9",
            "discount: 1.01",
            "agent.discount: 1.01 will not do: input should be less than or equal to 1",
        ),
        ("answer_noise: 0.1", "answer_noise: 1", "reward_model.answer_noise: 1 will not do"),
        ("weight_decay: 0.1", "weight_decay: -1", "reward_model.weight_decay: -1 will not do: write adaptive, or"),
        ("weight_decay: 0.1", "weight_decay: adaptve", 'reward_model.weight_decay: "adaptve" will not do: write adapt'),
        ("weight_decay: 0.1", "weight_decay: true", "reward_model.weight_decay: true will not do"),
        ("weight_decay: 0.1", "weight_decay: .nan", "reward_model.weight_decay: nan will not do"),
        ("early_stopping: null", "early_stopping: 0", "reward_model.early_stopping: 0 will not do"),
        ("label_window: null", "label_window: all", 'reward_model.label_window: "all" will not do'),
        ("dropout: 0.0", "dropout: 1", "reward_model.dropout: 1 will not do: input should be less than 1"),
        ("dropout: 0.0", "dropout: 0.5", "reward_model: batch_norm and dropout are of network cnn; with keypoints"),
        ("batch_norm: false", "batch_norm: true", "reward_model: batch_norm and dropout are of network cnn"),
        (
            "network: keypoints",
            "network: mlp",
            "reward_model.network: mlp will not do: moving-dot is observed as",
        ),
        ("network: keypoints", "network: resnet", 'reward_model.network: "resnet" will not do: input should be \'key'),
        ("reward_std: 1.0", "reward_std: .inf", "reward_model.reward_std: Infinity will not do"),
        ("anneal_learning_rate: true", "anneal_learning_rate: yes", 'agent.anneal_learning_rate: "yes" will not do'),
        (
            "source: learned",
            "source: true",
            "reward.source: true will not do: input should be 'environment' or 'learned'",
        ),
        ("id: moving-dot", "id: moving-dots", 'env.id: "moving-dots" is no environment; write moving-dot'),
        ("target: [0.5, 0.5]", "target: [0.5, 0.96]", "env.target[1]: 0.96 will not do: input should be less than"),
        ("target: [0.5, 0.5]", "target: [0.5]", "env.target: [0.5] will not do"),
        ("image_size: 84", "image_size: 35", "env.image_size: 35 will not do"),
        ("max_frames: 1000", "max_frames: 1002", "env: max_frames (1002) must be a multiple of frame_skip (4)"),
        ("name: moving-dot", "name: ../escape", 'name: "../escape" will not do'),
        ("name: moving-dot", 'name: "dot\\n"', 'name: "dot\\n" will not do'),
        ("segment_steps: 15", "segment_steps: 129", "preferences.segment_steps (129) must fit into a rollout"),
        (
            "initial_labels: 175",
            "initial_labels: 701",
            "preferences.initial_labels (701) must not exceed preferences.total_labels (700)",
        ),
        ("rollout_steps: 128", "rollout_steps: 1", "agent.rollout_steps: 1 will not do: input should be greater than"),
        (
            "max_frames: 1000",
            "max_frames: 56",
            "preferences.segment_steps (15) must fit into an episode of the environment: at most so many steps (14)",
        ),
        ("minibatches: 8", "minibatches: 7", "agent.minibatches (7) must divide the 2048 steps of a rollout"),
        ("final: [0,", "final: [100, 0,", "seeds: tuning and final share the seeds [100]; take them out of one"),
        ("final: [0,", "final: [0, 0,", "seeds: final lists a seed twice"),
        ("final: [0,", "final: [-1,", "seeds.final[0]: -1 will not do"),
        (
            "pipeline: [100,",
            "pipeline: [0, 100,",
            "seeds: pipeline [0, 100, 101, 102] must lie within tuning or within",
        ),
        ("pipeline: [100,", "pipeline: [7000, 100,", "seeds: pipeline [7000, 100, 101, 102] must lie within tuning"),
        ("pipeline: [100, 101, 102]", "pipeline: []", "seeds.pipeline: [] will not do"),
        ("name: moving-dot", "name: moving-dot\n1: 2", "1: 1 will not do: keys should be strings"),
        ("name: moving-dot", 'name: moving-dot\n"two\\nlines": 2', "two lines: unknown entry"),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_is_named_with_its_value_and_the_remedy(old, new, message, refusal):
    assert refusal(old, new).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected sections such as 'env:' and 'agent:', found NoneType"),
        ("- env\n- agent\n", "found list"),
        ("moving-dot", "found str"),
        ("a: b: c", "line 1: not valid YAML: mapping values are not allowed here"),
        ("a: 1\na: 2", "line 2: not valid YAML: found duplicate key"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: [1, 2", "not valid YAML"),
        ("\ta: 1", "not valid YAML"),
        ("a: !!python/object/apply:os.system [true]", "not valid YAML: could not determine a constructor"),
        ("a: 2024-99-99", "not valid YAML: month must be in 1..12"),
        ('a: !!bool "x"', "not valid YAML: 'x'"),
        ('a: !!int ""', "not valid YAML: string index out of range"),
        ('a: "\\UFFFFFFFF"', f"not valid YAML: {TOO_LARGE}"),
        ('a: "\\U00110000"', "not valid YAML: chr() arg not in range(0x110000)"),
        ("a: \x07", "not valid YAML: unacceptable character #x0007"),
        ("[" * 1000, "not valid YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_file_of_another_kind_is_refused_in_one_line(content, message, refusal):
    assert message in refusal(content=content)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file; run inside the project"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match="is a folder; name a file in it"):
        load_config(tmp_path)


def test_overrides_replace_values_of_any_type_in_order():
    overrides = [
        "agent.learning_rate=3e-4",
        "agent.epochs=9",
        "agent.epochs = 2",
        "agent.anneal_learning_rate=false",
        "seeds.pipeline=[103, 104]",
        "reward.source=environment",
        "name=other",
    ]
    config = load_config(DEFAULT, overrides)
    assert config.agent.learning_rate == 3e-4 and config.agent.epochs == 2
    assert config.agent.anneal_learning_rate is False and config.seeds.pipeline == [103, 104]
    assert config.reward.source == "environment" and config.name == "other"
    expected = read_yaml(DEFAULT) | {"name": "other", "reward": {"source": "environment"}}
    expected["agent"] |= {"learning_rate": 3e-4, "epochs": 2, "anneal_learning_rate": False}
    expected["seeds"] |= {"pipeline": [103, 104]}
    assert config.model_dump() == expected | {"health": HealthConfig().model_dump()}  # and nothing else


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("agent.learning_rate", "write it as section.key=value"),
        ("agent.learning_rate=", "write it as section.key=value"),
        ("agent.learning_rate=  ", "write it as section.key=value"),
        ("", "write it as section.key=value"),
        ("=3", "write it as section.key=value"),
        ("agent.=3", "write it as section.key=value"),
        ("agnt.epochs=3", "no parameter 'agnt.epochs'; did you mean 'agent.epochs'?"),
        ("agent.epoch=3", "no parameter 'agent.epoch'; did you mean 'agent.epochs'?"),
        ("epochs=3", "no parameter 'epochs'; did you mean 'agent.epochs'?"),
        ("learnin_rate=1", "did you mean 'agent.learning_rate'?"),
        ("reward_model.learnin_rate=1", "did you mean 'reward_model.learning_rate'?"),
        ("nothing.like_it=1", "no parameter 'nothing.like_it'; sections: name, env, agent"),
        ("agent.epochs.more=3", "no parameter 'agent.epochs.more'"),
        ("agent.epochs=[1", "not valid YAML"),
        ("agent.epochs=a: b: c", "not valid YAML"),
        ("agent.epochs=2024-99-99", "not valid YAML"),
        ("agent.epochs=\x07", "not valid YAML"),
        ("agent.epochs=three", 'agent.epochs: "three" will not do'),
        ("agent.epochs=#3", "agent.epochs: null will not do"),
        ("agent=3", "agent: 3 will not do"),
        ("agent.ep\nochs=3", "no parameter"),
        ("agent.minibatches=7", "agent.minibatches (7) must divide"),
    ],
    ids=repr,
)
def test_an_override_that_cannot_be_used_is_refused_in_one_line(override, message, refusal):
    assert message in refusal(overrides=[override])


@pytest.mark.parametrize("override", ["segment_steps=129", "segment_steps=251", "initial_labels=701"])
def test_sections_that_are_not_used_refuse_no_run(override):
    with pytest.raises(UserError, match="preferences"):
        load_config(DEFAULT, [f"preferences.{override}"])
    assert load_config(DEFAULT, [f"preferences.{override}", "reward.source=environment"])


def test_a_segment_may_be_as_long_as_the_episode():
    config = load_config(DEFAULT, ["env.max_frames=60"])
    assert config.preferences.segment_steps == config.env.max_frames // config.env.frame_skip
