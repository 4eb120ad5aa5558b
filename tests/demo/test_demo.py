"""``python -m runtime.demo``, as people run it: a program on a pipe, or on a terminal."""

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from io import StringIO
from pathlib import Path

import pytest
import trio

from runtime.demo import scenes
from runtime.demo.checks import Checks
from runtime.demo.command_line import parse
from runtime.demo.scenes import SCENES, play
from runtime.demo.screen import Screen, Style, Symbols
from runtime.demo.stage import Scene, open_stage
from tests.providers.loopback import SSE_HEAD, chunk, reply, serve, sse

ROOT = Path(__file__).parents[2]
PATIENCE = 30
ESCAPE = "\x1b"
KEY = "sk-very-secret-1234567890"


def environment(**changes):
    """Ours, without what would change the demo; None removes a variable."""
    mine = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "TERM": "xterm"}
    for name in ("NO_COLOR", "OPENAI_API_KEY", "AGENTRIO_API_KEY"):
        mine[name] = None
    return {name: value for name, value in {**os.environ, **mine, **changes}.items() if value is not None}


class Finished:
    def __init__(self, process):
        self.status = process.returncode
        self.out = process.stdout.decode()
        self.err = process.stderr.decode()


async def run_demo(*arguments, stdin=b"", cwd=ROOT, python=(), **env):
    """Run it to its end, on pipes."""
    with trio.fail_after(PATIENCE):
        return Finished(
            await trio.run_process(
                [sys.executable, *python, "-m", "runtime.demo", *arguments],
                stdin=stdin,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=cwd,
                env=environment(**env),
            )
        )


class Dialogue:
    """A running demo: what it has said so far, and a way to answer."""

    def __init__(self, process, read, write):
        self.said = ""
        self._heard = 0
        self._process = process
        self._read = read
        self._write = write

    async def until(self, text):
        """Read until it has said this, after what was waited for before."""
        while (place := self.said.find(text, self._heard)) < 0:
            assert await self._more(), f"ended without saying {text!r}:\n{self.said}"
        self._heard = place + len(text)

    async def type(self, text):
        await self._write(text.encode())

    async def end_input(self):
        await self._process.stdin.aclose()

    async def end(self):
        """Read the rest; the exit status."""
        while await self._more():
            pass
        return await self._process.wait()

    async def _more(self):
        data = await self._read()
        self.said += data.decode(errors="replace").replace("\r\n", "\n")
        return data


@asynccontextmanager
async def running(arguments, read, write, **options):
    """A process beside the block, which is killed if it outlives it."""
    process = await trio.lowlevel.open_process(arguments, cwd=ROOT, **options)
    try:
        with trio.fail_after(PATIENCE):
            yield Dialogue(process, read or process.stdout.receive_some, write or process.stdin.send_all)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                await trio.aclose_forcefully(stream)


