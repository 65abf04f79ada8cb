"""`main` is the command `jaxnn`; it runs a subcommand, and reports an error by one sentence and an exit status."""

import contextlib
import io
import os
import sys
from importlib import import_module

from jaxnn.cli.interruption import answer_signals
from jaxnn.version import __version__

COMMANDS = {
    "train": ("training_commands", "Train a model on a data set, in a new run folder."),
    "resume": ("training_commands", "Go on with a run that was stopped."),
    "launch": ("launch_command", "Train or resume in many processes, on this machine or a cluster."),
    "evaluate": ("inference_commands", "Measure a run's checkpoint on the test data."),
    "predict": ("inference_commands", "Classify image files with a run's checkpoint."),
    "summary": ("listing_commands", "Show a model's layers, shapes, parameters and multiply-adds."),
    "search": ("search_command", "Search for hyperparameters: a grid, random, halving, hyperband, populations."),
    "ensemble": ("ensemble_command", "Train many members side by side, and let them answer together."),
    "cross-validate": ("cross_validation_command", "Compare settings by cross-validation on the training data."),
    "race": ("race_command", "Let optimizers run side by side on surfaces (and MNIST), and draw their paths."),
    "verify": ("verification_command", "Hold every piece beside an independent implementation, on this device."),
    "list": ("listing_commands", "List models, data sets, optimizers, schedules and placements."),
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    The status is 0 after success, 1 if a run diverged or a piece differs from its reference implementation, 2 for bad
    input, and 130 or 143 if a signal stopped the command. Without `argv` this is the program itself, which a signal
    ends at any moment (`interruption`). With `argv` it is a call from another program, and SIGINT raises
    KeyboardInterrupt inside it as usual.
    """
    if argv is None:
        answer_signals()  # before any slow import
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(args)
    except KeyboardInterrupt as error:
        return _complain("interrupted", exit_status(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit does not fail
        return 0
    except (ValueError, OSError, ImportError) as error:
        if "JAXNN_TRACEBACK" in os.environ:
            raise
        return _complain(_told(error), exit_status(error))


def exit_status(error: BaseException) -> int:
    """Returns the status of a command that ends with the error: 130 if interrupted, 2 for bad input, otherwise 1.

    The status is 1 if a run diverged or jaxnn has a bug.

    >>> exit_status(ValueError()), exit_status(RuntimeError())
    (2, 1)
    """
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, ValueError | OSError | ImportError) and not _is_divergence(error) else 1


def parse(config_class, args, *, command: str, default=None):
    """Parses the arguments into a configuration; a wrong argument raises ValueError with one sentence."""
    import tyro

    from jaxnn.cli.field_rules import validate
    from jaxnn.cli.flag_words import check_words
    from jaxnn.cli.help_groups import has_groups, show_help

    if default is not None and has_groups(config_class) and {"-h", "--help"} & {*args}:
        show_help(config_class, default, command=command)
    check_words(config_class, args, command=command)
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            config = tyro.cli(config_class, prog=f"jaxnn {command}", args=args, default=default)
    except SystemExit as stopped:
        if stopped.code in (0, None):
            raise
        raise ValueError(f"{_first_sentence(messages.getvalue())} `jaxnn {command} --help` explains.") from None
    return validate(config)


def _dispatch(args) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(_usage())
        return 0 if args else 2
    if args[0] in ("-V", "--version"):
        print(f"jaxnn {__version__}")
        return 0
    if args[0] not in COMMANDS:
        from jaxnn.naming import unknown

        raise unknown("command", args[0], COMMANDS)
    module = import_module(f"jaxnn.cli.{COMMANDS[args[0]][0]}")
    return getattr(module, f"{args[0].replace('-', '_')}_command")(args[1:])


def _usage() -> str:
    commands = "\n".join(f"  {name:<16}{text}" for name, (_, text) in COMMANDS.items())
    return (
        "usage: jaxnn COMMAND ...\n\n"
        "The deep-learning course as a fast, verified, functional toolkit in JAX.\n\n"
        f"{commands}\n\n"
        "`jaxnn COMMAND --help` lists a command's options with their defaults.\n"
        "Begin with: jaxnn train lenet5"
    )


def _first_sentence(box: str) -> str:
    """Returns the message in the frame that the argument parser draws, up to the first horizontal line."""
    lines = [line.strip("│╭╮╰╯─ \t") for line in box.split("\n")[1:]]
    rule = next((i for i, line in enumerate(box.split("\n")[1:]) if "───" in line), len(lines))
    sentence = " ".join(line for line in lines[:rule] if line)
    return sentence if sentence.endswith(".") else f"{sentence}."


def _is_divergence(error):
    return type(error).__name__ == "DivergenceError"  # by name: its module imports jax


def _told(error) -> str:
    """Returns the message of an error; an error of the system about a file is put into a sentence."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}. Check the name and its permissions."
    return str(error)


def _complain(sentence: str, status: int) -> int:
    print(f"jaxnn: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
