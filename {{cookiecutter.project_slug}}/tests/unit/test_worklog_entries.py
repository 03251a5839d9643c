"""What a person writes through the tool: thoughts, hours, what does not add up."""

import math
from datetime import datetime

import pytest
from worklog_examples import MONDAY, TUESDAY, WEDNESDAY, region, rows

from repro.reading import UserError
from repro.worklog import entries, pages
from repro.worklog.confusions import read_confusions


class TestThoughts:
    def test_they_go_to_the_end_of_log_2(self, tmp_path):
        page = entries.open_page(tmp_path, MONDAY)
        morning, later = datetime(2026, 11, 23, 9, 5), datetime(2026, 11, 23, 16, 30)
        entries.add_note(tmp_path, "first\n## 3 Runs in progress and the question each answers", morning)
        assert "aloud\n\n- 09:05 first\n  ## 3 Runs" in page.read_text()
        page.write_text(page.read_text().replace("\n<!-- confused", "\nMine, a paragraph.\n\n\n<!-- confused", 1))
        rest = page.read_text().split("<!-- confused")[1]
        entries.add_note(tmp_path, " second <!-- ", later)
        text = page.read_text()
        assert "Mine, a paragraph.\n- 16:30 second \\<!--\n\n\n<!-- confused" in text
        assert text.split("<!-- confused")[1] == rest
        with pytest.raises(UserError, match="empty"):
            entries.add_note(tmp_path, " \n ")

    def test_a_page_without_the_heading_is_refused(self, tmp_path):
        page = entries.open_page(tmp_path, MONDAY)
        page.write_text(page.read_text().replace("## 2 Thinking aloud", "## 2 thoughts"))
        before = page.read_bytes()
        with pytest.raises(UserError, match="## 2 Thinking aloud"):
            entries.add_note(tmp_path, "x", datetime(2026, 11, 23, 9))
        assert page.read_bytes() == before

    def test_a_page_without_blank_lines_is_enough(self, tmp_path):
        page = entries.open_page(tmp_path, MONDAY)
        page.write_text("\n".join(line for line in page.read_text().splitlines() if line))
        entries.add_note(tmp_path, "x", datetime(2026, 11, 23, 9))
        assert "aloud\n\n- 09:00 x\n\n<!-- confused:start" in page.read_text()


class TestHours:
    def test_they_stand_in_log_1_and_are_read_again(self, tmp_path):
        entries.add_hours(tmp_path, 2.5, "debugging", "the normaliser | <b>", MONDAY)
        page, total = entries.add_hours(tmp_path, 1 / 3, "writing", day=MONDAY)
        entries.add_hours(tmp_path, 24, "tuning", day=TUESDAY)
        assert region(page, "hours") == [
            "| stage | hours | what |",
            "| --- | --- | --- |",
            "| debugging | 2.5 | the normaliser \\| \\<b> |",
            "| writing | 0.33 |  |",
        ]
        assert total == pytest.approx(2.83)
        assert entries.read_hours(tmp_path) == [
            (MONDAY, "debugging", 2.5),
            (MONDAY, "writing", 0.33),
            (TUESDAY, "tuning", 24.0),
        ]

    @pytest.mark.parametrize("hours", [0, -1, 24.01, 0.004, math.nan, math.inf, -math.inf])
    def test_hours_that_a_day_does_not_have_are_refused(self, tmp_path, hours):
        with pytest.raises(UserError, match=r"hours: .* will not do; give a number above 0, and at most 24"):
            entries.add_hours(tmp_path, hours, "debugging", day=MONDAY)
        assert not (tmp_path / "worklog").exists()

    def test_a_stage_may_be_called_as_the_head_of_the_column(self, tmp_path):
        entries.add_hours(tmp_path, 2, "stage", day=MONDAY)
        assert entries.read_hours(tmp_path) == [(MONDAY, "stage", 2.0)]

    def test_a_day_has_24(self, tmp_path):
        page, _ = entries.add_hours(tmp_path, 20, "debugging", day=MONDAY)
        before = page.read_bytes()
        with pytest.raises(UserError, match=r"4\.5 on top of the 20 booked for 2026-11-23"):
            entries.add_hours(tmp_path, 4.5, "writing", day=MONDAY)
        assert page.read_bytes() == before
        for _ in range(10):
            _, total = entries.add_hours(tmp_path, 0.4, "writing", day=MONDAY)
        assert total == 24.0

    @pytest.mark.parametrize("row", ["| debugging | two | |", "| debugging |", "| debugging | nan | |", "| x | -1 | |"])
    def test_a_row_without_hours_is_named_and_the_other_pages_count(self, tmp_path, capsys, row):
        entries.add_hours(tmp_path, 2, "writing", "", TUESDAY)
        page = entries.open_page(tmp_path, MONDAY)
        page.write_text(
            page.read_text().replace("<!-- hours:end", f"| stage | hours |\n|:--|---|\n{row}\n<!-- hours:end")
        )
        assert entries.read_hours(tmp_path) == [(TUESDAY, "writing", 2.0)]
        (warning,) = capsys.readouterr().err.splitlines()
        assert warning.startswith(f"warning: hours are not counted: {page}: the row '{row}' has no number of hours")
        with pytest.raises(UserError, match="has no number of hours"):
            entries.add_hours(tmp_path, 1, "writing", "", MONDAY)

    def test_hours_of_some_days(self, tmp_path, capsys):
        for day, hours in ((MONDAY, 1), (TUESDAY, 2), (WEDNESDAY, 3)):
            entries.add_hours(tmp_path, hours, "writing", day=day)
        pages.page_path(tmp_path, MONDAY).write_text("damaged")
        assert entries.read_hours(tmp_path, TUESDAY, TUESDAY) == [(TUESDAY, "writing", 2.0)]
        assert [hours for *_, hours in entries.read_hours(tmp_path, TUESDAY)] == [2.0, 3.0]
        assert capsys.readouterr().err == ""

    def test_a_table_that_an_editor_aligned_is_read(self, tmp_path):
        page = entries.open_page(tmp_path, MONDAY)
        table = "\n| stage     | hours | what |\n| :-------- | ----: | ---- |\n| debugging |   1.5 | x    |\n\n"
        page.write_text(page.read_text().replace("<!-- hours:end", f"{table}<!-- hours:end"))
        entries.add_hours(tmp_path, 2, "writing", day=MONDAY)
        assert entries.read_hours(tmp_path) == [(MONDAY, "debugging", 1.5), (MONDAY, "writing", 2.0)]
        assert rows(page, "hours")[:2] == ["| debugging |   1.5 | x    |", "| writing | 2 |  |"]


