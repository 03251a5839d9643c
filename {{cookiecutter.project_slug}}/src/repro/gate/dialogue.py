"""The pre-launch questions as a person meets them: asked one by one, with the answers of a dialogue that broke off.

Each answer is written to `runs/.gate/<key>.begun.json` before the next question, so that Ctrl-C, a closed terminal or a
crash loses none; the file goes when the gate is passed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from repro.files import make_folder, write_json
from repro.gate.checklist import is_reason
from repro.reading import UserError, parse_json
from repro.terminal.text import plain

BEGUN = ".begun.json"


class Dialogue:
    """Asks, and keeps each answer under its name; one that was given before is offered again."""

    def __init__(self, folder: Path, key: str, ask: Callable[[str], str], say: Callable[[str], None]) -> None:
        """`folder` is runs/.gate. Raises UserError if what was kept there cannot be read.

        Of a dialogue about other code or parameters only the answers to the checklist's questions are taken over:
        a prediction, or a reason to start in spite of a failed check, is about the run as it was then.
        """
        self.path = folder / f"{key}{BEGUN}"
        self.ask, self.say = ask, say
        self.kept = _read(self.path) if self.path.exists() else {}
        begun = []
        for path in folder.glob(f"[!.]*{BEGUN}"):
            with contextlib.suppress(FileNotFoundError):  # passed, or gone on with, in another terminal just now
                begun.append((path.stat().st_mtime, path))
        others = [path for _, path in sorted(begun)]
        taken_over = bool(others) and self.path not in others
        if taken_over:
            self.kept = {name: text for name, text in _read(others[-1]).items() if name.startswith("answers.")}
            self._write()
            others[-1].unlink(missing_ok=True)  # it goes on here
        if self.kept:
            count = "1 answer" if len(self.kept) == 1 else f"{len(self.kept)} answers"
            say(f"Going on with {count} given before{', for other code or parameters' if taken_over else ''}.")

    def forget(self) -> None:
        """The gate is passed."""
        self.path.unlink(missing_ok=True)

    def text(self, name: str, prompt: str) -> str:
        """A few words."""
        return self._ask(name, prompt, lambda text: text, "Write at least a few words; Ctrl-C stops.")

    def reason(self, name: str) -> str:
        """Why the run may start in spite of something: a `no` typed in haste is none."""
        wanted = "A reason has two words at least, such as: disk is emptied meanwhile; Ctrl-C stops."
        return self._ask(name, "Reason", lambda text: text if is_reason(text) else None, wanted)

    def choice(self, name: str, options: Sequence[str]) -> str:
        """One of `options`, given by its number or its beginning; words may follow it: "not very" is "not"."""
        self.say("  " + "   ".join(f"{number} {option}" for number, option in enumerate(options, start=1)))

        def read(text: str) -> str | None:
            text = " ".join(text.lower().split())
            matches = [
                option
                for number, option in enumerate(options, start=1)
                if text == str(number) or option.lower().startswith(text) or text.startswith(f"{option.lower()} ")
            ]
            return matches[0] if len(matches) == 1 else None

        wanted = f"Type a number from 1 to {len(options)}, or the beginning of one of the words."
        return self._ask(name, "Choose", read, wanted)

    def probability(self, name: str) -> float:
        """A number from 0 to 1."""

        def read(text: str) -> str | None:
            share = text[:-1] + "e-2" if text.endswith("%") else text
            return share if _is_probability(share) else None

        wanted = "Write a number between 0 (cannot fail) and 1 (is bound to fail), e.g. 0.2 or 20%."
        return float(self._ask(name, "Probability", read, wanted))

    def _ask(self, name: str, prompt: str, read: Callable[[str], str | None], wanted: str) -> str:
        """Ask until `read` makes something of what is typed, or Enter takes the answer given before."""
        before = self.kept.get(name, "")
        if before and read(before):
            self.say(f"  before: {plain(before)}")
            prompt += " (Enter: as before)"
        while not (answer := read(self.ask(f"{prompt}: ").strip() or before)):
            self.say(wanted)
        self.kept[name] = answer
        self._write()
        return answer

    def _write(self) -> None:
        make_folder(self.path.parent)
        write_json(self.path, self.kept)


def _read(path: Path) -> dict[str, str]:
    try:
        kept = parse_json(path.read_bytes())
    except FileNotFoundError:  # passed, or gone on with, in another terminal just now
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and answer again") from None
    if not isinstance(kept, dict) or not all(isinstance(text, str) for text in kept.values()):
        raise UserError(f"{path}: does not hold answers; delete it and answer again")
    return kept


def _is_probability(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
