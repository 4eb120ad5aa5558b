"""The commands, run as programs with secrets in their environment, their files and their arguments: they print and write none."""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers.oauth import CredentialStore, OAuthCredentials
from tests.secrets.echo_lab import REFUSALS, STREAMS, echoing
from tests.secrets.secrets_lab import USER, Hidden, few, secrets

ROOT = Path(__file__).parents[2]
VARIABLES = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_OAUTH_TOKEN",
    "COPILOT_GITHUB_TOKEN",
    "OPENROUTER_API_KEY",
    "AGENTRIO_API_KEY",
)
ASKING = ("-m", "runtime.demo", "--provider", "openai-completions", "--model", "m", "--base-url")
ANSWERS = REFUSALS | STREAMS
COMMANDS = {
    "providers": lambda url, odd: ["-m", "providers", "--base-url", url],
    "providers --check": lambda url, odd: ["-m", "providers", "--check", "--base-url", url],
    "providers --check --json": lambda url, odd: ["-m", "providers", "--check", "--json", "--base-url", url],
    "providers --base-url odd": lambda url, odd: ["-m", "providers", "--check", "--base-url", odd],
    "providers.oauth status": lambda url, odd: ["-m", "providers.oauth", "status"],
    "providers.oauth logout": lambda url, odd: ["-m", "providers.oauth", "logout", "anthropic"],
    "demo": lambda url, odd: [*ASKING, url],
    "demo --base-url odd": lambda url, odd: [*ASKING, odd],
}
ODD = (
    "{}:{}@127.0.0.1/v1",
    "http:/{}:{}@127.0.0.1",
    "http://{}:{}@127.0.0.1:1/v1",
    "http://{}:[{}]@127.0.0.1:1",
)


async def prepared(home, tokens, damage):
    """A file with logins, which may be damaged."""
    store = CredentialStore(home / "agentrio" / "credentials.json")
    await store.set("anthropic", OAuthCredentials(tokens[0], tokens[1], 1))
    await store.set(
        "github-copilot", OAuthCredentials(tokens[1], tokens[0], 1, {"githubRefreshToken": tokens[1]})
    )
    text = store.path.read_bytes()
    store.path.write_bytes(
        text.replace(b'"expires": 1', b'"expires": "1"') if damage == "odd" else text[: -damage or None]
    )
    return store.path


@pytest.mark.parametrize("command", COMMANDS)
@few(1)
@given(st.data())
def test_what_a_command_prints_and_writes(command, data):
    """Output and files are without the variables, the logins, and the password and key in an address."""
    key, password, *tokens = data.draw(st.lists(secrets(command), min_size=4, max_size=4, unique=True))
    damage = data.draw(st.sampled_from([0, 3, "odd"]))
    answer = ANSWERS[data.draw(st.sampled_from([name for name in ANSWERS if "silence" not in name]))]
    odd = data.draw(st.sampled_from(ODD)).format(USER, password)
    hidden = Hidden(key, password, *tokens)

    async def main(home):
        kept = await prepared(home, tokens, damage)
        async with echoing(key, answer) as server:
            url = server.url.replace("//", f"//{USER}:{quote(password, safe='')}@")
            argv = COMMANDS[command](f"{url}/v1?api-key={quote(password, safe='')}", odd)
            proxy = f"http://{USER}:{quote(password, safe='')}@127.0.0.1:1"
            env = {
                **os.environ,
                **dict.fromkeys(VARIABLES, key),
                "PYTHONPATH": str(ROOT),
                "XDG_CONFIG_HOME": str(home),
                "HTTPS_PROXY": proxy,
                "https_proxy": proxy,
            }
            run = partial(trio.run_process, stdin=b"", capture_stdout=True, capture_stderr=True, check=False)
            done = await run([sys.executable, *argv], cwd=home, env=env)
        hidden.check(command, done.stdout.decode(), done.stderr.decode())
        hidden.check_files(home, kept)
        return done

    with tempfile.TemporaryDirectory() as home:
        done = trio.run(main, Path(home))
    assert done.stdout + done.stderr
