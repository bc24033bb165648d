"""What scripts and commands do on a simulated machine."""

import shlex
from dataclasses import dataclass, replace

from sandbox.control.records import build
from sandbox.tacticalrmm.models import Agent, Behaviour, Script

KILLED = 98


@dataclass(frozen=True, slots=True)
class Run:
    """How one script or command goes: what it prints, its exit code, its duration in simulated seconds."""

    stdout: str
    stderr: str
    retcode: int
    seconds: float

    @property
    def output(self) -> str:
        """Standard output followed by standard error, as one text."""
        return self.stdout + self.stderr


def _obeyed(behaviour: Behaviour, args: list[str]) -> Behaviour:
    wishes = dict(arg.split("=", 1) for arg in args if "=" in arg)
    changed = replace(
        behaviour,
        stdout=wishes.get("stdout", behaviour.stdout),
        stderr=wishes.get("stderr", behaviour.stderr),
    )
    if wishes.get("sleep", "").replace(".", "", 1).isdigit():
        changed.seconds = float(wishes["sleep"])
    if wishes.get("exit", "").isdigit():
        changed.retcode = int(wishes["exit"])
    return changed


def _chosen(script: Script, args: list[str]) -> Behaviour:
    behaviour = script.behaviour
    if args and args[0] in behaviour.by_args:
        return build(Behaviour, behaviour.by_args[args[0]])
    return _obeyed(behaviour, args) if behaviour.obey_args else behaviour


def run_script(script: Script, agent: Agent, args: list[str], env: list[str], limit: float) -> Run:
    """How a script goes; one that runs longer than `limit` is killed with exit code 98."""
    behaviour = _chosen(script, args)
    stdout = behaviour.stdout
    if "{" in stdout:
        stdout = stdout.replace("{args}", " ".join(args)).replace("{env}", " ".join(env))
        stdout = stdout.replace("{hostname}", agent.hostname)
    if behaviour.seconds > limit and agent.kills_at_limit:
        return Run(stdout, f"Script timed out after {limit:g} seconds", KILLED, limit)
    return Run(stdout, behaviour.stderr, behaviour.retcode, behaviour.seconds)


def _newline(agent: Agent) -> str:
    return "\r\n" if agent.plat == "windows" else "\n"


def _unknown(agent: Agent, name: str) -> Run:
    end = _newline(agent)
    if agent.plat == "windows":
        text = (
            f"'{name}' is not recognized as an internal or external command,{end}operable program or batch file.{end}"
        )
        return Run("", text, 1, 0.0)
    return Run("", f"/bin/bash: line 1: {name}: command not found{end}", 127, 0.0)


def _echoed(agent: Agent, text: str) -> str:
    if agent.plat == "windows":
        return text
    try:
        return " ".join(shlex.split(text))
    except ValueError:
        return text


def _builtin(agent: Agent, text: str) -> Run:
    name, _, rest = text.strip().partition(" ")
    end = _newline(agent)
    if name == "echo":
        return Run(_echoed(agent, rest) + end, "", 0, 0.0)
    if name == "hostname":
        return Run(agent.hostname + end, "", 0, 0.0)
    if name in {"exit", "sleep"} and rest.strip().replace(".", "", 1).isdigit():
        return Run("", "", int(rest), 0.0) if name == "exit" else Run("", "", 0, float(rest))
    return _unknown(agent, name)


def run_command(known: dict[str, Behaviour], agent: Agent, text: str, limit: float) -> Run:
    """How a command goes; one that runs longer than `limit` is killed, and only Unix agents say so."""
    behaviour = known.get(text)
    if behaviour is None:
        run = _builtin(agent, text)
    else:
        run = Run(behaviour.stdout, behaviour.stderr, behaviour.retcode, behaviour.seconds)
    if run.seconds > limit and agent.kills_at_limit:
        tail = "" if agent.plat == "windows" else f"\nTimed out after {limit:g} seconds"
        run = Run(run.stdout, run.stderr + tail, KILLED, limit)
    return run


def command_output(agent: Agent, run: Run) -> str:
    """What the agent reports: on Windows standard error alone when there is any, elsewhere both."""
    if agent.plat == "windows" and run.stderr:
        return run.stderr
    return run.output
