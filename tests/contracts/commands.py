"""The command line, run in this process: what it prints, and what it refuses."""

from typer.testing import CliRunner

from asymcert.cli.app import app


def command(*arguments, code=0):
    """What a command prints; its exit code must be `code`."""
    done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def refusal(*arguments):
    """The error that a command ends with."""
    return str(CliRunner().invoke(app, [*map(str, arguments)]).exception)
