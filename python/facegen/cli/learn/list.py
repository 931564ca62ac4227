"""facegen learn list: the exercises, and the score."""

from __future__ import annotations

import click

from facegen.cli import options, terminal


@click.command("list", epilog=options.examples("facegen learn list"))
@options.common
def command() -> None:
    """List the exercises, and what was reached of them in this folder.

    Each is worth a point for being right, and another for reaching its speed. The score is in
    facegen-score.json, in the folder that the command is called in.
    """
    from pathlib import Path

    from facegen.learn.exercises import exercises
    from facegen.learn.score import NAME, Entry, read_score

    all_ = exercises()
    score = read_score(Path.cwd(), {exercise.name for exercise in all_})
    for exercise in all_:
        entry = score.get(exercise.name, Entry())
        state = "right, fast" if entry.points == 2 else "right" if entry.right else ""
        begun = "begun" if Path(exercise.file).exists() else ""
        line = f"{exercise.number:>3}  {exercise.language:<7} {exercise.title:<54} {state or begun}"
        terminal.say(line.rstrip())
    points = sum(entry.points for entry in score.values())
    terminal.say(f"{points} of {2 * len(all_)} points ({NAME})")
    left = [each for each in all_ if each.name not in score or not score[each.name].right]
    if left:
        verb = "check" if Path(left[0].file).exists() else "start"
        terminal.say(f"next: facegen learn {verb} {left[0].number}")
