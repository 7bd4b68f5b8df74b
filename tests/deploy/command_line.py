"""Command lines of files that are deployed, held to what ours accepts."""

import typer

from monitor.cli.main import app

UsageError = typer.BadParameter.__base__  # typer carries a click of its own


def parse(arguments):
    """As the command line does, but running nothing. UsageError for what it does not know."""
    command, context = typer.main.get_command(app), None
    while True:
        context = command.make_context(command.name, list(arguments), parent=context)
        if not hasattr(command, "resolve_command"):
            return context
        _, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
