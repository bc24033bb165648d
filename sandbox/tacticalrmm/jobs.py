"""One script or command on its way to an agent: its history row, its effect, its report."""

from typing import Any

from sandbox.tacticalrmm.bus import Bus
from sandbox.tacticalrmm.machine import Run, command_output, run_command, run_script
from sandbox.tacticalrmm.models import Agent, HistoryRow, Script
from sandbox.tacticalrmm.wire import Call

SCRIPT_GRACE, COMMAND_GRACE = 3, 2
_USERNAME_LENGTH = 50


def results(row_id: int, run: Run) -> dict[str, Any]:
    """What an agent reports about a finished script."""
    return {
        "id": row_id,
        "stderr": run.stderr,
        "stdout": run.stdout,
        "retcode": run.retcode,
        "execution_time": run.seconds or 0.0125,
    }


class Job:
    """Something an agent shall run. The history row exists before the agent hears of it.

    Attributes:
        row: The history row.
        run: How it will go.
        limit: Simulated seconds the server waits for the answer.
    """

    kind = ""

    def __init__(self, call: Call, agent: Agent, row: HistoryRow, run: Run, limit: float) -> None:
        self._call, self._agent = call, agent
        self.row, self.run, self.limit = row, run, limit
        self.bus = Bus(call.world)
        call.world.add_history(row)

    def effect(self) -> dict[str, Any]:
        """What the effect log remembers."""
        raise NotImplementedError

    def report(self) -> None:
        """Fill the history row."""
        raise NotImplementedError

    def started(self) -> None:
        """The agent begins."""
        detail = {**self.effect(), "history_id": self.row.id, "username": self.row.username}
        self._call.world.effects.record(self.kind, self._agent.agent_id, detail)

    def ended(self) -> None:
        """The agent is done; its report may lag."""
        self.bus.after(self._call.world.settings.history_lag, self.report)

    async def wait(self) -> str | None:
        """Send and wait. Returns as `Bus.ask`."""
        return await self.bus.ask(
            self._agent, self.limit, seconds=self.run.seconds, started=self.started, ended=self.ended
        )

    async def forget(self) -> None:
        """Send without waiting for the agent."""
        await self.bus.tell(self._agent, seconds=self.run.seconds, started=self.started, ended=self.ended)

    def queue(self) -> None:
        """Let a worker of the server send it, if there is one."""
        if self._call.world.settings.queue_workers:
            self._call.world.background(self.forget())

    def audit(self) -> None:
        """Leave a trace in the audit trail, as single runs do and bulk runs do not."""
        self._call.audit(*self.trace())

    def trace(self) -> tuple[str, Agent, str, Any]:
        """Kind of action, agent, sentence, value of the audit row."""
        raise NotImplementedError


def _row(call: Call, agent: Agent, **columns: Any) -> HistoryRow:
    return HistoryRow(next(call.world.ids["history"]), agent.id, call.username[:_USERNAME_LENGTH], **columns)


class ScriptJob(Job):
    """A stored script."""

    kind = "run_script"

    def __init__(
        self,
        call: Call,
        agent: Agent,
        script: Script,
        *,
        args: list[str],
        env: list[str],
        timeout: int,
        run_as_user: bool,
    ) -> None:
        limit = timeout + SCRIPT_GRACE
        row = _row(call, agent, type="script_run", script=script.id, script_name=script.name)
        super().__init__(call, agent, row, run_script(script, agent, args, env, limit), limit)
        self._facts = {
            "args": args,
            "env_vars": env,
            "timeout": timeout,
            "run_as_user": run_as_user or script.run_as_user,
        }

    def trace(self) -> tuple[str, Agent, str, Any]:
        """A script ran."""
        sentence = f"{self._call.username} ran script: {self.row.script_name} on {self._agent.hostname}"
        return "execute_script", self._agent, sentence, None

    def effect(self) -> dict[str, Any]:
        """Script, arguments, environment, limit."""
        return {"script": self.row.script, "script_name": self.row.script_name, **self._facts}

    def report(self) -> None:
        """Output and exit code arrive at the server."""
        self.row.script_results = results(self.row.id, self.run)


class CommandJob(Job):
    """A command line."""

    kind = "run_command"

    def __init__(self, call: Call, agent: Agent, text: str, *, shell: str, timeout: int, run_as_user: bool) -> None:
        row = _row(call, agent, type="cmd_run", command=text)
        run = run_command(call.world.commands, agent, text, timeout)
        super().__init__(call, agent, row, run, timeout + COMMAND_GRACE)
        self.output = command_output(agent, run)
        self._facts = {"shell": shell, "cmd": text, "timeout": timeout, "run_as_user": run_as_user}

    def trace(self) -> tuple[str, Agent, str, Any]:
        """A command ran."""
        sentence = f"{self._call.username} issued {self._facts['shell']} command on {self._agent.hostname}."
        return "execute_command", self._agent, sentence, self.row.command

    def effect(self) -> dict[str, Any]:
        """Shell, text, limit."""
        return self._facts

    def report(self) -> None:
        """The output arrives at the server; there is no exit code."""
        self.row.results = self.output
