"""The command line: one file a command, which parses and prints; and what several of them share.

What a command does is elsewhere: `facegen.runs`, `facegen.pictures`, `facegen.train`.

| file | what it is |
|---|---|
| `main` | finds the command, turns errors into one line and an exit code |
| `options` | options of several commands |
| `picture_options`, `picture_run` | commands for people's pictures: their options, what is said |
| `bare_program` | what the course's programs on bare files say |
| `terminal`, `progress` | all that is printed, and where; the bar |
| `models` | the model that a command computes with, and what there is to say of it |
| `start` | what a command begins with, before it imports what computes |
| `lazy`, `signals`, `seeds` | commands imported late, Ctrl-C, lists of seeds |
"""
