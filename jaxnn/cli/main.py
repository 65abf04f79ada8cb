"""`main` is the command `jaxnn`; it runs a subcommand, and reports an error by one sentence and an exit status."""

import contextlib
import errno
import io
import os
import sys
from importlib import import_module

from jaxnn.cli.interruption import answer_signals
from jaxnn.lenient_streams import lenient_output, open_descriptors
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
KEEPING = ("train", "resume", "launch", "search", "ensemble", "cross-validate", "race")  # keep their results in files


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    The status is 0 after success, 1 if a run diverged or a piece differs from its reference implementation, 2 for bad
    input, and 130 or 143 if a signal stopped the command. Without `argv` this is the program itself, which a signal
    ends at any moment (`interruption`). With `argv` it is a call from another program, and SIGINT raises
    KeyboardInterrupt inside it as usual. Output that the screen cannot show costs no result (`lenient_streams`).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        open_descriptors()
        answer_signals()  # before any slow import
    with lenient_output(abandons=argv is None) as output:
        status = _run(args)
        output.flush()
        return status or _lost(output.failure, args)


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
    from jaxnn.cli.flag_words import check_words, split_lists
    from jaxnn.cli.help_groups import has_groups, show_help
    from jaxnn.cli.home_folders import expand_places

    if default is not None and has_groups(config_class) and {"-h", "--help"} & {*args}:
        show_help(config_class, default, command=command)
    args = split_lists(config_class, args)
    check_words(config_class, args, command=command)
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            config = tyro.cli(config_class, prog=f"jaxnn {command}", args=args, default=default)
    except SystemExit as stopped:
        if stopped.code in (0, None):
            raise
        raise ValueError(f"{_first_sentence(messages.getvalue())} `jaxnn {command} --help` explains.") from None
    return validate(expand_places(config))


def _run(args) -> int:
    try:
        return _dispatch(args)
    except KeyboardInterrupt as error:
        return _complain("interrupted", exit_status(error))
    except (ValueError, OSError, ImportError) as error:
        if "JAXNN_TRACEBACK" in os.environ:
            raise
        return _complain(_told(error), exit_status(error))
    except (RuntimeError, AssertionError):
        from jaxnn.cli.missing_devices import describe_missing_devices

        sentence = describe_missing_devices()
        if sentence is None:
            raise
        return _complain(sentence, 2)


def _lost(failure: Exception | None, args) -> int:
    """Tells of output that could not be written, and returns the exit status; a reader that went away has enough."""
    if not isinstance(failure, OSError) or isinstance(failure, BrokenPipeError):
        return 0
    is_kept = args[:1] and args[0] in KEEPING
    remedy = "The run folder has it." if is_kept else "Make room, or write it elsewhere."
    return _complain(f"the output could not be written: {failure.strerror}. {remedy}", 0 if is_kept else 2)


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
    """Returns the message in the frame that the argument parser draws, up to the first horizontal line, shortened."""
    lines = [line.strip("│|╭╮╰╯+ \t") for line in box.split("\n")[1:]]
    rule = next((i for i, line in enumerate(lines) if line and not line.strip("─-")), len(lines))
    sentence = " ".join(filter(None, (line.strip("─- ") for line in lines[:rule])))
    sentence = "".join(letter if letter.isprintable() else "?" for letter in sentence)
    sentence = sentence if len(sentence) <= 200 else f"{sentence[:150]} ..."
    return sentence if sentence.endswith(".") else f"{sentence}."


def _is_divergence(error):
    return type(error).__name__ == "DivergenceError"  # by name: its module imports jax


def _told(error) -> str:
    """Returns the message of an error; an error of the system about a file is put into a sentence."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Make room on that disk." if is_full else "Check the name and its permissions."
        return f"cannot use {error.filename}: {error.strerror}. {remedy}"
    return str(error)


def _complain(sentence: str, status: int) -> int:
    print(f"jaxnn: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
