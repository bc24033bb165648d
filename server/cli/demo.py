"""`patchbay demo`: the main job from end to end, checked at each step."""

from typing import Any

from patchbay_client import Execution
from patchbay_client.gen.patchbay import v1

from server.cli.demo_board import BoardDemo
from server.cli.output import Output
from server.cli.problems import deviation, expect
from server.cli.staging import BARE_TENANT, PROVIDER, TENANT, Stage

FIND, SCRIPTS, RUN = (f"{PROVIDER}.{name}" for name in ("agents.find", "scripts.list", "agents.run_script"))
SCRIPT = "Simulate"
ARGUMENTS = ["stdout=hello from the demo", "exit=3"]
GROUP = f"app:{PROVIDER}"
PEOPLE, WRITE = "teams.users.list", "teams.send_dm"
MESSAGE = "Disk full on FS-01"


def _state(group: v1.CatalogGroup) -> str:
    told = group.availability or v1.Availability()
    available = told.state == v1.AvailabilityState.AVAILABLE
    return "available" if available else f"{told.reason}: {told.message}"


class Demo:
    """The steps, in order. `told` collects what `--json` shows.

    Args:
        stage: What runs.
        output: Where the story goes.
    """

    def __init__(self, stage: Stage, output: Output) -> None:
        self._stage = stage
        self._call = stage.patchbay
        self._output = output
        self.told: dict[str, Any] = {}

    async def play(self) -> None:
        """Plays all steps.

        Raises:
            Problem: Something deviated.
            PatchbayError: A call was refused.
        """
        await self._show_palettes()
        await self._show_catalog()
        agents = await self._find_agents()
        script = await self._choose_script()
        await self._run(self._one(agents, "online", "linux"), script)
        await self._fail_offline(self._one(agents, "offline"), script)
        await self._write_to_somebody()
        self.told["scheduling"] = await BoardDemo(self._stage, self._output).play()

    def _say(self, title: str, *lines: str) -> None:
        self._output.story(title, *lines)

    async def _show_palettes(self) -> None:
        """Every tool is available to the connected tenant, and shown with what to do to the one without connections."""
        for tenant, patchbay, available in ((BARE_TENANT, self._stage.bare, False), (TENANT, self._call, True)):
            apps = [group for group in (await patchbay.catalog()).groups if group.group_key.startswith("app:")]
            providers = {group.group_key.removeprefix("app:") for group in apps}
            expect(providers >= self._stage.tiles, f"the palette has {sorted(providers)}")
            shown = {group.group_key: group.availability or v1.Availability() for group in apps}
            ours = {key: one for key, one in shown.items() if key.removeprefix("app:") in self._stage.vendors}
            wrong = [key for key, one in ours.items() if (one.state == v1.AvailabilityState.AVAILABLE) != available]
            expect(not wrong, f"availability of {wrong} for tenant {tenant}")
            self.told.setdefault("palettes", {})[tenant] = {key: one.reason for key, one in shown.items()}
            lines = [f"{group.label}: {len(group.actions)} actions, {_state(group)}" for group in apps]
            self._say(f"The palette of tenant {tenant}", *lines)

    async def _show_catalog(self) -> None:
        groups = (await self._call.catalog()).groups
        group = next((each for each in groups if each.group_key == GROUP), None)
        if group is None:
            raise deviation("the catalog has no Tactical RMM")
        ids = [action.id for action in group.actions]
        expect({FIND, SCRIPTS, RUN} <= set(ids), f"the catalog lists {ids}")
        self.told["catalog"] = ids
        rows = [f"{action.id} - {action.label} [{action.effect.name}]" for action in group.actions]
        self._say(f"The actions of {group.label}", *rows)

    async def _find_agents(self) -> list[dict[str, Any]]:
        agents: list[dict[str, Any]] = (await self._call.execute(FIND, {})).output["agents"]
        expect(len(agents) >= 2, "fewer than two agents")
        self.told["agents"] = [agent["hostname"] for agent in agents]
        self._say("Agents", *(f"{agent['hostname']}: {agent['status']}" for agent in agents))
        return agents

    async def _choose_script(self) -> dict[str, Any]:
        scripts: list[dict[str, Any]] = (await self._call.execute(SCRIPTS, {})).output["scripts"]
        self._say("Scripts", *(f"{script['id']}: {script['name']}" for script in scripts))
        self.told["scripts"] = [script["name"] for script in scripts]
        chosen = [script for script in scripts if script["name"] == SCRIPT]
        expect(chosen, f"no script {SCRIPT}")
        return chosen[0]

    def _one(self, agents: list[dict[str, Any]], status: str, platform: str = "") -> dict[str, Any]:
        fitting = [
            agent
            for agent in agents
            if agent.get("status") == status and agent.get("platform", "").startswith(platform)
        ]
        expect(fitting, f"no {status} agent {platform}")
        return fitting[0]

    async def _run(self, agent: dict[str, Any], script: dict[str, Any]) -> None:
        first = await self._execute(agent, script, step="run")
        output = first.output
        told = first.failure.message if first.failure else ""
        expect(first.succeeded, f"the script did not run: {told}")
        expect(not first.replayed, "the first call was a replay")
        expect(output.get("exit_code") == 3, f"exit code {output.get('exit_code')}")
        expect("hello from the demo" in output.get("stdout", ""), f"standard output {output.get('stdout')!r}")
        self.told["run"] = first.to_json()
        self._say(
            f"Ran {script['name']} on {agent['hostname']}",
            f"exit code {output['exit_code']}, output: {output['stdout'].strip()}",
            f"execution {first.id}, key {first.key}",
        )
        await self._replay(agent, script, first)

    async def _replay(self, agent: dict[str, Any], script: dict[str, Any], first: Execution) -> None:
        again = await self._execute(agent, script, step="run")
        expect(again.replayed, "the second call with the same key was not a replay")
        expect((again.id, again.output) == (first.id, first.output), "the replay differs from the first answer")
        effects = (await self._stage.vendor.control.effects(kind="run_script")).count("run_script")
        expect(effects == 1, f"the script ran {effects} times at the vendor")
        self.told["replay"] = again.to_json()
        self._say("The same call with the same key", "replayed from the record; at the vendor it ran once")

    async def _fail_offline(self, agent: dict[str, Any], script: dict[str, Any]) -> None:
        failed = await self._execute(agent, script, step="offline")
        failure = failed.failure
        if failure is None:
            raise deviation("an offline agent ran a script")
        expect(failure.reason == "AGENT_OFFLINE", f"an offline agent fails with {failure.reason}")
        expect(failure.retryable and failure.effect == v1.Effect.NONE, "an offline agent is not retryable")
        self.told["offline"] = failed.to_json()
        self._say(
            f"The same on {agent['hostname']}, which is offline",
            f"{failure.reason}: {failure.message}",
            f"effect {failure.effect.name}, retryable",
        )

    async def _write_to_somebody(self) -> None:
        """What a person in Teams would see, as the simulated Teams has it."""
        people: list[dict[str, Any]] = (await self._call.execute(PEOPLE, {})).output["users"]
        expect(people, "nobody in Teams")
        person = people[0]
        inputs = {"microsoft_user_id": person["microsoft_user_id"], "message": MESSAGE}
        sent = await self._call.execute(WRITE, inputs, run="demo", step="write", raise_on_failure=False)
        expect(sent.succeeded, f"the message was not sent: {sent.failure.message if sent.failure else ''}")
        received = (await self._stage.vendors["teams"].control.state())["messages"]
        expect(len(received) == 1, f"Teams has {len(received)} messages")
        (message,) = received
        expect(message["id"] == sent.output["activity_id"], "the id told is not the message's")
        expect(message["activity"]["text"] == MESSAGE, f"Teams has the text {message['activity']['text']!r}")
        self.told["message"] = {"execution": sent.to_json(), "received": message}
        self._say(
            f"A message to {person['name']} in Microsoft Teams",
            f"the simulated Teams has it: {message['activity']['text']}",
            f"message {message['id']}, conversation {message['conversation']}",
        )

    async def _execute(self, agent: dict[str, Any], script: dict[str, Any], *, step: str) -> Execution:
        inputs = {"agent_id": agent["agent_id"], "script_id": script["id"], "args": ARGUMENTS}
        return await self._call.execute(RUN, inputs, run="demo", step=step, raise_on_failure=False)