@asynccontextmanager
async def on_pipes(*arguments, **env):
    command = [sys.executable, "-m", "runtime.demo", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    async with running(command, None, None, env=environment(**env), **pipes) as dialogue:
        yield dialogue


IN_A_SESSION = "import os, sys; os.close(os.open(sys.argv[1], os.O_RDWR)); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
"""The first terminal that the leader of a session opens becomes the one whose Ctrl-C it gets."""


@asynccontextmanager
async def on_a_terminal(*arguments, **env):
    with terminal() as (ours, theirs):

        async def read():
            await trio.lowlevel.wait_readable(ours)
            try:
                return os.read(ours, 4096)
            except OSError:  # Linux says so when nobody has the other end any more
                return b""

        async def write(data):
            os.write(ours, data)

        command = [sys.executable, "-c", IN_A_SESSION, os.ttyname(theirs), "-m", "runtime.demo", *arguments]
        options = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
        async with running(command, read, write, env=environment(**env), **options) as dialogue:
            os.close(theirs)
            yield dialogue


@contextmanager
def terminal():
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


# The scenes


async def test_the_scenes_play_and_their_checks_hold():
    """On a pipe: every scene, plain text, status 0, and the same text every time."""
    shown: list[Finished] = []

    async def show():
        shown.append(await run_demo("--fast"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(show)
        nursery.start_soon(show)
    one, other = shown
    assert (one.status, one.err) == (0, "")
    for scene in SCENES:
        assert f"\n{scene.title}\n{scene.point}\n" in one.out
    assert ESCAPE not in one.out
    assert "✗" not in one.out
    assert re.search(r"\n  (\d+) of \1 checks hold\n", one.out)
    assert one.out == other.out


async def test_tools_interleave_on_the_screen():
    """All three start, each reports before one ends, and the results are in the order of the calls."""
    out = (await run_demo("--fast")).out
    scene = out[out.index("Three tools at once") : out.index("A steering message joins")]
    steps = re.findall(r"[▶·■] (\w+)", scene)
    assert steps[:3] == ["flights", "hotels", "weather"]
    assert sorted(steps[3:6]) == ["flights", "hotels", "weather"]
    assert re.findall(r"■ (\w+)", scene) == ["weather", "hotels", "flights"]
    assert "order of the calls: flights, hotels, weather" in scene


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
async def test_colours_are_for_terminals_that_want_them(env, coloured):
    """NO_COLOR and dumb terminals are respected."""
    async with on_a_terminal("--fast", **env) as demo:
        assert await demo.end() == 0
    assert "checks hold" in demo.said
    assert (ESCAPE in demo.said) is coloured


async def test_an_encoding_without_symbols_gets_ascii():
    """Nothing fails, and nothing is shown as a question mark."""
    shown = await run_demo("--fast", PYTHONIOENCODING="ascii")
    expected = (await run_demo("--fast")).out
    for symbol, plain in [("✓ ", "ok"), ("▶", ">"), ("·", "."), ("■", "<"), ("↪", "+")]:
        expected = expected.replace(symbol, plain)
    assert (shown.status, shown.out) == (0, expected)


async def test_without_fast_it_takes_its_time():
    """Text arrives in pieces: the beginning of a sentence is there before its end."""
    async with on_pipes() as demo:
        await demo.until("A city with")
        assert "and Porto" not in demo.said
        await demo.until("and Porto")


async def test_a_check_that_fails_is_the_exit_status(monkeypatch):
    """And the reason is shown."""

    async def claim(stage):
        stage.checks.that("one and one is two", True)
        stage.checks.passes("all is well", fails)
        stage.checks.show(stage.screen)

    def fails():
        raise AssertionError("a call has no result")

    monkeypatch.setattr(scenes, "SCENES", (Scene("A claim", "and its failure", claim),))
    out = StringIO()
    assert await play(Screen.on(out, {})) == 1
    assert "✗       all is well: a call has no result\n" in out.getvalue()
    assert "1 of 2 checks hold" in out.getvalue()


def test_no_check_at_all_is_no_success():
    """A demo that checks nothing has shown nothing."""
    assert not Checks().all_hold


async def test_a_task_that_is_left_is_noticed():
    """The last scene counts them all, wherever they were started."""
    out = StringIO()
    async with trio.open_nursery() as nursery, open_stage(Screen.on(out, {})) as stage:
        nursery.start_soon(trio.sleep_forever)
        await SCENES[-1].play(stage)
        nursery.cancel_scope.cancel()
    assert "✗       <Agent 'travel' idle> has no task left" in out.getvalue()
    assert not stage.checks.all_hold


# Leaving early


async def test_ctrl_c_ends_the_scenes_quietly():
    """Status 130, the run that was active is aborted, and no traceback."""
    async with on_a_terminal() as demo:
        await demo.until("hotels")
        await demo.type("\x03")
        assert await demo.end() == 130
    assert "[aborted]" in demo.said
    assert "Traceback" not in demo.said


async def test_a_reader_who_leaves_is_no_accident():
    """As in ``python -m runtime.demo | head -1``: no traceback."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "runtime.demo", "--fast"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    await process.stdout.aclose()
    with trio.fail_after(PATIENCE):
        complaints = b"".join([part async for part in process.stderr])
        assert await process.wait() == 1
    assert complaints == b""
    await process.stderr.aclose()


# Names that are taken


@pytest.mark.parametrize("stranger", ["providers/__init__.py", "tools/__init__.py", "tools.py"])
async def test_a_stranger_in_the_working_directory_is_explained(tmp_path, stranger):
    """Status 2, where it is, and what to do; none of its code runs."""
    place = tmp_path / stranger
    place.parent.mkdir(exist_ok=True)
    place.write_text("print('the stranger runs')")
    shown = await run_demo("--fast", cwd=tmp_path)
    assert (shown.status, shown.out) == (2, "")
    name = stranger.split("/")[0]
    assert f"found     {tmp_path.resolve() / name}\n" in shown.err
    assert f"expected  {ROOT / name.removesuffix('.py')}\n" in shown.err
    assert "python -P -m runtime.demo" in shown.err
    assert (await run_demo("--fast", cwd=tmp_path, python=["-P"])).status == 0


async def test_a_stranger_elsewhere_on_the_path_is_explained(tmp_path):
    """Then it is the path that has to change."""
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers" / "__init__.py").touch()
    shown = await run_demo(cwd="/", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert shown.status == 2
    assert f"{tmp_path.resolve()} comes earlier on Python's path" in shown.err


async def test_a_folder_that_is_no_package_shadows_nothing(tmp_path):
    """Python itself prefers ours then."""
    (tmp_path / "tools").mkdir()
    assert (await run_demo("--fast", cwd=tmp_path)).status == 0


# The command line

ENDPOINT = ["--provider", "openai-completions", "--base-url", "http://localhost/v1", "--model", "m"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "m"], "--model only with --provider"),
        (["--prompt", "hi", "--tools"], "--prompt, --tools only with --provider"),
        (["--provider", "openai-completions"], "--provider needs --base-url, --model"),
        (ENDPOINT[:4], "--provider needs --model"),
        (["--provider", "nobody"], "invalid choice: 'nobody'"),
        (["--fast", "--interactive"], "not allowed with"),
        ([*ENDPOINT, "--fast"], "--fast is for the scenes"),
        ([*ENDPOINT, "--interactive", "--prompt", "hi"], "use one of them"),
        ([*ENDPOINT, "--prompt", " "], "--prompt is empty"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_what_does_not_go_together_is_refused(capsys, arguments, complaint):
    """A line that says what is wrong, and status 2."""
    with pytest.raises(SystemExit) as left:
        parse(arguments)
    assert left.value.code == 2
    assert complaint in capsys.readouterr().err


async def test_wrong_arguments_end_the_program_with_status_2():
    """Without a traceback."""
    shown = await run_demo("--model", "m")
    assert (shown.status, shown.out) == (2, "")
    assert "Traceback" not in shown.err


def test_help_tells_about_keys_and_examples(capsys):
    """And ends well."""
    with pytest.raises(SystemExit) as left:
        parse(["--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    for word in ("--interactive", "AGENTRIO_API_KEY", "OPENAI_API_KEY", "examples:", "Ctrl-C"):
        assert word in out


def test_the_arguments_do_not_show_the_key():
    """Not even to whoever logs them."""
    assert KEY not in repr(parse([*ENDPOINT, "--api-key", KEY]))


# The screen


def test_control_characters_never_get_through():
    """What a model says must not steer the terminal; line ends and tabs stay."""
    out = StringIO()
    screen = Screen(out, coloured=False, symbols=Symbols())
    screen.flow("agent", "red: \x1b[31m, a bell: \x07, one of the eighties: \x9b1m\tand\n", Style.Agent)
    screen.line("the end\r")
    assert (
        out.getvalue() == "  agent   red: [31m, a bell: , one of the eighties: 1m\tand\n          \nthe end\n"
    )


# The chat


async def test_a_line_is_a_prompt_or_steering_and_the_end_of_input_ends_it():
    """On a pipe: a line while the agent works joins the run; what was asked is answered before the end."""
    async with on_pipes("--interactive") as demo:
        await demo.type("count to 5\n")
        await demo.until("· count       1")
        await demo.type("and then some\n")
        await demo.until("↪  and then some   [steering]")
        await demo.until('The tool says: counted to 5. You said "and then some".')
        await demo.type("what is 6 * 7")
        await demo.end_input()
        assert await demo.end() == 0
    assert demo.said.index("counted to 5") < demo.said.index("↪  and then some")
    assert "[steering, waits for the next turn: and then some]" in demo.said
    assert demo.said.endswith("The tool says: 6 * 7 = 42.\n")
    assert ESCAPE not in demo.said


async def test_input_that_is_there_at_once_is_answered_to_the_end():
    """A file as standard input, its last line without an end."""
    shown = await run_demo("--interactive", stdin=b"hello\n\nyou there")
    assert (shown.status, shown.err) == (0, "")
    assert 'You said "hello"' in shown.out
    assert 'You said "you there"' in shown.out


async def test_no_input_at_all():
    """It says hello, and that is it."""
    shown = await run_demo("--interactive")
    assert (shown.status, shown.err) == (0, "")
    assert "Ctrl-C aborts" in shown.out


async def test_ctrl_c_aborts_the_run_and_not_the_program():
    """What was waiting is given back; the next prompt works; twice when idle, it leaves."""
    async with on_a_terminal("--interactive", NO_COLOR="1") as demo:
        await demo.until("  you     ")
        await demo.type("count to 99\n")
        await demo.until("· count       2")
        await demo.type("are you there?\n")
        await demo.until("waits for the next turn")
        await demo.type("\x03")
        await demo.until("Operation aborted")
        await demo.until("[not delivered: are you there?]")
        await demo.until("  you     ")
        await demo.type("what is 2 + 3\n")
        await demo.until("2 + 3 = 5.")
        await demo.until("  you     ")
        await demo.type("\x03")
        await demo.until("[nothing to abort; Ctrl-C again leaves]")
        await demo.type("\x03")
        assert await demo.end() == 130
    assert "Traceback" not in demo.said


async def test_ctrl_d_ends_the_chat():
    """Status 0; and a Ctrl-C before it is forgotten once something was said."""
    async with on_a_terminal("--interactive") as demo:
        await demo.until("you     ")
        await demo.type("\x03")
        await demo.until("[nothing to abort")
        await demo.type("hello\n")
        await demo.until('said "hello".')
        await demo.until("you     ")
        await demo.type("\x03")
        await demo.until("[nothing to abort")
        await demo.type("\x04")
        assert await demo.end() == 0


# A real endpoint


def delta(**fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def ending(reason):
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def events(*chunks):
    return [f"data: {json.dumps(item)}\n\n" for item in chunks] + ["data: [DONE]\n\n"]


def says(*pieces):
    return sse(*events(*(delta(content=piece) for piece in pieces), ending("stop")))


def calls(name, arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return sse(*events(delta(tool_calls=[call]), ending("tool_calls")))


def at(server, *more):
    return ["--provider", "openai-completions", "--base-url", f"{server.url}/v1", "--model", "tiny", *more]


async def test_a_real_endpoint_is_asked_and_its_reply_streams():
    """What has arrived is shown while the rest is still on its way; no key is sent where none was given."""
    seen = trio.Event()

    async def slowly(wire):
        first, *rest = events(delta(content="One moment"), delta(content=", please."), ending("stop"))
        await wire.send(SSE_HEAD + chunk(first.encode()))
        await seen.wait()
        await wire.send(b"".join(chunk(item.encode()) for item in [*rest, ""]))

    async with serve(slowly) as server:
        async with on_pipes(*at(server, "--prompt", "Well?"), OPENAI_API_KEY=KEY) as demo:
            await demo.until("One moment")
            seen.set()
            assert await demo.end() == 0
    assert "  you     Well?\n  agent   One moment, please.\n" in demo.said
    (request,) = server.requests
    assert request.target == "/v1/chat/completions"
    assert request.json()["model"] == "tiny"
    assert "tools" not in request.json()
    assert "authorization" not in request.headers


async def test_a_real_model_may_use_the_tools():
    """With --tools: its call is run and shown, and it gets the result."""
    script = [calls("calculate", {"left": 6, "operation": "*", "right": 7}), says("It is 42.")]
    async with serve(*script) as server:
        shown = await run_demo(*at(server, "--tools"))
    assert (shown.status, shown.err) == (0, "")
    assert "▶ calculate   left=6, operation='*', right=7" in shown.out
    assert "■ calculate   6 * 7 = 42" in shown.out
    assert "  agent   It is 42." in shown.out
    offered = [item["function"]["name"] for item in server.requests[0].json()["tools"]]
    assert offered == ["clock", "calculate", "count"]
    assert server.requests[1].json()["messages"][-1]["content"] == "6 * 7 = 42"


@pytest.mark.parametrize(
    ("arguments", "env", "sent"),
    [
        (["--api-key", KEY], {"AGENTRIO_API_KEY": "other"}, f"Bearer {KEY}"),
        ([], {"AGENTRIO_API_KEY": KEY}, f"Bearer {KEY}"),
    ],
)
async def test_a_failure_is_an_error_and_the_key_is_not_shown(arguments, env, sent):
    """Status 1, and the server's text without the key that it echoes."""
    async with serve(reply(f'{{"error": {{"message": "wrong key {KEY}"}}}}', status=401)) as server:
        shown = await run_demo(*at(server, "--prompt", "hi", *arguments), **env)
    assert shown.status == 1
    assert server.requests[0].headers["authorization"] == sent
    assert "401" in shown.err
    assert "wrong key ***" in shown.err
    assert KEY not in shown.out + shown.err


async def test_a_missing_key_is_an_error():
    """Before anything is sent to an endpoint that is known to want one."""
    openai = ["--provider", "openai-completions", "--base-url", "https://api.openai.com/v1", "--model", "gpt"]
    shown = await run_demo(*openai)
    assert shown.status == 1
    assert shown.err.startswith("error: No API key for provider: openai")


async def test_a_chat_with_a_real_endpoint():
    """Each turn has what was said before; a failure is shown, and the chat goes on."""
    script = [says("Hello."), reply("no", status=400), says("Here I am again.")]
    async with serve(*script) as server, on_pipes(*at(server, "--interactive")) as demo:
        await demo.type("hi\n")
        await demo.until("Hello.")
        await demo.type("again\n")
        await demo.until("error ")
        await demo.until("400")
        await demo.type("once more\n")
        await demo.until("Here I am again.")
        await demo.end_input()
        assert await demo.end() == 0
    roles = [message["role"] for message in server.requests[2].json()["messages"]]
    assert roles == ["user", "assistant", "user", "user"]
