"""The example day in worklog/README.md is what the tool writes, to the letter."""

import re
from datetime import date, datetime

from project import SOURCE
from worklog_examples import archived, ended, record, write_output

from repro.worklog import entries

BEFORE, YESTERDAY, TODAY = date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 21)
DIPS = [9, 10, 14, 22, 30, 38, 46, 47, 46, 45, 47, 46, 47, 60, 71, 80, 86, 90, 91, 91, 91]
CLIMBS = [8, 12, 25, 45, 60, 74, 85, 90, 93, 95, 96, 97]


def example() -> str:
    text = (SOURCE / "worklog" / "README.md").read_text()
    return re.search(r"```markdown\n(.*?)```", text, re.DOTALL)[1]


def test_the_example_day_is_what_the_tool_writes(tmp_path):
    """A person's words are taken from the page; the tool does the rest of the day once more."""
    page = example()
    output = re.search(r"\*Carried over from 2026-11-20\.\*\n\n(.*?)\n\n<!--", page, re.DOTALL)[1]
    notes = re.findall(r"^- (\d\d):(\d\d) (.*?)(?=\n-|\n\n)", page, re.DOTALL | re.MULTILINE)
    remark = page.split("<!-- results:end -->\n")[1]
    assert len(notes) == 6 and remark

    for text in ("a", "b"):
        _, confusion = entries.add_confusion(tmp_path, text, BEFORE)
        entries.resolve_confusion(tmp_path, confusion.name, "a typing error", BEFORE)
    write_output(entries.open_page(tmp_path, YESTERDAY), output)
    odd = "The reward model is right on 90% of held-out pairs, and the agent learns nothing from it"
    entries.add_confusion(tmp_path, odd, YESTERDAY)
    killed = record(
        "2026-11-20_moving-dot_5d20",
        question="Does pretraining the reward model for longer help?",
        started="2026-11-20T18:20:41",
        process_start="tick 1",
    )
    entries.enter_run(tmp_path, archived(tmp_path, killed), YESTERDAY)

    for hour, minute, text in notes:
        entries.add_note(tmp_path, text.replace("\n  ", "\n"), datetime(2026, 11, 21, int(hour), int(minute)))
    for run, question, started, result, returns in (
        ("09be", "Can the agent learn at all, given the true reward?", "09:24:10", "97% of the optimal return", CLIMBS),
        ("7f3a", "Does it learn with the normalisation fixed?", "10:15:02", "91% of the optimal return", DIPS),
    ):
        content = {"question": question, "started": f"2026-11-21T{started}"}
        content["wandb"] = {"url": f"https://wandb.ai/ada/moving-dot/runs/{run}"}
        entries.enter_run(tmp_path, record(f"2026-11-21_moving-dot_{run}", **content), TODAY)
        content |= {"result": result, "ended": "2026-11-21T11:30:00"}
        over = ended(f"2026-11-21_moving-dot_{run}", **content)
        entries.enter_result(tmp_path, archived(tmp_path, over, returns=returns))
    again = {"seed": 101, "question": "Is the good result of seed 100 luck?", "started": "2026-11-21T11:42:30"}
    entries.enter_run(tmp_path, archived(tmp_path, record("2026-11-21_moving-dot_c41d", **again)), TODAY)
    why = "right in rank, 500 times too small: normalised with statistics from before pretraining"
    entries.resolve_confusion(tmp_path, "C3", why, TODAY)
    entries.add_confusion(tmp_path, "7f3a stands still from 40% to 60% of its steps, 09be does not", TODAY)
    entries.add_hours(tmp_path, 2.5, "debugging", "predicted against true reward", TODAY)
    entries.add_hours(tmp_path, 1, "reading", "the appendix again, on how rewards are normalised", TODAY)
    written = (tmp_path / "worklog" / "2026-11-21.md").read_text()
    assert written + remark == page