class TestConfusions:
    def test_each_has_a_number_of_its_own_in_the_whole_log(self, tmp_path):
        names = [entries.add_confusion(tmp_path, f"t{day}", day)[1].name for day in (MONDAY, WEDNESDAY, TUESDAY)]
        assert names == ["C1", "C2", "C3"]
        assert region(pages.page_path(tmp_path, WEDNESDAY), "confused") == [
            "- [ ] C1 (2026-11-23) t2026-11-23",
            "- [ ] C2 (2026-11-25) t2026-11-25",
        ]

    def test_hostile_text_stays_on_its_line(self, tmp_path):
        text = "a | b\r\n<!-- confused:end -->\n- [x] C1 (2026-11-23) <b> \x1b[1m \udcff 🤖"
        page, _ = entries.add_confusion(tmp_path, text, MONDAY)
        (line,) = region(page, "confused")
        expected = "a | b \\<!-- confused:end --> - [x] C1 (2026-11-23) \\<b> [1m ? 🤖"
        assert line == f"- [ ] C1 (2026-11-23) {expected}"
        assert entries.add_confusion(tmp_path, text, TUESDAY)[1].number == 1  # it is open already
        assert region(pages.page_path(tmp_path, TUESDAY), "confused") == [line]
        entries.resolve_confusion(tmp_path, "c1", "x\ny | <b>", TUESDAY)
        (line,) = region(pages.page_path(tmp_path, TUESDAY), "confused")
        assert line == f"- [x] C1 (2026-11-23) {expected} **Resolved 2026-11-24:** x y | \\<b>"
        assert entries.add_confusion(tmp_path, text, WEDNESDAY)[1].number == 2  # again

    def test_a_box_that_is_ticked_by_hand_counts(self, tmp_path):
        page, _ = entries.add_confusion(tmp_path, "odd", MONDAY)
        entries.open_page(tmp_path, TUESDAY)
        page.write_text(page.read_text().replace("- [ ] C1", "* [X] C1"))
        assert read_confusions(tmp_path)[1].resolved == MONDAY
        assert region(entries.open_page(tmp_path, WEDNESDAY), "confused") == []

    @pytest.mark.parametrize(
        "name, text, refused",
        [
            ("C1", "", "explanation is missing"),
            ("C1", " \n", "explanation is missing"),
            ("C7", "x", "--resolve C7: there is no such confusion; open are C1, C2"),
            ("first", "x", "--resolve first: there is no such confusion; open are C1, C2"),
            ("C³", "x", "no such confusion"),
        ],
    )
    def test_what_cannot_be_resolved_changes_nothing(self, tmp_path, name, text, refused):
        for text_of in ("first", "second"):
            page, _ = entries.add_confusion(tmp_path, text_of, MONDAY)
        before = page.read_bytes()
        with pytest.raises(UserError, match=refused):
            entries.resolve_confusion(tmp_path, name, text, TUESDAY)
        assert page.read_bytes() == before and not pages.page_path(tmp_path, TUESDAY).exists()

    def test_one_that_is_not_on_the_page_yet_is_resolved_there(self, tmp_path):
        tuesday = entries.open_page(tmp_path, TUESDAY)
        entries.add_confusion(tmp_path, "written down later", MONDAY)
        entries.resolve_confusion(tmp_path, "C1", "clear", TUESDAY)
        assert region(tuesday, "confused") == [
            "- [x] C1 (2026-11-23) written down later **Resolved 2026-11-24:** clear"
        ]
